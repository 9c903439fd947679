"""Whatever is killed, nothing is left behind and nothing is lost: real processes, real signals."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweep_support import (
    BPSWEEP,
    find_sweep_path,
    list_at_work,
    make_environment,
    make_sweep_yaml,
    read_report,
    wait_until,
)

GONE_S = 15.0
"""Within this, nothing of ours is left after whatever was killed."""


class Command:
    """`bpsweep run` of a small sweep in a home of its own."""

    def __init__(self, folder: Path, images: Path, **extra: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.environment = make_environment(self.home, images, {"WANDB_SILENT": "true", **extra})
        self.log = folder / "run.log"
        self.path = make_sweep_yaml(
            folder, learning_rate=[1e-2, 1e-3, 1e-4, 1e-5], epochs=150, model="mlp", image_size=48
        )

    def start(self, *options: str, controls: bool = False) -> subprocess.Popen[bytes]:
        with self.log.open("a") as stream:
            return subprocess.Popen(
                [*BPSWEEP, "run", str(self.path), "--agents", "2", *options]
                + ([] if controls else ["--no-controls"]),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def trained(self, epoch: int = 5) -> bool:
        texts = [file.read_text() for file in (self.home / "logs").rglob("*.log")]
        return any(f"epoch {epoch}/150" in text for text in texts)

    def processes(self) -> list[psutil.Process]:
        return list_at_work(self.home)

    def find(self, *words: str, forked: bool = False) -> list[psutil.Process]:
        """Those whose command line holds some words; forks of a foreman, or what is no fork."""
        found = [
            one for one in self.processes() if all(w in " ".join(one.cmdline()) for w in words)
        ]
        own = {one.pid for one in found}
        return [one for one in found if (one.ppid() in own) == forked]

    def check_all_finished(self) -> None:
        report = read_report(find_sweep_path(self.said()), self.folder, self.environment)
        rates = sorted(row["learning_rate"] for row in report["configurations"])
        assert rates == [1e-5, 1e-4, 1e-3, 1e-2]
        assert {row["state"] for row in report["configurations"]} == {"finished"}

    def check_nothing_left(self) -> None:
        wait_until(lambda: not self.processes(), GONE_S, f"{self.processes()}: their end")


@pytest.fixture
def command(tmp_path: Path, small_set: Path) -> Iterator[Command]:
    made = Command(tmp_path, small_set)
    yield made
    for process in made.processes():
        process.kill()


def _read_words(process: psutil.Process) -> set[str]:
    try:
        return {word.rpartition("/")[2] for word in process.cmdline()}
    except psutil.Error:
        return set()


FOREMAN, SERVER, CORE = ("bpsweep.agent.runs.foreman",), ("bpsweep.server",), ("wandb-core",)


@pytest.mark.slow
def test_a_closed_terminal_ends_all_of_it_in_order(command: Command) -> None:
    process = command.start()
    wait_until(command.trained, 90, "training")
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(timeout=GONE_S) == 130
    assert "  bpsweep run" in command.said() and "Traceback" not in command.said()
    command.check_nothing_left()


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_and_the_next_one_goes_on(command: Command) -> None:
    process = command.start()
    wait_until(command.trained, 90, "training")
    process.kill()
    process.wait()
    command.check_nothing_left()
    assert command.start().wait(timeout=150) == 0, command.said()
    assert "Continuing sweep" in command.said()
    command.check_all_finished()
    command.check_nothing_left()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["server", "foreman", "worker", "wandb-core"])
def test_a_sweep_survives_the_death_of_any_of_its_processes(command: Command, victim: str) -> None:
    process = command.start()
    wait_until(command.trained, 90, "training")
    find: dict[str, Callable[[], list[psutil.Process]]] = {
        "server": lambda: command.find(*SERVER),
        "foreman": lambda: command.find(*FOREMAN),
        "worker": lambda: command.find(*FOREMAN, forked=True),
        "wandb-core": lambda: command.find(*CORE),
    }
    for killed in find[victim]()[: 1 if victim == "worker" else None]:
        killed.kill()
    assert process.wait(timeout=200) == 0, command.said()
    said = {
        "server": "The embedded server had died; it is started again.",
        "foreman": "was ended by SIGKILL; they are started again.",
    }
    assert said.get(victim, "") in command.said()
    if victim == "wandb-core":
        logs = "".join(file.read_text() for file in (command.home / "logs").rglob("*.log"))
        assert "wandb-core, the process in which" in logs and "Traceback" not in logs
    command.check_all_finished()
    command.check_nothing_left()


@pytest.mark.slow
def test_a_server_that_stands_still_for_a_minute_costs_no_run(command: Command) -> None:
    process = command.start()
    wait_until(command.trained, 90, "training")
    (server,) = command.find(*SERVER)
    server.suspend()
    time.sleep(60)  # longer than the lease of a run, and than a login waits
    server.resume()
    assert process.wait(timeout=200) == 0, command.said()
    command.check_all_finished()
    report = read_report(find_sweep_path(command.said()), command.folder, command.environment)
    assert all(" (try " not in str(row) for row in report["configurations"])


@pytest.mark.slow
def test_workers_that_cannot_start_are_told_and_leave_no_server(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "matplotlib.py").write_text("raise ImportError('no matplotlib today')")
    command.environment["PYTHONPATH"] = str(tmp_path / "broken")
    before_s = time.monotonic()
    process = command.start()
    assert process.wait(timeout=40) == 2
    assert time.monotonic() - before_s < 30  # with the images, which are cached first
    assert "the workers died" in command.said() and "no matplotlib today" in command.said()
    command.check_nothing_left()


@pytest.mark.slow
def test_two_commands_at_once_work_on_one_sweep(command: Command) -> None:
    both = [command.start(), command.start()]
    assert [process.wait(timeout=200) for process in both] == [0, 0], command.said()
    assert command.said().count("Created sweep") == 1
    assert command.said().count("Continuing sweep") == 1
    command.check_all_finished()
    command.check_nothing_left()


@pytest.mark.slow
def test_controls_go_on_whatever_is_killed(command: Command) -> None:
    process = command.start(controls=True)

    def is_beside(epoch: int) -> bool:
        texts = [file.read_text() for file in (command.home / "logs").rglob("beside-*.log")]
        return any(f"epoch {epoch}/150" in text for text in texts)

    wait_until(lambda: is_beside(5), 150, "a control's training")
    command.find("multiprocessing.spawn")[0].kill()
    again = "runs beside the sweep has died"
    wait_until(lambda: again in command.said(), 20, f"{command.said()}: a word of it")
    wait_until(lambda: command.find("multiprocessing.spawn"), 20, "another start")
    process.kill()
    process.wait()
    command.check_nothing_left()
    assert command.start(controls=True).wait(timeout=200) == 0, command.said()
    assert command.said().count("Created sweep") == 1, command.said()
    assert "did not finish" not in command.said()
    command.check_all_finished()
    command.check_nothing_left()


@pytest.mark.slow
def test_fresh_processes_train_where_forks_are_not_used(tmp_path: Path, small_set: Path) -> None:
    """As on macOS, where a forked torch can crash."""
    command = Command(tmp_path, small_set, BPSWEEP_FORK="0")
    process = command.start()
    wait_until(command.trained, 90, "training")
    assert command.find(*FOREMAN, "--worker", forked=False)
    arguments: list[Any] = [one.cmdline() for one in command.processes()]
    key = (command.home / "server" / "api_key").read_text().strip()
    assert key not in str(arguments)
    assert process.wait(timeout=150) == 0, command.said()
    command.check_all_finished()
    command.check_nothing_left()
