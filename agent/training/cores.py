"""The cores of this machine, shared by the runs that train on it now.

A process that trains holds the lock of a file of its own in BPSWEEP_HOME; the system ends the lock
whatever ends the process. So each can count the others, and before every epoch takes its part of
the cores: all of them for a run that is alone, one each for as many as there are cores.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from threadpoolctl import threadpool_limits

from bpsweep.agent import home
from bpsweep.agent.errors import ConfigError
from bpsweep.data.folders import count_cpus

THREADS = "BPSWEEP_THREADS"
"""The variable that sets a run's threads; with OMP_NUM_THREADS set, that holds."""


@contextmanager
def at_work() -> Iterator[None]:
    """Count this process among those that train, and give it its part of the cores."""
    folder = home.home() / "at-work"
    folder.mkdir(exist_ok=True)
    path = folder / str(os.getpid())
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            share_cores()
            yield
        finally:
            path.unlink(missing_ok=True)


def share_cores() -> int:
    """Set this process's threads to its part of the cores; return how many they are.

    Raises:
        ConfigError: BPSWEEP_THREADS is no number of threads.
    """
    n_threads = _named_threads() or max(1, count_cpus() // max(1, count_at_work()))
    if n_threads != torch.get_num_threads():
        torch.set_num_threads(n_threads)
        threadpool_limits(n_threads)  # numpy's and scikit-learn's
    return n_threads


def count_at_work() -> int:
    """Return how many processes train now; what was killed while it did is cleared away."""
    n_found = 0
    for path in (home.home() / "at-work").glob("[0-9]*"):
        if _is_locked(path):
            n_found += 1
        elif not psutil.pid_exists(int(path.name)):
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


def _named_threads() -> int | None:
    text = os.environ.get(THREADS) or os.environ.get("OMP_NUM_THREADS")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{THREADS}={text!r} is no number of threads; take 1, 2, ...")
    return int(text)
