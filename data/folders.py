"""Folders that appear whole or not at all, also when two processes make the same one."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

Progress = Callable[[int, int], None]  # (images done, images in all)

_SUFFIX: Final = ".building"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, made if need be; the system ends it whatever ends this process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def build_folder(final: Path) -> Iterator[Path]:
    """Give a temporary folder beside `final` to fill; rename it, or on any error remove it.

    Call it under the lock of `final.parent`: what killed processes left there is removed too.
    """
    for left in final.parent.glob(f".*{_SUFFIX}"):
        shutil.rmtree(left, ignore_errors=True)
    building = final.with_name(f".{final.name}{_SUFFIX}")
    building.mkdir()
    try:
        yield building
        building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def count_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
