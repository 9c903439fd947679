"""Whether the fast paths change what is found: a fixed sweep with all of them, and with none.

    python benchmarks/verdicts.py [--turns 5] [--quick]

LeNet-5 at 64 px, batch 64, 4,000 images, split by well, augmented, eight epochs, two learning
rates; as many seeds as turns. Off means BPSWEEP_COMPILED=0 (every layer by torch in its own way)
and malloc as it comes. Each seed has the same weights, batches and moves on both sides. For every
learning rate: how far the mean accuracies of the two sides lie apart, as a share of the standard
deviation over seeds; below 1 the choice between them matters less than that of a seed.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import Row, Side, current_load, make_images, run_benchmark, show

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.folders import count_cpus
from bpsweep.models import describe_cpu_step
from bpsweep.models.compiled import SWITCH
from bpsweep.report import metrics

LEARNING_RATES = (3e-4, 1e-3)

_state: dict[str, Any] = {}


def prepare(images: Path, caches: Path, fast: bool, n_epochs: int) -> None:
    """Set up a side."""
    torch.set_num_threads(count_cpus())
    if fast:
        keep_freed_memory()
    show(f"{'on' if fast else 'off'}: {describe_cpu_step()}")
    _state.update(images=images, caches=caches, n_epochs=n_epochs)


def measure_accuracy(learning_rate: float, seed: int) -> float:
    """The best validation accuracy of one run, in per cent."""
    config = RunConfig(
        subset="all-4h",
        augment=True,
        epochs=_state["n_epochs"],
        learning_rate=learning_rate,
        seed=seed,
    )
    inputs = load_inputs(config, _state["images"], _state["caches"])
    return 100 * train(config, inputs, lambda _: None).best.values[metrics.VAL_ACCURACY]


def measure(arguments: argparse.Namespace) -> list[Row]:
    """Every learning rate and seed by either side."""
    n_images, n_epochs = (600, 2) if arguments.quick else (4000, 8)
    images = make_images(arguments.work_dir, n_images)
    load = current_load()
    sides = {
        fast: Side(
            prepare,
            images,
            arguments.work_dir / "caches",
            fast,
            n_epochs,
            variables={} if fast else {SWITCH: "0"},
        )
        for fast in (True, False)
    }
    shares, said = [], []
    for rate in LEARNING_RATES:
        on, off = (
            np.array([sides[fast].call(measure_accuracy, rate, s) for s in range(arguments.turns)])
            for fast in (True, False)
        )
        spread = float(np.sqrt((on.var(ddof=1) + off.var(ddof=1)) / 2))
        apart = float(abs(on.mean() - off.mean()))
        shares.append(apart / spread if apart else 0.0)
        said.append(
            f"{rate:g}: {on.mean():.1f} % on, {off.mean():.1f} % off, "
            f"standard deviation over seeds {spread:.1f}"
        )
    for side in sides.values():
        side.close()
    row = Row(
        f"accuracy with all fast paths, two learning rates, {arguments.turns} seeds each",
        "with none; difference of means by standard deviation over seeds",
        "< 1",
        tuple(shares),
        "; ".join(said),
        load,
    )
    show(row.describe())
    return [row]


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "numpy")
