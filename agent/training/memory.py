"""How this process takes memory from the system."""

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # from glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 1 << 30
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc keep what a training step frees, for the next step to use.

    By default glibc maps every large buffer anew and gives it back at once; at 200 pixels the
    page faults of that cost a LeNet-5 step half its time. Returns whether the C library obeys.
    """
    mallopt = _find_function("mallopt")
    return mallopt is not None and all(
        mallopt(option, value) == 1
        for option, value in (
            (_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD),
            (_M_TRIM_THRESHOLD, _NEVER_TRIM),
            (_M_ARENA_MAX, 1),  # what one thread frees, another uses
        )
    )


def give_back_memory() -> None:
    """Give what the last run's steps have freed back to the system, before its pictures are drawn.

    Where several runs share a machine, the most that one of them holds counts.
    """
    if (trim := _find_function("malloc_trim")) is not None:
        trim(0)


def _find_function(name: str) -> Any:
    """Return a function of glibc; None where the C library is another."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
