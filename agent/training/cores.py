"""The cores of this machine, shared by the runs that train on it now.

A process that trains is present in a folder of BPSWEEP_HOME. So each can count the others, and
before every epoch takes its part of the cores: all of them for a run that is alone, one each for as
many as there are cores.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from bpsweep.agent import home
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.presence import count_present, stay_present
from bpsweep.data.folders import count_cpus
from bpsweep.report.disk import KINDS

THREADS = "BPSWEEP_THREADS"
"""The variable that sets a run's threads; with OMP_NUM_THREADS set, that holds."""


@contextmanager
def at_work() -> Iterator[None]:
    """Count this process among those that train, and give it its part of the cores."""
    with ExitStack() as stack:
        try:
            stack.enter_context(stay_present(_folder()))
        except OSError as error:
            if error.errno not in KINDS:
                raise
            # A disk that takes nothing more: we are not counted, and that is all.
        share_cores()
        yield


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
    """Return how many processes train now."""
    return count_present(_folder())


def _folder() -> Path:
    return home.named_home() / "at-work"


def _named_threads() -> int | None:
    text = os.environ.get(THREADS) or os.environ.get("OMP_NUM_THREADS")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{THREADS}={text!r} is no number of threads; take 1, 2, ...")
    return int(text)
