"""What kept trainings save, and what keeping costs: whole sweeps, runs, epochs.

    BENCH_ONLY="cost killed grid again twelve others" \
        python benchmarks/trajectories.py [--turns 5] [--quick]

The grid: LeNet-5 at 64 px, three batch sizes, three learning rates, 5, 10 and 15 epochs, 27 runs by
`bpsweep run` with its embedded server, start to report; every turn begins with nothing kept.
`again` is the same file with 30 epochs added, after the grid, against the same from scratch.
`killed` is one run ended at nine tenths of its epochs, and made again to its end. `cost` is an
epoch with and without being kept, in one process by one thread. `twelve` is the sweep of sweep.py,
in which nothing can be shared. `others` is the grid by Optuna and by Ray Tune, plain torch and
DataLoader. They take half an hour a turn, and are measured when BENCH_ONLY names them.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from compare import Row, current_load, divide, make_images, run_benchmark, show, take_turns
from plain_training import save_arrays
from sweep import HERE, N_IMAGES, SIZE, run_command, write_sweep
from threadpoolctl import threadpool_limits

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.epochs import EpochResult
from bpsweep.agent.training.group import train_alone
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.member import Member
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.agent.trajectory.store import TrajectoryStore

BATCH_SIZES, RATES, EPOCHS = (32, 64, 128), (1e-4, 3e-4, 1e-3), (5, 10, 15)
FURTHER = 30
N_TIMED = 8
"""Epochs of a run whose cost is measured."""


def write_grid(path: Path, epochs: Iterable[int]) -> Path:
    """A sweep file over batch size, learning rate and epochs."""
    write_sweep(path, 1, 1)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    swept = {"batch_size": BATCH_SIZES, "learning_rate": RATES, "epochs": tuple(epochs)}
    for name, values in swept.items():
        content["parameters"][name] = {"values": list(values)}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


class Sweeps:
    """Whole commands, each with an embedded server of its own and nothing kept before.

    Args:
        images: The image folder.
        work_dir: Where the homes lie.
    """

    def __init__(self, images: Path, work_dir: Path) -> None:
        self._images, self._home = images, work_dir / "home"
        self.run(write_sweep(work_dir / "first.yaml", 1, 1), keep=False)  # caches, compiled step

    def run(self, file: Path, *, keep: bool, fresh: bool = True) -> float:
        """Seconds of `bpsweep run`.

        Args:
            file: The sweep.
            keep: Whether trainings are kept and taken over.
            fresh: Whether what was kept, and the sweep of before, are removed first.
        """
        if fresh:
            for name in ("trajectories", "sweeps", "server"):
                shutil.rmtree(self._home / name, ignore_errors=True)
        os.environ["BPSWEEP_TRAJECTORIES"] = str(int(keep))
        command = ["-m", "bpsweep.agent.command.main", "run", str(file), "--no-controls"]
        taken_s, _ = run_command([*command, "--data-dir", str(self._images)], self._home)
        show(f"{file.stem}, {'kept' if keep else 'not kept'}: {taken_s:.1f} s")
        return taken_s

    def extend(self, before: Path, file: Path) -> float:
        """Seconds of a sweep whose trainings another sweep has begun."""
        self.run(before, keep=True)
        return self.run(file, keep=True, fresh=False)


def measure_sweeps(
    name: str, sides: dict[str, Callable[[], float]], words: tuple[str, str, str], n_turns: int
) -> Row:
    """The row of two ways to work a sweep off: the first is ours."""
    load = current_load()
    turns = take_turns(sides, n_turns)
    ours, theirs = (turns[side] for side in sides)
    numbers = f"{np.median(ours):.1f} s against {np.median(theirs):.1f} s"
    row = Row(*words, divide(theirs, ours), numbers, load)
    show(f"{name}: {row.describe()}")
    return row


def make_member(images: Path, caches: Path, n_epochs: int, model: str) -> Member:
    """A run of the published settings that tells nobody."""
    config = RunConfig(
        model=model, image_size=SIZE, subset="all-4h", split="image", epochs=n_epochs
    )
    seen: list[EpochResult] = []
    inputs = load_inputs(config, images, caches)
    return Member(config, inputs, seen.append, lambda: len(seen) == config.epochs)


def time_run(member: Member, store: TrajectoryStore | None) -> float:
    """Seconds of a run in this process."""
    before_s = time.perf_counter()
    outcome = train_alone(member, store)
    if outcome.error is not None:
        raise SystemExit(f"the run failed: {outcome.error!r}")
    return time.perf_counter() - before_s


def measure_killed(images: Path, work_dir: Path, n_epochs: int, n_turns: int) -> Row:
    """A run that was ended at nine tenths, to its end, against the whole."""
    ratios, numbers = [], []
    load = current_load()
    for turn in range(n_turns):
        store = TrajectoryStore(work_dir / f"killed-{turn}", 5e9)
        make = partial(make_member, images, work_dir / "caches", n_epochs, "lenet5")
        begun = make()
        begun.must_stop = lambda member=begun: member.course.n_told == n_epochs * 9 // 10
        train_alone(begun, store)
        rest_s, whole_s = time_run(make(), store), time_run(make(), None)
        ratios.append(whole_s / rest_s)
        numbers.append(f"{rest_s:.2f} s against {whole_s:.2f} s")
    what = f"a run of {n_epochs} epochs ended at {n_epochs * 9 // 10}, made again to its end"
    return Row(what, "the whole run", ">= 5", tuple(ratios), numbers[-1], load)


def measure_cost(images: Path, work_dir: Path, n_turns: int, model: str) -> Row:
    """An epoch that is kept, against one that is not."""
    number = iter(range(10_000))

    def run(keep: bool) -> float:
        store = TrajectoryStore(work_dir / f"cost-{model}-{next(number)}", 5e9) if keep else None
        return time_run(make_member(images, work_dir / "caches", N_TIMED, model), store)

    run(keep=False)
    load = current_load()
    turns = take_turns(
        {"kept": lambda: run(keep=True), "not kept": lambda: run(keep=False)}, n_turns
    )
    numbers = " against ".join(f"{np.median(t) / N_TIMED:.3f} s an epoch" for t in turns.values())
    what = f"{model}, {SIZE} px, {N_TIMED} epochs, each kept"
    return Row(what, "not kept", ">= 0.97", divide(turns["not kept"], turns["kept"]), numbers, load)


def measure(arguments: argparse.Namespace) -> list[Row]:
    """All that was asked for, one after the other."""
    images = make_images(arguments.work_dir, 1200 if arguments.quick else N_IMAGES)
    work_dir, n_turns = arguments.work_dir, arguments.turns
    wanted = os.environ.get("BENCH_ONLY", "cost killed grid again twelve").split()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows: list[Row] = []
    with threadpool_limits(1):
        if "cost" in wanted:
            models = ("lenet5", "mlp", "sklearn-mlp")
            rows += [measure_cost(images, work_dir, n_turns, model) for model in models]
        if "killed" in wanted:
            rows.append(measure_killed(images, work_dir, 20, n_turns))
    if {"grid", "again", "twelve", "others"} & set(wanted):
        rows += measure_commands(images, arguments, set(wanted))
    return rows


def measure_commands(images: Path, arguments: argparse.Namespace, wanted: set[str]) -> list[Row]:
    """Those that are whole commands."""
    work_dir, n_turns = arguments.work_dir, arguments.turns
    sweeps = Sweeps(images, work_dir)
    grid = write_grid(work_dir / "grid.yaml", EPOCHS)
    longer = write_grid(work_dir / "longer.yaml", (*EPOCHS, FURTHER))
    twelve = write_sweep(work_dir / "twelve.yaml", 12, 2)
    what = f"27-run LeNet-5 grid over batch size, learning rate, epochs {set(EPOCHS)}, {SIZE} px"
    listed: dict[str, tuple[dict[str, Callable[[], float]], tuple[str, str, str]]] = {
        "grid": (
            {
                "kept": lambda: sweeps.run(grid, keep=True),
                "not": lambda: sweeps.run(grid, keep=False),
            },
            (what, "nothing kept", ">= 1.8"),
        ),
        "again": (
            {
                "kept": lambda: sweeps.extend(grid, longer),
                "not": lambda: sweeps.run(longer, keep=False),
            },
            (f"the same with {FURTHER} epochs added, after it", "from scratch", ">= 2"),
        ),
        "twelve": (
            {
                "kept": lambda: sweeps.run(twelve, keep=True),
                "not": lambda: sweeps.run(twelve, keep=False),
            },
            ("12-run sweep, 2 epochs: nothing to share", "nothing kept", ">= 0.97"),
        ),
    }
    rows = [measure_sweeps(name, *listed[name], n_turns) for name in listed if name in wanted]
    if "others" in wanted:
        rows += measure_others(images, work_dir, sweeps, grid, n_turns)
    return rows


def measure_others(
    images: Path, work_dir: Path, sweeps: Sweeps, grid: Path, n_turns: int
) -> list[Row]:
    """The grid by other people's engines."""
    config = RunConfig(subset="all-4h", split="image", image_size=SIZE)
    save_arrays(load_inputs(config, images, work_dir / "caches"), work_dir / "arrays")

    def run_plain(engine: str) -> float:
        taken_s, said = run_command(
            [str(HERE / "grid_plain.py"), engine, str(work_dir / "arrays")], work_dir
        )
        show(f"{engine}: {taken_s:.1f} s, {said.splitlines()[-1]}")
        return taken_s

    load = current_load()
    turns = take_turns(
        {
            "ours": lambda: sweeps.run(grid, keep=True),
            "optuna": lambda: run_plain("optuna"),
            "ray": lambda: run_plain("ray"),
        },
        n_turns,
    )
    named = {"optuna": ("Optuna", ">= 5"), "ray": ("Ray Tune", ">= 8")}
    return [
        Row(
            "27-run LeNet-5 grid, start to report",
            f"{name}, plain torch and DataLoader",
            limit,
            divide(turns[engine], turns["ours"]),
            f"{np.median(turns['ours']):.1f} s against {np.median(turns[engine]):.1f} s",
            load,
        )
        for engine, (name, limit) in named.items()
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    run_benchmark(__doc__, measure, "torch", "wandb")
