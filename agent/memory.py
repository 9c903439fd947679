"""How this process takes memory from the system."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # from glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 1 << 30
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc keep what a training step frees, for the next step to use.

    By default glibc maps every large buffer anew and gives it back at once; at 200 pixels the
    page faults of that cost a LeNet-5 step half its time. Returns whether the C library obeys.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # a C library other than glibc
        return False
    return all(
        mallopt(option, value) == 1
        for option, value in (
            (_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD),
            (_M_TRIM_THRESHOLD, _NEVER_TRIM),
            (_M_ARENA_MAX, 1),  # what one thread frees, another uses
        )
    )
