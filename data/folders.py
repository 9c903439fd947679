"""Folders and files that appear whole or not at all, also when two processes make the same."""

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


def count_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it."""
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        part.write_bytes(content)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def list_first(items: list[str], separator: str = ", ") -> str:
    """The first ten items for a message, and how many more there are."""
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return separator.join(items[:_SHOWN] + more)
