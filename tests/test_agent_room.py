"""A disk that takes nothing more: a run waits, tells it once, ends as nobody's failure."""

import errno
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from disk_support import fill, mount_tmpfs

from bpsweep.agent.errors import NoRoomError, TrackingError
from bpsweep.agent.tracking import room, trouble
from bpsweep.agent.tracking.run import EXIT_FAILED, EXIT_INTERRUPTED, TrackedRun
from bpsweep.report.disk import DiskTrouble

FULL = DiskTrouble("the folder '/x'", errno.ENOSPC, 0)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, DiskTrouble | None]:
    """Give what the next look at the disks finds."""
    found: dict[str, DiskTrouble | None] = {"now": None}
    monkeypatch.setattr(room.ROOM, "find_trouble", lambda: found["now"])
    monkeypatch.setattr(room, "LOOK_S", 0.02)
    return found


def test_a_run_waits_for_room_and_says_so_once(disk: dict[str, DiskTrouble | None]) -> None:
    said: list[str] = []
    disk["now"] = FULL
    threading.Timer(0.2, disk.update, kwargs={"now": None}).start()
    before_s = time.monotonic()
    room.wait_for_room(tell=said.append)
    assert time.monotonic() - before_s >= 0.2
    assert len(said) == 2 and "'/x' is full" in said[0] and "room again" in said[1]


def test_waiting_ends_when_the_run_is_to_leave_or_waiting_is_of_no_use(
    disk: dict[str, DiskTrouble | None],
) -> None:
    disk["now"] = FULL
    room.wait_for_room(lambda: True)
    disk["now"] = DiskTrouble("the folder '/x'", errno.EFBIG)
    with pytest.raises(NoRoomError, match="ulimit -f unlimited"):
        room.wait_for_room()


def test_a_step_is_done_again_when_there_is_room(disk: dict[str, DiskTrouble | None]) -> None:
    n_done = 0

    def step() -> int:
        nonlocal n_done
        n_done += 1
        if n_done < 3:
            raise ValueError("in other words") from OSError(errno.EDQUOT, "over quota", "/x/file")
        return n_done

    assert room.insist_on_room(step) == 3


def test_what_never_fits_is_given_up_with_the_reason(disk: dict[str, DiskTrouble | None]) -> None:
    tries = 0

    def step() -> None:
        nonlocal tries
        tries += 1
        raise OSError(errno.ENOSPC, "No space left on device", "/x/file")

    with pytest.raises(NoRoomError, match="'/x' is full"):
        room.insist_on_room(step)
    assert tries == room.MAX_TRIES


def test_another_error_is_no_matter_of_room(disk: dict[str, DiskTrouble | None]) -> None:
    def step() -> None:
        raise PermissionError(errno.EACCES, "no", "/x/file")

    with pytest.raises(PermissionError):
        room.insist_on_room(step)


def test_a_full_disk_of_ours_is_not_taken_for_the_server(
    disk: dict[str, DiskTrouble | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def call() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trouble, "wait_for_server", lambda is_leaving: True)
    with pytest.raises(NoRoomError) as caught:
        trouble.insist(call)
    assert not isinstance(caught.value, TrackingError)


@pytest.mark.parametrize(
    ("error", "code", "is_told"),
    [
        (NoRoomError("the folder '/x' is full"), EXIT_INTERRUPTED, False),
        (ValueError("wrong"), EXIT_FAILED, True),
    ],
)
def test_a_run_without_room_is_interrupted_and_has_not_failed(
    error: Exception, code: int, is_told: bool
) -> None:
    class Run:
        def __init__(self) -> None:
            self.summary: dict[str, Any] = {}
            self.ended: list[int] = []

        def finish(self, exit_code: int) -> None:
            self.ended.append(exit_code)

    tracked, opened = TrackedRun(), Run()
    tracked._run = opened  # type: ignore[assignment]
    tracked.close(error)
    assert opened.ended == [code] and bool(opened.summary) == is_told


def test_a_full_disk_costs_a_worker_words_and_nothing_else(tmp_path: Path) -> None:
    program = """
import sys, pathlib
from bpsweep.agent.runs.log import log_to
log_to(pathlib.Path(sys.argv[1]))
for _ in range(20_000):
    print("a line that is long enough to fill what is left of the last page")
print("an error", file=sys.stderr)
"""
    with mount_tmpfs(tmp_path / "small", 1) as folder:
        fill(folder, n_left=8192)
        for name in ("log", "missing/log"):
            (folder / name).parent.mkdir(exist_ok=True)
            done = subprocess.run(
                [sys.executable, "-c", program, str(folder / name)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert "a line that is long" in (folder / "log").read_text()
