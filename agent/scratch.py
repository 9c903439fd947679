"""A temporary folder for a command and all that it starts, gone with it.

The wandb client leaves folders for media and artifacts behind when its process is killed. In here
they go with the command, and what a killed command left goes with the next one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "bpsweep-"


@contextmanager
def own_scratch() -> Iterator[None]:
    """Have this process and those that it starts keep temporary files in a folder of their own."""
    before = os.environ.get("TMPDIR")
    try:
        _clear_dead(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    except OSError:  # full, or not ours to write: whoever needs a file will say so
        yield
        return
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = None
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def leave_scratch(environment: dict[str, str]) -> dict[str, str]:
    """Return variables for a process that may live longer than this command."""
    if Path(environment.get("TMPDIR", "")).name.startswith(PREFIX):
        return {name: value for name, value in environment.items() if name != "TMPDIR"}
    return environment


def _clear_dead(folder: Path) -> None:
    """Remove the folders of our user's commands that are no more."""
    for path in folder.glob(f"{PREFIX}[0-9]*-*"):
        number = path.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):
            if number.isdecimal() and path.stat().st_uid == os.getuid() and _is_dead(int(number)):
                shutil.rmtree(path, ignore_errors=True)


def _is_dead(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
