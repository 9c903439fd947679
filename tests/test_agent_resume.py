"""Runs that are killed or preempted go on after their last whole epoch: real processes, signals.

The size is set by the environment, so that the same test runs small in CI and large by hand:
RESUME_RUNS=24 RESUME_KILLS=30 RESUME_SEED=1 pytest -s -m slow tests/test_agent_resume.py
"""

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweep_support import BPSWEEP, list_at_work, make_environment, make_sweep_yaml, wait_until
from worker_support import Place, open_place, stop_run

N_RUNS = int(os.environ.get("RESUME_RUNS", "6"))
N_KILLS = int(os.environ.get("RESUME_KILLS", "6"))
SEED = int(os.environ.get("RESUME_SEED", "1"))
N_EPOCHS = 10
TIMED = ("train/images_per_s", "train/elapsed_s", "_runtime", "_timestamp", "_step", "_wandb")
TAKEN = re.compile(r"(\d+) of \d+ epochs are those that")
Histories = dict[int, list[dict[str, Any]]]


def read_histories(home: Path) -> Histories:
    """Return what each finished run of the sweep logged, by its seed, without times."""
    db = sqlite3.connect(home / "server" / "bpsweep.sqlite3")
    try:
        found = db.execute(
            "SELECT json_extract(config, '$.seed.value'), id FROM runs "
            "WHERE state = 'finished' AND sweep_id IS NOT NULL"
        ).fetchall()
        assert len({seed for seed, _ in found}) == len(found), "each once"
        return {seed: read_history(db, run) for seed, run in found}
    finally:
        db.close()


def read_history(db: sqlite3.Connection, run: int) -> list[dict[str, Any]]:
    lines = db.execute("SELECT data FROM history WHERE run_id = ? ORDER BY line", (run,))
    rows = [json.loads(text) for (text,) in lines]
    return [
        {name: value for name, value in row.items() if name not in TIMED}
        for row in rows
        if "val/accuracy" in row
    ]


def run_sweep(folder: Path, images: Path, **variables: str) -> subprocess.Popen[bytes]:
    path = make_sweep_yaml(
        folder, model="lenet5", epochs=N_EPOCHS, seed=list(range(N_RUNS)), image_size=64
    )
    environment = make_environment(folder / "home", images, {"BPSWEEP_THREADS": "1", **variables})
    with (folder / "log").open("ab") as log:
        command = [*BPSWEEP, "run", str(path), "--agents", "2", "--no-controls"]
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def list_workers(home: Path) -> list[psutil.Process]:
    """Forks of a foreman that work in this home."""
    found = []
    for process in list_at_work(home):
        with contextlib.suppress(psutil.Error):  # it ended this moment
            above, words = process.parent(), process.cmdline()
            if "bpsweep.agent.runs.foreman" in words and above and above.cmdline() == words:
                found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.timeout(120 + 15 * N_KILLS + 6 * N_RUNS)
def test_killed_workers_cost_an_epoch_a_kill_and_change_no_number(
    tmp_path: Path, small_set: Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "killed").mkdir()
    plain = run_sweep(tmp_path / "plain", small_set, BPSWEEP_TRAJECTORIES="0")
    assert plain.wait() == 0, (tmp_path / "plain" / "log").read_text()
    rng, n_killed = random.Random(SEED), 0
    process = run_sweep(tmp_path / "killed", small_set)
    while process.poll() is None:
        time.sleep(rng.uniform(0.2, 2.0))
        workers = list_workers(tmp_path / "killed" / "home")
        if workers and n_killed < N_KILLS:
            rng.choice(workers).send_signal(signal.SIGKILL)
            n_killed += 1
    said = (tmp_path / "killed" / "log").read_text()
    assert process.returncode == 0, said
    assert n_killed >= min(3, N_KILLS), "it was over too soon to say anything"
    undisturbed = read_histories(tmp_path / "plain" / "home")
    found = read_histories(tmp_path / "killed" / "home")
    assert sorted(found) == list(range(N_RUNS))
    assert all(len(rows) == N_EPOCHS for rows in undisturbed.values())
    assert found == undisturbed
    logs = (tmp_path / "killed" / "home" / "logs").rglob("agent-*.log")
    text = "".join(log.read_text() for log in logs)
    n_told = len(re.findall(r"^epoch \d+/", text, re.MULTILINE))
    n_trained = n_told - sum(int(n) for n in TAKEN.findall(text))
    print(f"{n_killed} kills, {n_trained} epochs trained, {N_RUNS * N_EPOCHS} needed")
    # A kill can come between an epoch's keeping and its line, so that either may be one short.
    assert abs(n_trained - N_RUNS * N_EPOCHS) <= n_killed


