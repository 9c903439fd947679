"""A process that does not outlive the one that started it, however that one ended."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil

GRACE_S = 8.0
"""How long what a process does may take to end in order, before it is ended all at once."""
EXIT_ORPHAN = 70


def end_with(pipe: int) -> None:
    """Have this process end when the other end of a pipe is closed: its holder is gone.

    It is told so by SIGTERM, as by anyone who wants it to end in order, and ended with all that it
    started if it is still there after `GRACE_S`.

    Args:
        pipe: The reading end; nobody but the process that must live holds the other one.
    """

    def wait() -> None:
        while os.read(pipe, 4096):
            pass
        end_in_order()

    threading.Thread(target=wait, name="watch of the parent", daemon=True).start()


def end_in_order() -> None:
    """Send this process SIGTERM, and end it after `GRACE_S`; called in a thread of its own."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    sys.stderr.write("bpsweep: ended at once: the process that started this one is gone.\n")
    os._exit(EXIT_ORPHAN)


def main() -> int:
    """Run a command, another program's say, that ends with the holder of our standard input."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    end_with(0)
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
