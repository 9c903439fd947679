"""Ctrl-C and SIGTERM: one thing to a command, and held off where they would break something."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def take_sigterm_as_ctrl_c() -> None:
    """Have SIGTERM raise KeyboardInterrupt too: what was started is ended, then we go."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Hold an interruption off to the end of the block, for imports.

    One that meets a C extension as it loads becomes an ImportError, and one that meets a module
    that makes code of text is remembered by Python to its exit status.
    """
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        came.append(signum)

    before = {each: signal.signal(each, note) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            raise KeyboardInterrupt
