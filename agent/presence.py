"""Which processes are here now: a locked file for each, in a folder.

The system ends a file's lock whatever ends its process, SIGKILL too. A fork holds the lock with its
parent, so a family of forks is here until the last of them is gone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def stay_present(folder: Path) -> Iterator[None]:
    """Be counted among the processes of a folder for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(os.getpid())
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):  # a disk that has become read-only
                path.unlink(missing_ok=True)


def count_present(folder: Path) -> int:
    """Return how many processes of a folder are alive; what the dead left is cleared away."""
    n_found = 0
    for path in folder.glob("[0-9]*"):
        if _is_locked(path):
            n_found += 1
        elif not psutil.pid_exists(int(path.name)):
            with suppress(OSError):  # a disk that has become read-only
                path.unlink(missing_ok=True)
    return n_found


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # ended this moment
        return False
    return False


@contextmanager
def take_turn(path: Path) -> Iterator[None]:
    """Do the block while no other process does it: wait for a lock, and hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)
