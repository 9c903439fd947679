"""Named arrays in one file that appears whole or not at all, and is checked when it is read."""

import json
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

Arrays = Mapping[str, NDArray[Any]]


class BrokenFileError(Exception):
    """A file is not there, not whole, or not what was written."""


def write_arrays(path: Path, arrays: Arrays, about: Mapping[str, Any]) -> int:
    """Write arrays, and JSON about them, under a name of this thread's own; then rename.

    Args:
        path: The file, in safetensors' format; what is there is replaced.
        arrays: By name; any shape and type of numbers.
        about: What goes with them.

    Returns:
        The bytes written.

    Raises:
        OSError: There is no space, or no permission; what was there is as it was.
    """
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(about, sort_keys=True)
    content = save(whole, {"about": text, "checksum": _sum_up(whole, text)})
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return len(content)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a file and what goes with them.

    Raises:
        BrokenFileError: It is not there, or not what was written.
    """
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            kept = file.metadata() or {}
        text = kept["about"]
        if _sum_up(arrays, text) != kept["checksum"]:
            raise BrokenFileError(f"{str(path)!r} is not what was written")
        about: dict[str, Any] = json.loads(text)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BrokenFileError(f"{str(path)!r} cannot be read: {error}") from error
    return arrays, about


def _sum_up(arrays: Arrays, text: str) -> str:
    checksum = zlib.crc32(text.encode())
    for name in sorted(arrays):
        checksum = zlib.crc32(arrays[name].data, zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"