@pytest.fixture
def place(tmp_path: Path, small_set: Path) -> Iterator[Place]:
    with open_place(tmp_path, small_set) as made:
        yield made


def make_long_sweep(place: Place) -> str:
    return place.make_sweep(model="lenet5", epochs=40, learning_rate=[1e-3, 1e-4], image_size=128)


def check_went_on(place: Place, sweep: str, name: str) -> None:
    """The run with a name is finished, has every epoch once, and took some of them over."""
    runs = {run["name"]: run for run in place.runs(sweep)}
    assert sorted(run["state"] for run in runs.values()) == ["finished"] * 2
    assert runs[name]["summary"]["taken_over/epochs"] >= 5
    assert runs[name]["summary"]["taken_over/runs"] == name
    db = sqlite3.connect(place.folder / "store" / "bpsweep.sqlite3")
    try:
        ((run,),) = db.execute("SELECT id FROM runs WHERE name = ?", (name,)).fetchall()
        assert [row["epoch"] for row in read_history(db, run)] == list(range(1, 41))
    finally:
        db.close()


@pytest.mark.slow
def test_a_preempted_worker_leaves_its_run_to_the_next_under_its_id(place: Place) -> None:
    sweep = make_long_sweep(place)
    first = place.start(sweep)
    wait_until(lambda: "epoch 6/40" in place.said(), 90, "training")
    first.send_signal(signal.SIGTERM)
    assert place.end(first, 30) == 130
    (begun,) = [run for run in place.runs(sweep) if run["state"] == "preempted"]
    assert place.end(place.start(sweep, name="second")) == 0, place.said("second")
    check_went_on(place, sweep, begun["name"])


@pytest.mark.slow
def test_a_stock_agent_goes_on_with_a_preempted_run(place: Place) -> None:
    sweep = make_long_sweep(place)
    agent = place.start_stock(sweep)
    wait_until(lambda: "epoch 6/40" in place.said(), 90, "training")
    (begun,) = place.runs(sweep)
    (child,) = [
        one for one in psutil.Process(agent.pid).children() if "bpsweep.agent" in one.cmdline()
    ]
    child.send_signal(signal.SIGTERM)
    assert place.end(agent, 150) == 0, place.said()
    check_went_on(place, sweep, begun["name"])


@pytest.mark.slow
def test_a_run_that_is_stopped_does_not_come_back(place: Place) -> None:
    """A stock agent carries a stop out by SIGTERM, which is no preemption."""
    sweep = place.make_sweep(model="mlp", epochs=2000, image_size=64)
    agent = place.start_stock(sweep)
    wait_until(lambda: "epoch 3/2000" in place.said(), 90, "training")
    (begun,) = place.runs(sweep)
    stop_run(place, sweep, begun["name"])
    assert place.end(agent, 120) == 0, place.said()
    (ended,) = place.runs(sweep)
    assert (ended["name"], ended["state"]) == (begun["name"], "killed")


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_go_on_where_the_runs_were(
    tmp_path: Path, small_set: Path
) -> None:
    path = make_sweep_yaml(tmp_path, model="mlp", epochs=400, seed=[1, 2], image_size=64)
    environment = make_environment(tmp_path / "home", small_set, {"BPSWEEP_THREADS": "1"})
    command = [*BPSWEEP, "run", str(path), "--agents", "2", "--no-controls"]

    def logged(text: str) -> bool:
        logs = (tmp_path / "home" / "logs").rglob("agent-*.log")
        return any(text in log.read_text() for log in logs)

    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(lambda: logged("epoch 6/400"), 90, "training")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        again = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        assert again.wait(timeout=150) == 0, (tmp_path / "log").read_text()
    assert logged(" of 400 epochs are those that ")
    histories = read_histories(tmp_path / "home")
    assert sorted(histories) == [1, 2]
    for rows in histories.values():
        assert [row["epoch"] for row in rows] == list(range(1, 401))
