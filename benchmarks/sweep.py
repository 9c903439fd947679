"""A sweep of twelve LeNet-5 runs from start to report: warm workers, stock agents, Optuna, Ray.

    python benchmarks/sweep.py [--turns 5] [--quick]

64 px, batch 64, 8,866 images, two epochs, six learning rates and two weight decays. Ours is
`bpsweep run` with its embedded server; the stock side has the same server and engine, but
`wandb agent`s, which start a process for every run (sweep_stock.py). Optuna (sweep_optuna.py) and
Ray Tune (sweep_ray.py) train the same configurations by a plain torch function with a DataLoader
over an array, and log nothing. All of them use all cores; all are whole commands, imports included.
Images and caches are there before. Overhead per run is what the workers' time holds besides the
training of epochs, divided by the runs.
"""

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from compare import (
    Row,
    current_load,
    divide,
    make_images,
    run_benchmark,
    show,
    take_turns,
    time_call,
)
from plain_training import LEARNING_RATES, WEIGHT_DECAYS, save_arrays

from bpsweep.agent.config import RunConfig
from bpsweep.agent.runs.agents import default_n_agents
from bpsweep.agent.sweep.local_server import running_server
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.report import metrics

SIZE, BATCH_SIZE = 64, 64
N_IMAGES, N_EPOCHS = 8866, 2
HERE = Path(__file__).parent


