"""A command's eye on the disks: whatever it waits for meanwhile, the user is told why."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from bpsweep.agent.errors import NoRoomError
from bpsweep.agent.tracking.room import LOOK_S, ROOM
from bpsweep.report.disk import DiskTrouble

WAITING = "The runs wait for that, and go on by themselves."


class RoomWatch:
    """Looks at the disks in a thread of its own, and says what has changed.

    Attributes:
        trouble: Why nothing can be written, None while it can.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_over = threading.Event()
        self.trouble: DiskTrouble | None = None
        threading.Thread(target=self._watch, name="watch of the disks", daemon=True).start()

    def require(self) -> None:
        """Go on only if waiting for room is of use.

        Raises:
            NoRoomError: It is not.
        """
        if self.trouble is not None and self.trouble.is_final:
            raise NoRoomError(str(self.trouble))

    def wait(self) -> None:
        """Wait until there is room.

        Raises:
            NoRoomError: Waiting is of no use.
        """
        while ROOM.find_trouble() is not None:
            self.require()
            time.sleep(LOOK_S / 4)

    def close(self) -> None:
        """Look no more."""
        self._is_over.set()

    def _watch(self) -> None:
        while not self._is_over.wait(LOOK_S / 2):
            before, self.trouble = self.trouble, ROOM.find_trouble()
            if self.trouble is None:
                if before is not None:
                    self._console.print("There is room again.", highlight=False)
            elif not self.trouble.is_final and (before is None or before.kind != self.trouble.kind):
                self._console.print(f"{self.trouble} {WAITING}", highlight=False, markup=False)


@contextmanager
def watched_room(console: Console) -> Iterator[RoomWatch]:
    """Watch the disks for the length of the block.

    Args:
        console: Where is said what has changed.

    Raises:
        NoRoomError: There is no room from the start: nothing is begun that would only wait.
    """
    found = ROOM.find_trouble()
    if found is not None:
        raise NoRoomError(f"{found} Nothing is begun before that.")
    watch = RoomWatch(console)
    try:
        yield watch
    finally:
        watch.close()
