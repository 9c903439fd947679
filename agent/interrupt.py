"""Ctrl-C, SIGTERM and a closed terminal: one thing to a command, held off while it imports."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command, a worker, a run: in order, with what it has."""


def take_signals_as_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt too: what was started is ended, then we go.

    A SIGHUP that is ignored stays ignored: `nohup` asks for that.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave_terminal)


def _leave_terminal(signum: int, frame: FrameType | None) -> None:
    """Write to a terminal that is gone no more: that would be an error in the middle of the end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        if os.isatty(stream) or _is_broken(stream):
            os.dup2(nowhere, stream)
    os.close(nowhere)
    raise KeyboardInterrupt


def _is_broken(stream: int) -> bool:
    try:
        os.write(stream, b"")
    except OSError:
        return stream > 0
    return False


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Hold an interruption off to the end of the block, for imports.

    One that meets a C extension as it loads becomes an ImportError, and one that meets a module
    that makes code of text is remembered by Python to its exit status.
    """
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        came.append(signum)

    held = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN]
    before = {each: signal.signal(each, note) for each in held}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            handler = before[signal.Signals(came[0])]
            if callable(handler):
                handler(came[0], None)
            raise KeyboardInterrupt
