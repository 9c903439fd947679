"""The stock client, in real processes, against the real server."""

import concurrent.futures
import contextlib
import json
import re
import subprocess
import sys
import time

import pytest
from server_support import open_server_process, wait_until

# What an agent starts: no torch, a handful of logged points, an image and a file of weights.
PROGRAM = """
import hashlib, json, os, sys, time
import wandb

with wandb.init(tags=["tiny"], notes="a note") as run:
    started = os.environ.get("STARTED")
    if started:
        with open(started, "a") as file:
            file.write(json.dumps([run.id, run.config["a"], run.config["b"]]) + "\\n")
    for step in range(5):
        loss = run.config["a"] * 10 + run.config["b"] / (step + 1)
        run.log({"loss": loss, "step_twice": step * 2})
        print("step", step)
        time.sleep(float(os.environ.get("PAUSE", "0")))
"""
CONFIG = """
program: train.py
name: tiny grid
method: grid
metric: {name: loss, goal: minimize}
parameters:
  a: {values: [1, 2, 3]}
  b: {values: [0.5, 2]}
command: ["${env}", "${interpreter}", "${program}"]
"""
READER = """
import json, sys, wandb
sweep = wandb.Api().sweep(sys.argv[1])
print(json.dumps({
    "state": sweep.state, "name": sweep.name, "expected": sweep.expected_run_count,
    "best": sweep.best_run().config,
    "runs": [{
        "id": run.id, "state": run.state, "config": dict(run.config), "tags": run.tags,
        "notes": run.notes, "loss": run.summary["loss"],
        "scan": list(run.scan_history(keys=["loss", "step_twice"])),
        "history": [row["loss"] for row in run.history(pandas=False)],
        "files": sorted(file.name for file in run.files()),
    } for run in sweep.runs],
}))
"""
ARTIFACTS = """
import json, sys, wandb, pathlib
folder = pathlib.Path("data"); folder.mkdir()
with wandb.init(job_type="make") as run:
    for number in range(2):
        (folder / "weights.bin").write_bytes(bytes([number]) * 100_000)
        (folder / "note.txt").write_text("the same")
        made = wandb.Artifact("weights", type="model", metadata={"number": number})
        made.add_dir(str(folder))
        run.log_artifact(made, aliases=[f"try{number}"]).wait()
    same = wandb.Artifact("weights", type="model", metadata={"number": 1})
    same.add_dir(str(folder))
    assert run.log_artifact(same).wait().version == "v1"
    run.log({"image": wandb.Image(__import__("numpy").zeros((4, 4, 3), dtype="uint8"))})
    maker = run.id
with wandb.init(job_type="use") as run:
    used = run.use_artifact("weights:try0")
    content = pathlib.Path(used.download("out"), "weights.bin").read_bytes()
    assert content == bytes([0]) * 100_000
    user = run.id
api = wandb.Api()
latest = api.artifact("weights:latest")
assert (latest.version, latest.metadata) == ("v1", {"number": 1})
assert {"latest", "try1"} <= set(latest.aliases)
assert [a.version for a in api.artifacts("model", "weights")] == ["v1", "v0"]
assert [run.id for run in api.artifact("weights:v0").used_by()] == [user]
assert latest.logged_by().id == maker
latest.aliases.append("chosen"); latest.description = "good"; latest.save()
assert api.artifact("weights:chosen").description == "good"
run = api.run(maker)
picture = next(f for f in run.files() if f.name.startswith("media/images/"))
assert open(picture.download("pictures").name, "rb").read(4) == b"\\x89PNG"
assert [a.name for a in run.logged_artifacts()] == ["weights:v0", "weights:v1"]
run.tags.append("kept"); run.notes = "changed"; run.summary["extra"] = 3; run.update()
again = api.run(maker); again.load(force=True)
assert (again.tags, again.notes, again.summary["extra"]) == (["kept"], "changed", 3)
with wandb.init(id=maker, resume="must") as run:
    assert run.resumed
    run.log({"after": 1})
    step = run.step
assert api.run(maker).lastHistoryStep == 1, api.run(maker).lastHistoryStep
api.run(user).delete()
assert [run.id for run in wandb.Api().runs()] == [maker]
print("all well")
"""
FUNCTION = """
import sys, wandb
def train():
    with wandb.init() as run:
        run.log({"loss": run.config.x["y"]})
config = {"method": sys.argv[1], "metric": {"name": "loss", "goal": "minimize"}, "run_cap": 2,
          "parameters": {"x": {"parameters": {"y": {"min": 0.0, "max": 1.0}}}}}
sweep = wandb.sweep(config)
wandb.agent(sweep, function=train)
found = wandb.Api().sweep(sweep)
assert found.state == "FINISHED", found.state
assert [run.state for run in found.runs] == ["finished"] * 2
assert len({run.config["x"]["y"] for run in found.runs}) == 2
print("all well")
"""
BRANCHES = """
import wandb

def log(values, **where):
    with wandb.init(settings=wandb.Settings(init_timeout=60), **where) as run:
        for value in values:
            run.log({"v": value})
    return run.id

def read(name):
    run = wandb.Api().run(name)
    return [(row["_step"], row["v"]) for row in run.scan_history(keys=["_step", "v"])]

first = log(range(6))
assert log([100, 101], resume_from=f"{first}?_step=3") == first
assert read(first) == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 100), (5, 101)], read(first)
second = log([200, 201], fork_from=f"{first}?_step=2")
assert second != first
assert read(second) == [(0, 0), (1, 1), (2, 2), (3, 200), (4, 201)], read(second)
log([300], id=second, resume="must")
assert read(second)[3:] == [(3, 200), (4, 201), (5, 300)], read(second)
assert len(read(first)) == 6
for where in ({"resume_from": f"{first}?_step=99"}, {"fork_from": f"{first}?_step=99"}):
    try:
        log([0], **where)
    except Exception as error:
        assert "from 0 to 5, its last" in str(error), error
    else:
        raise AssertionError(where)
print("all well")
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Play all scenes at once on one server: the client waits more than it works."""
    root = tmp_path_factory.mktemp("scenes")
    with (
        open_server_process(root / "store") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        started = {}
        for scene in (play_grid, play_program, play_artifacts, play_branches, play_commands):
            folder = root / scene.__name__
            folder.mkdir()
            (folder / "train.py").write_text(PROGRAM)
            (folder / "sweep.yaml").write_text(CONFIG)
            started[scene] = pool.submit(scene, server, folder)
        yield started


def run_client(server, folder, *command, check=True, **environment):
    answer = subprocess.run(
        command,
        cwd=folder,
        env=server.make_environment(folder, **environment),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert not check or answer.returncode == 0, answer.stdout + answer.stderr
    return answer


def make_sweep(server, folder):
    answer = run_client(server, folder, "wandb", "sweep", "sweep.yaml")
    return re.search(r"wandb agent (\S+)", answer.stderr)[1]


def open_agent(server, folder, sweep, name="agent", **environment):
    return open_client(server, folder, "wandb", "agent", sweep, log_name=name, **environment)


@contextlib.contextmanager
def open_client(server, folder, *command, log_name="client", **environment):
    with (
        (folder / f"{log_name}.log").open("wb") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=server.make_environment(folder, **environment),
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def read_sweep(server, folder, sweep):
    answer = run_client(server, folder, sys.executable, "-c", READER, sweep)
    return json.loads(answer.stdout.splitlines()[-1])


def expect_loss(config, step):
    return config["a"] * 10 + config["b"] / (step + 1)


@pytest.mark.slow
def test_two_agents_work_off_a_grid_and_everything_reads_back(scenes):
    scenes[play_grid].result()


def play_grid(server, folder):
    sweep = make_sweep(server, folder)
    started = folder / "started.jsonl"
    with (
        open_agent(server, folder, sweep, "agent0", STARTED=str(started)) as first,
        open_agent(server, folder, sweep, "agent1", STARTED=str(started)) as second,
    ):
        for agent in (first, second):
            assert agent.wait(timeout=150) == 0, (folder / "agent0.log").read_text()
    found = read_sweep(server, folder, sweep)
    assert (found["state"], found["name"], found["expected"]) == ("FINISHED", "tiny grid", 6)
    assert found["best"] == {"a": 1, "b": 0.5}
    configs = [run["config"] for run in found["runs"]]
    assert sorted((c["a"], c["b"]) for c in configs) == [
        (a, b) for a in (1, 2, 3) for b in (0.5, 2)
    ]
    # No program was started twice, and each got the values with their types.
    lines = [json.loads(line) for line in started.read_text().splitlines()]
    assert sorted(lines, key=str) == sorted(
        ([run["id"], run["config"]["a"], run["config"]["b"]] for run in found["runs"]), key=str
    )
    for run in found["runs"]:
        losses = [expect_loss(run["config"], step) for step in range(5)]
        assert run["state"] == "finished"
        assert run["history"] == losses
        assert [row["loss"] for row in run["scan"]] == losses
        assert [row["_step"] for row in run["scan"]] == list(range(5))
        assert (run["tags"], run["notes"], run["loss"]) == (["tiny"], "a note", losses[-1])
        assert {"config.yaml", "wandb-summary.json", "output.log"} <= set(run["files"])


@pytest.mark.slow
def test_an_agent_inside_a_program(scenes):
    scenes[play_program].result()


def play_program(server, folder):
    answer = run_client(
        server, folder, sys.executable, "-c", FUNCTION, "bayes", WANDB_PROJECT="inside"
    )
    assert answer.stdout.splitlines()[-1] == "all well"


@pytest.mark.slow
def test_artifacts_files_resume_and_deletion(scenes):
    scenes[play_artifacts].result()


def play_artifacts(server, folder):
    answer = run_client(server, folder, sys.executable, "-c", ARTIFACTS, WANDB_PROJECT="artifacts")
    assert answer.stdout.splitlines()[-1] == "all well"


@pytest.mark.slow
def test_runs_are_rewound_and_forked(scenes):
    scenes[play_branches].result()


def play_branches(server, folder):
    answer = run_client(server, folder, sys.executable, "-c", BRANCHES, WANDB_PROJECT="branches")
    assert answer.stdout.splitlines()[-1] == "all well"


@pytest.mark.slow
def test_pause_resume_cancel_and_errors_of_the_command_line(scenes):
    scenes[play_commands].result()


def play_commands(server, folder):
    sweep = make_sweep(server, folder)

    def read():
        return server.get(f"/api/sweeps/{sweep}")

    def count(state):
        return read()["counts"].get(state, 0)

    with open_agent(server, folder, sweep, PAUSE="1.5") as agent:
        wait_until(lambda: count("running"), 60)
        run_client(server, folder, "wandb", "sweep", "--pause", sweep)
        wait_until(lambda: count("finished") == 1, 60)
        time.sleep(7)  # longer than the agent's pause between two questions
        assert (read()["counts"], read()["state"]) == ({"finished": 1}, "PAUSED")
        run_client(server, folder, "wandb", "sweep", "--resume", sweep)
        wait_until(lambda: count("running"), 60)
        run_client(server, folder, "wandb", "sweep", "--cancel", sweep)
        assert agent.wait(timeout=60) == 0
    wait_until(lambda: count("running") == 0, 30)
    assert count("killed") == 1
    answer = run_client(server, folder, "wandb", "sweep", "--stop", sweep, check=False)
    assert "already canceled" in answer.stderr
    (folder / "bad.yaml").write_text("method: gird\nparameters: {a: {value: 1}}\n")
    answer = run_client(server, folder, "wandb", "sweep", "bad.yaml", check=False)
    assert (answer.returncode, "'gird'" in answer.stderr) == (1, True), answer.stderr
