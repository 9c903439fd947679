"""Local schedulers: what `wandb sweep-scheduler` asks for is run, once each, and nothing else."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from server_support import KEY, open_local_server, open_server_process, wait_until

from bpsweep.server import sweepfile
from bpsweep.server.errors import BadRequestError

CUSTOM = """
program: train.py
method: custom
metric: {name: loss, goal: minimize}
scheduler: {engine: optuna}
parameters: {x: {min: 0.0, max: 1.0}}
"""
ENQUEUE = """mutation EnqueueSweepRun($id: ID!, $config: JSONString!) {
    enqueueSweepRun(input: {id: $id, config: $config}) { id runQueueItemId } }"""

# How many runs, agents, and kills of each; the large proof is 40, 3, 2.
N_RUNS = int(os.environ.get("SCHEDULER_RUNS", "9"))
N_AGENTS = int(os.environ.get("SCHEDULER_AGENTS", "3"))
N_KILLS = int(os.environ.get("SCHEDULER_KILLS", "1"))
PROGRAM = """
import json, time, wandb
with wandb.init() as run:
    with open("started", "a") as file:
        file.write(json.dumps([run.id, dict(run.config)]) + "\\n")
    loss = (run.config["x"] - 0.3) ** 2 + (0.5 if run.config["kind"] == "bad" else 0.0)
    for epoch in range(3):
        run.log({"loss": loss + 1.0 / (epoch + 1)})
    run.log({"loss": loss})
"""
SOURCE = """
import json, optuna

def make_study(sweep):
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=4)
    return optuna.create_study(sampler=sampler, direction="minimize")

def draw(trial):
    kind = trial.suggest_categorical("kind", ["good", "bad"])
    x = trial.suggest_float("x", 0.0, 1.0 if kind == "good" else 0.5)
    values = {"kind": kind, "x": x}
    with open("asked", "a") as file:
        file.write(json.dumps(values) + "\\n")
    return values
