"""`bpsweep run` on disks that take nothing more: told at once, nothing lost, nothing twice."""

import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from disk_support import fill, limit_files, mount_ext4, mount_tmpfs, repair, turn_read_only
from sweep_support import BPSWEEP, list_at_work, make_environment, make_sweep_yaml, wait_until

SAID_S = 10.0
"""Within this, the user knows which folder is full."""
RATES = [1e-2, 1e-3, 1e-4, 1e-5]
N_EPOCHS = 60


class Command:
    """`bpsweep run` of a small sweep in a home on a small disk."""

    def __init__(self, folder: Path, home: Path, images: Path) -> None:
        self.home, self.log = home, folder / "run.log"
        self.environment = make_environment(home, images, {"WANDB_SILENT": "true"})
        self.path = make_sweep_yaml(
            folder, learning_rate=RATES, epochs=N_EPOCHS, model="mlp", image_size=48
        )

    def start(self, *before: str) -> subprocess.Popen[bytes]:
        with self.log.open("a") as stream:
            return subprocess.Popen(
                [*before, *BPSWEEP, "run", str(self.path), "--agents", "2", "--no-controls"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def server_said(self) -> str:
        return (self.home / "server" / "server.log").read_text()

    def trains(self) -> bool:
        texts = [file.read_text() for file in (self.home / "logs").rglob("*.log")]
        return any(f"epoch 5/{N_EPOCHS}" in text for text in texts)

    def processes(self) -> list[psutil.Process]:
        return list_at_work(self.home)

    def check_finished(self, n_interrupted: int = 0) -> None:
        """Each configuration finished once, with every epoch; none failed or crashed."""
        with closing(sqlite3.connect(self.home / "server" / "bpsweep.sqlite3")) as db:
            assert db.execute("SELECT count(*) FROM sweeps").fetchall() == [(1,)]
            runs = db.execute(
                "SELECT id, state, json_extract(config, '$.learning_rate.value') FROM runs"
            ).fetchall()
            finished = [(number, rate) for number, state, rate in runs if state == "finished"]
            assert sorted(rate for _, rate in finished) == sorted(RATES), runs
            assert len(runs) == len(RATES) + n_interrupted, runs
            assert not Counter(state for _, state, _ in runs)["failed"], runs
            for number, _ in finished:
                rows = db.execute(
                    "SELECT json_extract(data, '$.epoch') FROM history WHERE run_id = ? AND "
                    "json_extract(data, '$.\"val/accuracy\"') IS NOT NULL ORDER BY line",
                    (number,),
                ).fetchall()
                assert [epoch for (epoch,) in rows] == list(range(1, N_EPOCHS + 1))


@contextmanager
def at_work(folder: Path, disk: Path, images: Path) -> Iterator[Command]:
    made = Command(folder, disk / "home", images)
    try:
        yield made
    finally:
        for process in made.processes():
            process.kill()


@pytest.fixture
def command(tmp_path: Path, small_set: Path) -> Iterator[Command]:
    with mount_tmpfs(tmp_path / "small", 80) as disk, at_work(tmp_path, disk, small_set) as made:
        yield made


@pytest.mark.slow
def test_a_sweep_waits_for_room_and_goes_on(command: Command) -> None:
    process = command.start()
    wait_until(command.trains, 120, "training")
    filler = fill(command.home.parent)
    full = f"the folder {str(command.home)!r} is full (0.0 MB free). Delete something there"
    wait_until(lambda: full in command.said(), SAID_S, f"{command.said()}: a word of it")
    wait_until(lambda: "is full" in command.server_said(), SAID_S, "the server's word of it")
    time.sleep(3)  # the runs come to the end of their epoch, and wait there
    assert process.poll() is None
    filler.unlink()
    assert process.wait(timeout=90) == 0, command.said()
    assert command.said().count(full) == 1 and "There is room again." in command.said()
    assert "Traceback" not in command.said() + command.server_said()
    command.check_finished()
    assert not list(command.home.rglob(".bpsweep-room*"))


@pytest.mark.slow
def test_runs_on_a_disk_that_turned_read_only_come_back(tmp_path: Path, small_set: Path) -> None:
    with mount_ext4(tmp_path / "disk", 100) as disk, at_work(tmp_path, disk, small_set) as command:
        process = command.start()
        wait_until(command.trains, 120, "training")
        turn_read_only(disk)
        wait_until(lambda: "is read-only" in command.said(), SAID_S, "a word of it")
        assert str(command.home) in command.said()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        wait_until(lambda: not command.processes(), 15, "the end of all")
        repair(disk)
        assert command.start().wait(timeout=120) == 0, command.said()
        assert "Continuing sweep" in command.said() and "Traceback" not in command.said()
        command.check_finished(n_interrupted=2)  # their end could not be kept, so they come back


@pytest.mark.slow
def test_nothing_is_begun_that_would_only_wait(command: Command) -> None:
    fill(command.home.parent, n_left=3 << 20)
    assert command.start().wait(timeout=SAID_S) == 2
    assert f"{str(command.home)!r} is full (3.1 MB free)" in command.said()
    assert "Nothing is begun before that." in command.said()
    assert not command.home.exists()


@pytest.mark.slow
def test_a_file_size_limit_ends_the_command_with_a_word(command: Command) -> None:
    assert command.start(*limit_files(1 << 20)).wait(timeout=SAID_S) == 2
    assert "ulimit -f unlimited" in command.said() and "Traceback" not in command.said()
    assert not command.home.exists()
