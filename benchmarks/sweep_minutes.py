"""The minutes that a sweep YAML states, computed from images a second measured here.

    python benchmarks/sweep_minutes.py sweeps/*.yaml [--work-dir DIR]

For every batch size and augmentation that a sweep can take: what one run of one thread a core
trains and validates a second while every core has one, on synthetic images. Minutes are for the
real set, a run for each configuration (for a search: run_cap runs), nothing ended early; starts,
ends and caches, a few seconds a sweep, are left out.
"""

import argparse
import itertools
import math
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import make_images, show, time_call
from machine import describe_machine
from threadpoolctl import threadpool_limits

from bpsweep.agent.config import RunConfig
from bpsweep.agent.sweep.file import SweepFile, read_sweep_file
from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.folders import count_cpus

N_REAL = {"hi-4h": 8866, "all-4h": 27_609}
N_SYNTHETIC, N_TIMED = 8866, 2048
VARIED = ("model", "task", "image_size", "batch_size", "augment")
"""Settings that change what an image costs."""


def measure_image(settings: dict[str, Any], images: Path, caches: Path) -> float:
    """Seconds that an image costs in an epoch: four fifths of them train, one validates."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    keep_freed_memory()
    config = RunConfig(subset="all-4h", split="image", **settings)
    inputs = load_inputs(config, images, caches)
    engine = build_engine(config, inputs.n_labels, inputs.training)
    batches = inputs.training.epoch(1)
    engine.fit_epoch(itertools.islice(batches, 2))
    n_batches = math.ceil(N_TIMED / config.batch_size)
    trained_s = time_call(lambda: engine.fit_epoch(itertools.islice(batches, n_batches)))
    validated_s = time_call(lambda: engine.predict(inputs.validation.epoch(0)))
    per_validated_s = validated_s / len(inputs.validation_labels)
    return 0.8 * trained_s / (n_batches * config.batch_size) + 0.2 * per_validated_s


def sum_minutes(file: SweepFile, images: Path, caches: Path) -> float:
    """Minutes of all runs on all cores."""
    n_cores, costs_s = count_cpus(), []
    with ProcessPoolExecutor(n_cores, multiprocessing.get_context("spawn")) as pool:
        for settings in file.combinations(VARIED):
            calls = [pool.submit(measure_image, settings, images, caches) for _ in range(n_cores)]
            costs_s.append(float(np.mean([call.result() for call in calls])))
            show(f"{settings}: {1 / costs_s[-1]:,.0f} images/s a core")
    epochs = [chosen["epochs"] for chosen in file.combinations(("epochs",))]
    (subset,) = {chosen["subset"] for chosen in file.combinations(("subset",))}
    assert file.n_runs is not None
    n_images = N_REAL[subset] * file.n_runs * float(np.mean(epochs))
    return n_images * float(np.mean(costs_s)) / n_cores / 60


def main() -> None:
    """Print a line for every YAML."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="YAML")
    parser.add_argument("--work-dir", type=Path, help="keep images and caches; else temporary")
    arguments = parser.parse_args()
    print(describe_machine("torch", "scikit-learn"), flush=True)
    with tempfile.TemporaryDirectory(prefix="bpsweep-bench-") as temporary:
        work_dir = arguments.work_dir or Path(temporary)
        images = make_images(work_dir, N_SYNTHETIC)
        for path in arguments.sweeps:
            file = read_sweep_file(path)
            minutes = sum_minutes(file, images, work_dir / "caches")
            print(f"{path}: {file.n_runs} runs, {minutes:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
