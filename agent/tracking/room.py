"""Whether there is room to work: where runs and the client write here, and at the server.

A run for which there is none waits, and is nobody's failure. What keeps a disk from being written
is told by `report/disk.py`; what the server's disk lacks, the server says with its life sign.
"""

import errno
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import platformdirs

from bpsweep.agent import home
from bpsweep.agent.errors import NoRoomError
from bpsweep.agent.tracking.address import CLOUD_URL, ask, server_url
from bpsweep.agent.tracking.proof import MUST_PROVE
from bpsweep.report.disk import KINDS, DiskTrouble, find_trouble, name_place, name_trouble

LOOK_S: Final = 2.0
"""How often is looked whether there is room again; what was found so long ago still holds."""
MAX_TRIES: Final = 5
"""How often what needs more room than was found is tried, before it is given up."""
_ANSWER_S: Final = 2.0
Answer = TypeVar("Answer")
Tell = Callable[[str], None]


class Room:
    """What was found when the disks were last looked at, for all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._here: DiskTrouble | None = None
        self._there: DiskTrouble | None = None

    def find_trouble(self) -> DiskTrouble | None:
        """Return what keeps runs from being written, None while nothing does."""
        self._look()
        return self._here or self._there

    def find_server_trouble(self) -> DiskTrouble | None:
        """Return what keeps the server from taking what it is told."""
        self._look()
        return self._there

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked_s < LOOK_S:
                return
            self._here = next(
                (found for each in list_folders() if (found := find_trouble(each))), None
            )
            self._there = ask_server()
            self._looked_s = time.monotonic()


ROOM: Final = Room()


def list_folders() -> Iterator[Path]:
    """Give the folders that a run writes to, here."""
    yield home.named_home()
    yield Path(os.environ.get("WANDB_DIR") or Path.cwd()) / "wandb"
    yield Path(os.environ.get("WANDB_DATA_DIR") or platformdirs.user_data_path("wandb"))
    yield Path(tempfile.gettempdir())


def ask_server() -> DiskTrouble | None:
    """Ask our own kind of server whether its disk takes what it is told; W&B's says nothing."""
    url = server_url()
    if url == CLOUD_URL:
        return None
    try:
        with ask(f"{url.rstrip('/')}/healthz", _ANSWER_S) as answer:
            name = json.loads(answer.read()).get("disk")
    except (OSError, ValueError, AttributeError):
        return None  # no server, or another kind
    kind = getattr(errno, str(name), None)
    if kind not in KINDS:
        return None
    is_embedded = MUST_PROVE in os.environ
    place = name_place(home.named_home() / "server") if is_embedded else f"the store of {url}"
    return DiskTrouble(place, kind)


def wait_for_room(is_leaving: Callable[[], bool] = bool, tell: Tell = print) -> None:
    """Wait until there is room; say once that we do.

    Args:
        is_leaving: Asked while we wait; once true, we wait no longer.
        tell: Told in a sentence.

    Raises:
        NoRoomError: Waiting is of no use.
    """
    told = None
    while (found := ROOM.find_trouble()) is not None:
        if found.is_final:
            raise NoRoomError(str(found))
        if is_leaving():
            return
        if told is None or told.kind != found.kind:
            tell(f"bpsweep: {found} Waiting for that.")
            told = found
        time.sleep(LOOK_S / 4)
    if told is not None:
        tell("bpsweep: there is room again.")


def insist_on_room(
    step: Callable[[], Answer], is_leaving: Callable[[], bool] = bool, tell: Tell = print
) -> Answer:
    """Do what writes to a disk; where that takes nothing more, wait for room and do it again.

    Args:
        step: What to do; done twice it must be as good as once.
        is_leaving: Asked while we wait; once true, we wait no longer.
        tell: Told in a sentence that we wait.

    Raises:
        NoRoomError: There is no room and we are to leave, waiting is of no use, or it needs more
            room than there is each time.
    """
    for _ in range(MAX_TRIES):
        wait_for_room(is_leaving, tell)
        try:
            return step()
        except Exception as error:
            refusal = as_no_room(error)
            if refusal is None:
                raise
            last = refusal
        if is_leaving():
            break
        time.sleep(LOOK_S)  # what was found before has to be looked at anew
    raise last


def as_no_room(error: BaseException) -> NoRoomError | None:
    """Return an error as one of a disk without room, None where that is not its cause."""
    if isinstance(error, NoRoomError):
        return error
    found = name_trouble(error, home.named_home())
    if found is None:
        return None
    known = ROOM.find_trouble()  # it names the folder that people know
    named = NoRoomError(str(known if known is not None and known.kind == found.kind else found))
    named.__cause__ = error
    return named
