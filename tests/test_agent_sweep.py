"""Whole sweeps through the real command line, the stock client and the embedded server."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sweep_support import (
    BPSWEEP,
    find_sweep_path,
    list_descendants,
    make_environment,
    make_sweep_yaml,
    read_report,
    run_bpsweep,
    wait_until,
)

from bpsweep.agent.sweep.local_server import find_server, running_server

MODELS = ["lenet5", "mlp", "sklearn-mlp"]


@pytest.mark.slow
def test_one_command_works_off_a_sweep_and_judges_it(tmp_path: Path, small_set: Path) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    path = make_sweep_yaml(tmp_path, model=MODELS, task="multi-label", epochs=2)
    done = run_bpsweep("run", str(path), environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 configurations reach 80 % validation accuracy" in done.stdout
    assert "synthetic" in done.stdout
    sweep = find_sweep_path(done.stdout)
    document = read_report(sweep, tmp_path, environment)
    assert sorted(row["model"] for row in document["configurations"]) == sorted(MODELS)
    assert {row["state"] for row in document["configurations"]} == {"finished"}
    assert document["synthetic"] is True
    table = tmp_path / "report.csv"
    run_bpsweep("report", sweep, "--csv", str(table), environment=environment)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(row["val_accuracy"]) for row in rows] == [
        row["val_accuracy"] for row in document["configurations"]
    ]
    assert not list(tmp_path.glob("wandb")), "run folders belong in BPSWEEP_HOME"
    with running_server(tmp_path / "home" / "server") as server:
        check_what_a_run_leaves(sweep, {**environment, **server.environment}, tmp_path)


def check_what_a_run_leaves(sweep: str, environment: dict[str, str], folder: Path) -> None:
    """Read a run back through the stock client, in a process of its own."""
    script = """
import json, sys, wandb
from safetensors.numpy import load_file
runs = [r for r in wandb.Api().sweep(sys.argv[1]).runs]
out = []
for run in runs:
    artifact = next(a for a in run.logged_artifacts() if a.type == "model")
    folder = artifact.download(root=sys.argv[2] + "/" + run.id)
    out.append({
        "config": dict(run.config), "summary": {k: run.summary.get(k) for k in
        ("best/epoch", "best/val/accuracy", "best/val/jaccard", "best/val/hamming")},
        "weights": list(load_file(folder + "/weights.safetensors")),
        "about": json.load(open(folder + "/run.json")), "tags": list(run.tags),
        "files": [f.name for f in run.files()],
        "history": [r for r in run.scan_history()]})