"""
SWEEP = f"""
program: train.py
command: ["${{env}}", "${{interpreter}}", "${{program}}"]
method: custom
run_cap: {N_RUNS}
metric: {{name: loss, goal: minimize}}
scheduler: {{engine: optuna, source: search.py, optimizer: make_study, search_space: draw}}
"""


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store", lease_seconds=60) as opened:
        yield opened


def enqueue(server, sweep, x):
    config = json.dumps({"x": {"value": x}})
    return server.query(ENQUEUE, id=sweep["id"], config=config)["enqueueSweepRun"]["id"]


def finish(server, command, loss=1.0):
    server.start_run(command["run_id"])
    server.log(command["run_id"], {"loss": loss})
    server.finish(command["run_id"])


def test_agents_get_what_is_queued_and_nothing_else(server):
    sweep = server.make_sweep(CUSTOM)
    agents = [server.make_agent(sweep) for _ in range(2)]
    assert server.beat(agents[0]) == []
    names = [enqueue(server, sweep, x) for x in (0.5, 0.5)]
    assert len(set(names)) == 2
    commands = [server.beat(agent)[0] for agent in agents]
    assert [command["run_id"] for command in commands] == names
    assert commands[0]["args"] == {"x": {"value": 0.5}}
    for command in commands:
        finish(server, command)
    assert [server.beat(agent) for agent in agents] == [[], []]
    server.set_state(sweep, "FINISHED")
    assert server.beat(agents[0]) == [{"type": "exit"}]
    assert server.ask(ENQUEUE, id=sweep["id"], config="{}").status_code == 409
    path = f"/api/sweeps/bpsweep/p/{sweep['name']}/replay"
    assert server.http.get(path, auth=("api", KEY)).json()["differences"] == []


def test_a_cap_holds_back_the_scheduler_and_ends_the_sweep(server):
    sweep = server.make_sweep(f"{CUSTOM}run_cap: 1\n")
    agent = server.make_agent(sweep)
    enqueue(server, sweep, 0.1)
    assert server.ask(ENQUEUE, id=sweep["id"], config="{}").status_code == 429
    finish(server, server.beat(agent)[0])
    assert server.beat(agent) == [{"type": "exit"}]
    assert server.progress(sweep)["state"] == "FINISHED"


def test_a_run_asked_for_again_after_a_lost_answer_is_queued_once(tmp_path):
    with open_local_server(tmp_path / "store") as first:
        sweep = first.make_sweep(CUSTOM)
        name = enqueue(first, sweep, 0.1)
    with open_local_server(tmp_path / "store") as second:
        assert enqueue(second, sweep, 0.1) == name
        assert enqueue(second, sweep, 0.2) != name
        # Of this server's own answers none was lost: the same again is meant.
        assert enqueue(second, sweep, 0.2) not in (name, enqueue(second, sweep, 0.2))


def test_a_pruned_run_ends_with_its_result_and_says_so(server):
    sweep = server.make_sweep(CUSTOM)
    agent = server.make_agent(sweep)
    name = enqueue(server, sweep, 0.1)
    server.beat(agent)
    server.start_run(name)
    server.log(name, {"loss": 3.0})
    stop = "mutation S($id: ID!) { stopRun(input: {id: $id}) { success } }"
    server.query(stop, id=server.find_run(name)["id"])
    assert server.log(name, {"loss": 3.0}, offset=1)["stopped"] is True
    server.finish(name, exit_code=255)
    run = server.find_run(name)
    assert run["state"] == "finished"
    assert run["stopReason"].startswith("pruned by the scheduler (optuna)")
    assert server.retry(sweep)["retried"] == []


def test_a_queued_run_that_is_pruned_is_never_handed_out(server):
    sweep = server.make_sweep(CUSTOM)
    agent = server.make_agent(sweep)
    name = enqueue(server, sweep, 0.1)
    stop = "mutation S($id: ID!) { stopRun(input: {id: $id}) { success } }"
    server.query(stop, id=server.find_run(name)["id"])
    assert server.beat(agent) == []
    assert server.find_run(name)["state"] == "killed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: custom", "needs a 'scheduler' that suggests the runs"),
        ("method: custom\nscheduler: {engine: hyperopt}", "one of optuna, ax, wandb"),
        ("method: custom\nscheduler: optuna", "write {engine: optuna}, got 'optuna'"),
        ("method: random\nscheduler: {engine: optuna}", "goes with method custom, not"),
        ("method: custom\nscheduler: {engine: wandb}", "goes with method grid or random or bayes"),
        ("method: custom\nscheduler: {engine: ax, optimizer: f}", "which Python file, as 'source'"),
        ("method: random\nscheduler: {job: a/b}", "'scheduler.engine' is one of"),
        (
            "method: grid\nscheduler: {engine: wandb}\nmetric: {name: m}\n"
            "early_terminate: {type: hyperband, min_iter: 2}",
            "does not go with a 'scheduler'",
        ),
        ("method: custom\nscheduler: {engine: ax}\nmetrics: [{name: a}]", "at least two"),
        ("method: random\nmetrics: [{name: a}, {name: b}]", "'metrics' needs method 'custom'"),
    ],
)
def test_scheduler_files_say_what_is_wrong(text, message):
    with pytest.raises(BadRequestError, match=message):
        sweepfile.check_config(f"{text}\nparameters: {{a: {{values: [1, 2]}}}}\n")


def test_a_search_space_of_ones_own_needs_no_parameters():
    text = "program: t.py\nmethod: custom\nmetric: {name: m}\n"
    scheduler = "scheduler: {engine: optuna, source: s.py, search_space: draw}"
    assert sweepfile.check_config(text + scheduler)[1] == []
    with pytest.raises(BadRequestError, match="'parameters' is missing"):
        sweepfile.check_config(text + "scheduler: {engine: optuna}")


class Schedulers:
    """`wandb sweep-scheduler` on one sweep, started again after each kill."""

    def __init__(self, environment, folder, sweep):
        self.environment, self.folder, self.sweep = environment, folder, sweep
        self.process = None

    def start(self):
        batch = str(N_AGENTS + 1)
        with (self.folder / "scheduler.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wandb", "sweep-scheduler", "--batch-size", batch,
                 "--poll-interval", "1", self.sweep],
                cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_run_of_a_scheduler_is_run_once_whatever_is_killed(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in {"train.py": PROGRAM, "search.py": SOURCE, "sweep.yaml": SWEEP}.items():
        (folder / name).write_text(text)
    with open_server_process(tmp_path / "store") as server, contextlib.ExitStack() as stack:
        environment = server.make_environment(folder)
        made = subprocess.run(
            [sys.executable, "-m", "wandb", "sweep", "sweep.yaml"],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        sweep = made.stderr.split("wandb agent ")[1].split()[0]
        schedulers = Schedulers(environment, folder, sweep)
        schedulers.start()
        stack.callback(schedulers.kill)
        agents = []
        for n in range(N_AGENTS):
            with (folder / f"agent-{n}.log").open("wb") as log:
                command = [sys.executable, "-m", "wandb", "agent", sweep]
                agents.append(
                    subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
                )
            stack.callback(agents[-1].kill)
        for kill in range(1, N_KILLS + 1):
            n_before = N_RUNS * (2 * kill - 1) // (2 * N_KILLS + 1)
            wait_until(lambda n=n_before: len(read_lines(folder / "started")) >= n, 300, 0.3)
            schedulers.kill()
            schedulers.start()
            n_before = N_RUNS * 2 * kill // (2 * N_KILLS + 1)
            wait_until(lambda n=n_before: len(read_lines(folder / "started")) >= n, 300, 0.3)
            server.stop(signal.SIGKILL)
            time.sleep(1)
            server.start()
        path = f"/api/sweeps/{sweep}"
        wait_until(lambda: server.get(path)["state"] == "FINISHED", 600, 0.5)
        assert schedulers.process.wait(120) == 0, (folder / "scheduler.log").read_text()[-3000:]
        assert [agent.wait(60) for agent in agents] == [0] * N_AGENTS
        progress = server.get(path)
    assert progress["counts"] == {"finished": N_RUNS}
    started = read_lines(folder / "started")
    assert len({name for name, _ in started}) == len(started) == N_RUNS
    assert {run["name"] for run in progress["runs"]} == {name for name, _ in started}
    asked = read_lines(folder / "asked")
    assert all(run["args"] in asked for run in progress["runs"])
    best = min(run["summary"]["loss"] for run in progress["runs"])
    assert best < 0.2
