"""`bpsweep run` under random SIGKILLs: each configuration finishes once, nothing is left running.

The size is set by the environment, so that the same test runs small in CI and large by hand:
FAULT_POINTS=60 FAULT_KILLS=40 FAULT_SEED=1 FAULT_TIME=1500 pytest -s tests/test_agent_faults.py
"""

import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from sweep_support import BPSWEEP, list_at_work, make_environment, make_sweep_yaml, wait_until

from bpsweep.agent.verdict.controls import N_SHUFFLES

N_POINTS = int(os.environ.get("FAULT_POINTS", "6"))
N_KILLS = int(os.environ.get("FAULT_KILLS", "6"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
TIME_LIMIT_S = float(os.environ.get("FAULT_TIME", "240"))
N_EPOCHS = 40
GONE_S = 15.0
N_LATE = max(2, N_KILLS // 4)
"""Kills that wait for the runs beside the sweep, which are its last and short part."""

PARTS = {
    "command": "bpsweep.agent.command.main",
    "foreman": "bpsweep.agent.runs.foreman",
    "worker": "bpsweep.agent.runs.foreman",
    "server": "bpsweep.server",
    "beside": "multiprocessing.spawn",
    "wandb-core": "wandb-core",
}


class Scene:
    """A command that is started again whenever it ends before its work is done."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.home, self.log = folder / "home", folder / "run.log"
        self.environment = make_environment(self.home, images, {"WANDB_SILENT": "true"})
        self.path = make_sweep_yaml(
            folder, model="mlp", epochs=N_EPOCHS, seed=list(range(N_POINTS))
        )
        self.rng = random.Random(SEED)
        self.killed: Counter[str] = Counter()
        self.is_late = False
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("a") as stream:
            return subprocess.Popen(
                [*BPSWEEP, "run", str(self.path), "--agents", "2"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def list_processes(self) -> dict[str, list[psutil.Process]]:
        """Every process that works in this home, by what it is."""
        found: dict[str, list[psutil.Process]] = {name: [] for name in PARTS}
        for process in list_at_work(self.home):
            try:
                words, above = " ".join(process.cmdline()), process.parent()
                is_fork = above is not None and above.cmdline() == process.cmdline()
            except psutil.Error:
                continue
            for name, mark in PARTS.items():
                if mark in words and is_fork == (name == "worker"):
                    found[name].append(process)
        return found

    def kill_something(self) -> None:
        there = {name: ones for name, ones in self.list_processes().items() if ones}
        self.is_late = self.is_late or "beside" in there
        if self.killed.total() >= N_KILLS - (0 if self.is_late else N_LATE):
            return
        never = [name for name in there if not self.killed[name]]
        if not there:
            return
        name = self.rng.choice(sorted(never or there))
        self.rng.choice(there[name]).send_signal(signal.SIGKILL)
        self.killed[name] += 1

    def work(self) -> None:
        """Kill, and start the command again, until it ends well."""
        end = time.monotonic() + TIME_LIMIT_S
        while self.process.poll() != 0:
            assert time.monotonic() < end, (self.killed, self.log.read_text()[-3000:])
            if self.process.poll() is not None:
                self.process = self.start()
            time.sleep(self.rng.uniform(1.0, 5.0))
            self.kill_something()


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT_S + 60)
def test_every_configuration_finishes_once_whatever_is_killed(
    tmp_path: Path, small_set: Path
) -> None:
    scene = Scene(tmp_path, small_set)
    try:
        scene.work()
        print("killed:", dict(scene.killed))
        assert scene.killed["beside"], scene.killed
        wait_until(lambda: not any(scene.list_processes().values()), GONE_S, "the end of all")
    finally:
        for processes in scene.list_processes().values():
            for process in processes:
                process.kill()
    # The client's own thread may print one as its service is killed; none goes through our files.
    assert not re.search(r'File ".*/(agent|data|report)/\w+', scene.log.read_text())
    check_store(tmp_path / "home" / "server" / "bpsweep.sqlite3")


def check_store(path: Path) -> None:
    """Read the server's database: what finished, and with how many epochs."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((n_sweeps,),) = db.execute("SELECT count(*) FROM sweeps").fetchall()
        assert n_sweeps == 1
        rows = db.execute(
            "SELECT id, json_extract(config, '$.seed.value'), "
            "json_extract(config, '$.control.value'), sweep_id FROM runs WHERE state = 'finished'"
        ).fetchall()
        assert sorted(seed for _, seed, _, sweep in rows if sweep) == list(range(N_POINTS))
        controls = Counter(control for _, _, control, sweep in rows if not sweep)
        assert controls.pop("shuffled-labels") == N_SHUFFLES
        assert set(controls.values()) == {1} and len(controls) == 5, controls
        for run_id, _, _, sweep in rows:
            epochs = db.execute(
                "SELECT json_extract(data, '$.epoch') FROM history WHERE run_id = ? AND "
                "json_extract(data, '$.\"val/accuracy\"') IS NOT NULL ORDER BY line",
                (run_id,),
            ).fetchall()
            logged = [epoch for (epoch,) in epochs]
            assert not sweep or logged == list(range(1, N_EPOCHS + 1)), logged
    finally:
        db.close()