json.dump(out, open(sys.argv[2] + "/out.json", "w"))
"""
    subprocess.run(
        [sys.executable, "-c", script, sweep, str(folder)], env=environment, check=True, timeout=60
    )
    for run in json.loads((folder / "out.json").read_text()):
        config, provenance = run["config"], run["config"]["provenance"]
        assert provenance["synthetic"] is True and run["tags"] == ["synthetic"]
        assert provenance["n_training"] + provenance["n_validation"] == 240
        for name in ("data_checksum", "labels_checksum", "split_checksum"):
            assert len(provenance[name]) >= 16
        assert {"torch", "wandb", "python"} <= set(provenance["versions"])
        assert config["seed"] == 42 and config["weight_decay"] == 0
        epochs = [row for row in run["history"] if row.get("val/accuracy") is not None]
        assert [row["epoch"] for row in epochs] == [1, 2]
        for name in ("train/loss", "val/loss", "val/jaccard", "val/hamming"):
            assert all(isinstance(row[name], float) for row in epochs)
        assert run["summary"]["best/val/accuracy"] == max(row["val/accuracy"] for row in epochs)
        assert (
            run["weights"]
            and sum(map(sum, run["about"]["confusion"]["counts"])) == (provenance["n_validation"])
        )
        assert "predictions.csv" in run["files"]
        pictures = [name for name in run["files"] if name.endswith(".png")]
        assert any("confusion" in name for name in pictures)
        assert any("samples" in name for name in pictures)


@pytest.mark.slow
def test_ctrl_c_ends_everything_and_the_same_command_goes_on(
    tmp_path: Path, small_set: Path
) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    path = make_sweep_yaml(tmp_path, batch_size=[8, 16, 32, 64], epochs=40, model="lenet5")
    log = tmp_path / "run.log"
    agent_logs = tmp_path / "home" / "logs"
    moments = {
        "training": (
            lambda: any("epoch 3/40" in file.read_text() for file in agent_logs.rglob("*.log")),
            5,  # bpsweep, server, foreman, two workers, their services
        ),
        "workers loading": (lambda: "Continuing sweep" in log.read_text(), 2),
    }
    for what, (condition, n_processes) in moments.items():
        with log.open("a") as stream:
            process = subprocess.Popen(
                [*BPSWEEP, "run", str(path), "--agents", "2", "--no-controls"],
                env=environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        wait_until(condition, 60, what)
        family = list_descendants(process.pid)
        assert len(family) >= n_processes
        before_s = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=10) == 130
        _, alive = psutil.wait_procs(family, timeout=max(0.0, before_s + 10 - time.monotonic()))
        assert not alive
    said = log.read_text()
    assert said.count("  bpsweep run") == len(moments) and "Traceback" not in said
    done = run_bpsweep("run", str(path), "--no-controls", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert find_sweep_path(done.stdout) == find_sweep_path(log.read_text())
    document = read_report(find_sweep_path(done.stdout), tmp_path, environment)
    assert sorted(row["batch_size"] for row in document["configurations"]) == [8, 16, 32, 64]
    assert {row["state"] for row in document["configurations"]} == {"finished"}


@pytest.mark.slow
def test_a_killed_training_is_run_again(tmp_path: Path, small_set: Path) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    path = make_sweep_yaml(tmp_path, batch_size=[8, 16], epochs=30, model="lenet5")
    process = subprocess.Popen(
        [*BPSWEEP, "run", str(path), "--agents", "2", "--no-controls"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    logs = tmp_path / "home" / "logs"
    wait_until(
        lambda: any("epoch 3/30" in file.read_text() for file in logs.rglob("*.log")),
        60,
        "training",
    )
    victims = [
        member
        for member in list_descendants(process.pid)
        if member.cmdline()[-1:] == ["bpsweep.agent.runs.foreman"]
        and member.parent().pid != process.pid
    ]
    assert victims
    victims[0].kill()
    said = process.communicate(timeout=150)[0]
    assert process.returncode == 0, said
    document = read_report(find_sweep_path(said), tmp_path, environment)
    assert sorted(row["batch_size"] for row in document["configurations"]) == [8, 16]
    assert {row["state"] for row in document["configurations"]} == {"finished"}


def start_agent_run(environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start `python -m bpsweep.agent` by itself, outside any sweep."""
    return subprocess.Popen(
        [sys.executable, "-m", "bpsweep.agent"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_server_that_goes_away_during_a_run_loses_nothing(
    tmp_path: Path, small_set: Path
) -> None:
    store = tmp_path / "home" / "server"
    environment = make_environment(tmp_path / "home", small_set, {"WANDB_FINISH_TIMEOUT": "5"})
    with running_server(store) as server:
        run = start_agent_run({**environment, **server.environment}, tmp_path)
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("epoch 1/"):
                break
    lines = []
    for line in run.stdout:
        lines.append(line)
        if "waiting for it" in line:
            break  # for as long as nobody tells it to go
    run.send_signal(signal.SIGTERM)
    said = "".join(lines) + run.communicate(timeout=120)[0]
    assert run.returncode == 1
    assert "epoch 10/10" in said, "training goes on without the server"
    assert f"server {server.url} does not answer" in said
    assert "Nothing is lost" in said
    command = said.split("`wandb sync ")[1].split("`")[0].split()
    with running_server(store) as server:
        again = {**environment, **server.environment}
        sync = [sys.executable, "-m", "wandb", "sync", *command]
        subprocess.run(sync, env=again, check=True, timeout=60)
        read = "import wandb; run, = wandb.Api().runs(); print(len(list(run.scan_history())))"
        done = subprocess.check_output([sys.executable, "-c", read], env=again, text=True)
        assert int(done) >= 10, "every epoch is at the server"


@pytest.mark.slow
def test_bad_images_and_a_bad_place_are_told_before_any_run(
    tmp_path: Path, small_set: Path
) -> None:
    path = make_sweep_yaml(tmp_path, epochs=1)
    (tmp_path / "file").write_text("")
    gone = {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    cases = [
        (make_environment(tmp_path / "home", small_set, gone), "no W&B server answers at WANDB_"),
        (make_environment(tmp_path / "file" / "home", small_set), "BPSWEEP_HOME"),
        (make_environment(tmp_path / "home", tmp_path / "nowhere"), "bpsweep data make"),
    ]
    for environment, message in cases:
        done = run_bpsweep("run", str(path), environment=environment, timeout_s=60)
        assert done.returncode == 2
        assert message in done.stderr and "Traceback" not in done.stderr
    assert find_server(tmp_path / "home" / "server") is None
    assert not (tmp_path / "home" / "server").exists(), "nothing is started for bad input"
