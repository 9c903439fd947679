"""Folders and files that appear whole or not at all, also when two processes make the same."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

Progress = Callable[[int, int], None]  # (images done, images in all)

BUILDING_SUFFIX: Final = ".building"
PART_SUFFIX: Final = ".part"
_SHOWN: Final = 10  # items named in a message


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, made if need be; the system ends it whatever ends this process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".bpsweep-lock"
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_same(file.fileno(), path):
                continue  # whoever held it before removed it: that lock binds nobody any more
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def build_folder(final: Path) -> Iterator[Path]:
    """Give a temporary folder beside `final` to fill; rename it, or on any error remove it.

    Call it under the lock of `final.parent`: what a killed process left of it is removed too.
    """
    building = final.with_name(f".{final.name}{BUILDING_SUFFIX}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        yield building
        building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def flush_files(folder: Path) -> None:
    """Have the files of a folder on disk, so that no power cut leaves a final name half-filled."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def count_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, have it on disk, and rename it."""
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name with nothing in it
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def advise(error: OSError) -> str:
    """What to do where a folder could not be written, to go before "or choose another folder"."""
    return {
        errno.EFBIG: "lift the file-size limit (`ulimit -f unlimited`)",
        errno.EROFS: "have it mounted for writing",
    }.get(error.errno or 0, "free space there")


def list_first(items: list[str], separator: str = ", ") -> str:
    """The first ten items for a message, and how many more there are."""
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return separator.join(items[:_SHOWN] + more)