def write_sweep(path: Path, n_runs: int, n_epochs: int) -> Path:
    """A sweep file of so many runs: the twelve configurations, else as many learning rates."""
    rates = list(LEARNING_RATES)
    decays = list(WEIGHT_DECAYS)
    if n_runs != len(rates) * len(decays):
        rates, decays = np.geomspace(1e-4, 1e-3, n_runs).round(8).tolist(), [0.0]
    fixed = {
        "model": "lenet5",
        "subset": "all-4h",
        "split": "image",
        "image_size": SIZE,
        "batch_size": BATCH_SIZE,
        "epochs": n_epochs,
    }
    parameters = {name: {"value": value} for name, value in fixed.items()}
    parameters["learning_rate"] = {"values": rates}
    parameters["weight_decay"] = {"values": decays}
    content = {
        "program": "bpsweep.agent",
        "command": ["${env}", "${interpreter}", "-m", "${program}"],
        "name": path.stem,
        "method": "grid",
        "metric": {"name": metrics.VAL_ACCURACY, "goal": "maximize"},
        "parameters": parameters,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def run_command(command: list[str], home: Path) -> tuple[float, str]:
    """Seconds of a command with a BPSWEEP_HOME, and what it printed.

    Raises:
        SystemExit: It failed; its last lines are in the message.
    """
    environment = {name: value for name, value in os.environ.items() if "WANDB" not in name}
    environment |= {"BPSWEEP_HOME": str(home), "COLUMNS": "200"}
    said = ""

    def run() -> None:
        nonlocal said
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = done.stdout
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{said[-2000:]}")

    return time_call(run), said


def forget_trainings(home: Path) -> None:
    """Remove what an earlier turn has trained: it would be taken over."""
    shutil.rmtree(home / "trajectories", ignore_errors=True)


def run_warm(file: Path, images: Path, work_dir: Path, n_agents: int) -> float:
    """Seconds of `bpsweep run`."""
    forget_trainings(work_dir / "home-warm")
    where = ["--data-dir", str(images), "--agents", str(n_agents), "--no-controls"]
    taken_s, said = run_command(
        ["-m", "bpsweep.agent.command.main", "run", str(file), *where], work_dir / "home-warm"
    )
    (work_dir / "home-warm" / "last.txt").write_text(said, encoding="utf-8")
    return taken_s


def run_stock(file: Path, images: Path, work_dir: Path, n_agents: int) -> float:
    """Seconds of the same by stock agents."""
    forget_trainings(work_dir / "home-stock")
    script = str(HERE / "sweep_stock.py")
    taken_s, said = run_command(
        [script, str(file), str(images), str(n_agents)], work_dir / "home-stock"
    )
    (work_dir / "home-stock" / "last.txt").write_text(said, encoding="utf-8")
    return taken_s


def read_training(home: Path, n_runs: int) -> float:
    """Seconds that all runs of the last sweep of a home spent in training steps.

    Raises:
        SystemExit: Not all runs finished.
    """
    said = (home / "last.txt").read_text(encoding="utf-8")
    found = re.findall(r"\w+/\w+/\w{8}", said)
    script = "import sys, sweep; print(sweep.sum_training(sys.argv[1], int(sys.argv[2])))"
    with running_server(home / "server") as server:
        done = subprocess.run(
            [sys.executable, "-c", script, found[-1], str(n_runs)],
            env={**os.environ, **server.environment, "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"sweep {found[-1]} cannot be read: {done.stderr[-2000:]}")
    return float(done.stdout)


def sum_training(path: str, n_runs: int) -> float:
    """The same, asked of the server that the environment names."""
    from bpsweep.agent.tracking.sweeps import read_sweep  # noqa: PLC0415  # wandb looks at its variables

    runs = [run for run in read_sweep(path).runs if run.state == "finished"]
    if len(runs) != n_runs:
        raise SystemExit(f"{len(runs)} runs of {n_runs} finished")
    return sum(
        run.provenance["n_training"] / row[metrics.IMAGES_PER_S]
        for run in runs
        for row in run.epochs
    )


def prepare(arguments: argparse.Namespace, images: Path, n_epochs: int) -> None:
    """Caches, compiled step and arrays, made before anything is timed."""
    config = RunConfig(subset="all-4h", split="image", image_size=SIZE)
    first = write_sweep(arguments.work_dir / "first.yaml", 1, 1)
    for run in (run_warm, run_stock):
        run(first, images, arguments.work_dir, 1)
    inputs = load_inputs(config, images, arguments.work_dir / "home-warm" / "cache")
    save_arrays(inputs, arguments.work_dir / "arrays")


def measure(arguments: argparse.Namespace) -> list[Row]:
    """All four in turn."""
    n_images, n_epochs = (1200, 1) if arguments.quick else (N_IMAGES, N_EPOCHS)
    work_dir: Path = arguments.work_dir
    images = make_images(work_dir, n_images)
    prepare(arguments, images, n_epochs)
    n_runs = len(list(itertools.product(LEARNING_RATES, WEIGHT_DECAYS)))
    file = write_sweep(work_dir / "twelve.yaml", n_runs, n_epochs)
    n_agents = default_n_agents(n_runs)
    training: dict[str, list[float]] = {"ours": [], "stock": []}

    def run_ours(name: str, run: Callable[..., float], home: Path) -> float:
        taken_s = run(file, images, work_dir, n_agents)
        training[name].append(read_training(home, n_runs))
        show(f"{name}: {taken_s:.1f} s, of which training {training[name][-1]:.1f} s of workers")
        return taken_s

    def run_plain(script: str) -> float:
        command = [str(HERE / script), str(work_dir / "arrays"), str(n_epochs)]
        taken_s, said = run_command(command, work_dir)
        show(f"{script}: {taken_s:.1f} s, {said.splitlines()[-1]}")
        return taken_s

    load = current_load()
    turns = take_turns(
        {
            "ours": partial(run_ours, "ours", run_warm, work_dir / "home-warm"),
            "stock": partial(run_ours, "stock", run_stock, work_dir / "home-stock"),
            "optuna": partial(run_plain, "sweep_optuna.py"),
            "ray": partial(run_plain, "sweep_ray.py"),
        },
        arguments.turns,
    )
    return list_rows(turns, training, (n_runs, n_agents, n_images, n_epochs), load)


def list_rows(
    turns: dict[str, list[float]],
    training: dict[str, list[float]],
    counts: tuple[int, int, int, int],
    load: float,
) -> list[Row]:
    """The lines of the table."""
    n_runs, n_agents, n_images, n_epochs = counts
    what = f"{n_runs}-run LeNet-5 sweep, {SIZE} px, {n_images:,} images, {n_epochs} epochs"
    named = {
        "stock": ("stock `wandb agent`, a process for every run, same engine", ">= 3"),
        "optuna": ("Optuna in one process, plain torch and DataLoader", ">= 2.5"),
        "ray": ("Ray Tune, plain torch and DataLoader", ">= 4"),
    }
    median = {name: float(np.median(taken)) for name, taken in turns.items()}
    rows = [
        Row(
            what,
            against,
            wanted,
            divide(turns[name], turns["ours"]),
            f"{median['ours']:.1f} s against {median[name]:.1f} s, {n_agents} agents",
            load,
        )
        for name, (against, wanted) in named.items()
    ]
    overheads = {
        name: (n_agents * np.array(turns[name]) - np.array(training[name])) / n_runs
        for name in training
    }
    rows.append(
        Row(
            "overhead per run in seconds, warm worker, start and report of the sweep included",
            "what a stock agent takes",
            "< 1.5",
            tuple(overheads["ours"].tolist()),
            f"{np.median(overheads['ours']):.2f} s against {np.median(overheads['stock']):.2f} s",
            load,
        )
    )
    for row in rows:
        show(row.describe())
    return rows


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "wandb", "optuna", "ray")
