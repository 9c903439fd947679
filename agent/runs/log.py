"""A worker's log: what it says goes to a file, and a full disk costs words, never a run."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bpsweep.report.disk import KINDS


class _PatientFile(io.FileIO):
    """A file that forgets what its disk does not take."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in KINDS:
                raise
            return memoryview(content).nbytes


def log_to(path: Path) -> None:
    """Have all that this process prints from now on stand at the end of a file."""
    with suppress(ValueError, OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        log = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno not in KINDS:
            raise
        log = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    sys.stdout, sys.stderr = _open_stream(1), _open_stream(2)


def _open_stream(number: int) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(_PatientFile(number, "w", closefd=False))
    return io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=True)
