"""Processes are killed at random; no configuration is lost, none finishes twice.

The size is set by the environment, so that the same test runs small in CI and large by hand:
FAULT_POINTS=60 FAULT_AGENTS=6 FAULT_KILLS=40 FAULT_SEED=1 pytest tests/test_server_faults.py
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time

import psutil
import pytest
from server_support import ServerProcess

N_POINTS = int(os.environ.get("FAULT_POINTS", "5"))
N_AGENTS = int(os.environ.get("FAULT_AGENTS", "2"))
N_KILLS = int(os.environ.get("FAULT_KILLS", "4"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
TIME_LIMIT_S = float(os.environ.get("FAULT_TIME", "280"))
N_STEPS = 4
PROGRAM = f"""
import time, wandb
with wandb.init() as run:
    for step in range({N_STEPS}):
        run.log({{"value": run.config["a"] * 100 + step}})
        time.sleep(0.4)
"""
CONFIG = f"""
program: fault_train.py
method: grid
parameters: {{a: {{values: {list(range(N_POINTS))}}}}}
command: ["${{env}}", "${{interpreter}}", "${{program}}"]
"""


class Scene:
    """A server and agents that are killed and started again."""

    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        options = ("--lease-seconds", "20", "--max-attempts", "100")
        self.server = ServerProcess(folder / "store", *options).start()
        self.environment = self.server.make_environment(folder)
        self.log = (folder / "agents.log").open("wb")
        self.sweep = self.make_sweep()
        self.agents = [self.start_agent() for _ in range(N_AGENTS)]
        self.killed = dict.fromkeys(("server", "agent", "training"), 0)

    def make_sweep(self):
        answer = subprocess.run(
            ["wandb", "sweep", "sweep.yaml"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return answer.stderr.split("wandb agent ")[1].split()[0]

    def start_agent(self):
        return subprocess.Popen(
            ["wandb", "agent", self.sweep],
            cwd=self.folder,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )

    def kill_something(self):
        kinds = ["server", "agent", "training", "training"]
        never = [kind for kind in kinds if not self.killed[kind]]
        kind = self.rng.choice(never or kinds)
        if kind == "server":
            self.server.stop(signal.SIGKILL)
            time.sleep(self.rng.uniform(0, 1.5))
            self.server.start()
        elif kind == "agent":
            number = self.rng.randrange(N_AGENTS)
            self.agents[number].kill()
            self.agents[number].wait()
            self.agents[number] = self.start_agent()
        else:
            programs = self.list_programs()
            if not programs:
                return
            self.rng.choice(programs).kill()
        self.killed[kind] += 1

    def list_programs(self):
        found = []
        for process in psutil.process_iter(["cmdline", "cwd", "ppid"]):
            command = process.info["cmdline"] or []
            if command[-1:] == ["fault_train.py"] and process.info["cwd"] == str(self.folder):
                found.append(process)
        return found

    def read(self):
        return self.server.get(f"/api/sweeps/{self.sweep}")

    def restart_agents_that_left(self):
        for number, agent in enumerate(self.agents):
            if agent.poll() is not None:
                self.agents[number] = self.start_agent()

    def end(self):
        for process in self.agents:
            process.kill()
            process.wait()
        for process in self.list_programs():
            process.kill()
        if self.server.process.poll() is None:
            self.server.stop(signal.SIGKILL)
        self.log.close()


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT_S + 60)
def test_every_configuration_finishes_once_whatever_is_killed(tmp_path):
    (tmp_path / "fault_train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(CONFIG)
    scene = Scene(tmp_path, random.Random(SEED))
    end = time.monotonic() + TIME_LIMIT_S
    try:
        while (progress := scene.read())["state"] != "FINISHED":
            assert time.monotonic() < end, (scene.killed, progress["counts"])
            time.sleep(scene.rng.uniform(0.3, 2.5))
            if sum(scene.killed.values()) < N_KILLS:
                scene.kill_something()
            scene.restart_agents_that_left()
    finally:
        scene.end()
    print("killed:", scene.killed, "runs:", progress["counts"])
    assert sum(scene.killed.values()) == N_KILLS or progress["counts"]["finished"] == N_POINTS
    check_store(tmp_path / "store" / "bpsweep.sqlite3")


def check_store(path):
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        finished = db.execute(
            "SELECT runs.id, runs.config FROM runs WHERE state = 'finished'"
        ).fetchall()
        points = [json.loads(config)["a"]["value"] for _, config in finished]
        assert sorted(points) == list(range(N_POINTS))
        for (run_id, _), point in zip(finished, points, strict=True):
            lines = db.execute(
                "SELECT data FROM history WHERE run_id = ? ORDER BY line", (run_id,)
            ).fetchall()
            values = [json.loads(line)["value"] for (line,) in lines]
            assert values == [point * 100 + step for step in range(N_STEPS)]
    finally:
        db.close()
