"""A long life compressed: many short runs; the server neither grows nor keeps what it opened.

Small here, by hand with the numbers of the claim:
LIFE_RUNS=1000 LIFE_AGENTS=8 LIFE_SECONDS=1 pytest -s --timeout 3000 tests/test_server_life.py
"""

import os
import subprocess
import sys
import time

import psutil
import pytest
from server_support import open_server_process, wait_until

N_RUNS = int(os.environ.get("LIFE_RUNS", "20"))
N_AGENTS = int(os.environ.get("LIFE_AGENTS", "4"))
SECONDS = float(os.environ.get("LIFE_SECONDS", "0.1"))
TIME_LIMIT_S = 200 + 3 * N_RUNS
N_WARM = max(N_RUNS // 10, N_AGENTS)
N_STEPS = 5
MAX_GROWTH = 50 << 20
PROGRAM = f"""
import sys, time, wandb

def train():
    with wandb.init(settings=wandb.Settings(console="off")) as run:
        for step in range({N_STEPS}):
            run.log({{"loss": run.config.x * step}})
            time.sleep({SECONDS / N_STEPS})

wandb.agent(sys.argv[1], function=train)
"""
SWEEP = f"""
method: random
run_cap: {N_RUNS}
metric: {{name: loss, goal: minimize}}
parameters: {{x: {{min: 0.0, max: 1.0}}}}
"""
CREATE = """mutation S($config: String) { upsertSweep(input: {config: $config,
    entityName: "bpsweep", projectName: "p"}) { sweep { name } } }"""


def start_agent(server, folder, sweep, number):
    place = folder / f"agent{number}"
    place.mkdir()
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, f"bpsweep/p/{sweep}"],
            cwd=place,
            env=server.make_environment(place),
            stdout=log,
            stderr=log,
        )


def count_ended(server, path):
    counts = server.get(path)["counts"]
    return counts.get("finished", 0) + counts.get("failed", 0) + counts.get("crashed", 0)


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT_S + 60)
def test_a_thousand_runs_leave_nothing_behind(tmp_path):
    with open_server_process(tmp_path / "store") as server:
        body = {"query": CREATE, "variables": {"config": SWEEP}}
        sweep = server.post("/graphql", body)["data"]["upsertSweep"]["sweep"]["name"]
        path = f"/api/sweeps/bpsweep/p/{sweep}"
        process = psutil.Process(server.process.pid)
        agents = [start_agent(server, tmp_path, sweep, n) for n in range(N_AGENTS)]
        start = time.monotonic()
        try:
            wait_until(lambda: count_ended(server, path) >= N_WARM, TIME_LIMIT_S, 0.5)
            warm_rss, warm_handles = process.memory_info().rss, process.num_fds()
            for agent in agents:
                assert agent.wait(TIME_LIMIT_S) == 0
        finally:
            for agent in agents:
                agent.kill()
        took_s = time.monotonic() - start
        progress = server.get(path)
        wait_until(lambda: count_connections(process) == 0, 30)
        handles = process.num_fds()
        growth = process.memory_info().rss - warm_rss
        print(
            f"{N_RUNS} runs by {N_AGENTS} agents in {took_s:.0f} s; after the first {N_WARM} the"
            f" server grew from {warm_rss / 2**20:.0f} MiB by {growth / 2**20:.1f} MiB; handles"
            f" {warm_handles} then, {handles} at the end"
        )
    assert progress["counts"] == {"finished": N_RUNS}
    assert {run["step"] for run in progress["runs"]} == {N_STEPS - 1}
    assert growth < MAX_GROWTH
    assert handles <= warm_handles


def count_connections(process):
    found = process.net_connections(kind="tcp")
    return sum(connection.status == psutil.CONN_ESTABLISHED for connection in found)
