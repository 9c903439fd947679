"""Cost against size: what an image costs in small and large sets, a run in short and long sweeps.

    python benchmarks/scaling.py [--turns 5] [--quick]

Images: building the cache, and an epoch of LeNet-5 at 64 px, batch 64, of 1,000, 4,000 and 16,000
images; seconds an image against those of the middle size. Epochs of small sets are repeated, as in
a run, until as many images are learnt from as the largest has. Runs: sweeps of 1, 8 and 64 runs of
one epoch of 240 images by one warm worker on the embedded server; a sweep is what it costs to start
(the server, the worker) and a cost for every run, so that the time for 8 is held against the line
through those for 1 and 64. A ratio of 1 is linear; what is wanted is the one that lies furthest.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import (
    Row,
    Side,
    current_load,
    make_images,
    run_benchmark,
    show,
    take_turns,
    time_call,
)
from sweep import run_warm, write_sweep

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.cache import CacheSettings, build_cache
from bpsweep.data.catalog import Catalog, read_catalog
from bpsweep.data.folders import count_cpus
from bpsweep.data.labels import encode_labels
from bpsweep.data.loader import Loader, LoaderSettings

SIZES = (1000, 4000, 16_000)
N_RUNS = (1, 8, 64)
SIDE, BATCH_SIZE = 64, 64

_state: dict[str, Any] = {}


def prepare(images: Path, caches: Path, sizes: tuple[int, ...]) -> None:
    """An engine and a loader for each size, warm."""
    torch.set_num_threads(count_cpus())
    keep_freed_memory()
    config = RunConfig(subset="all-4h", image_size=SIDE, batch_size=BATCH_SIZE)
    _state.update(catalog=read_catalog(images), n_largest=max(sizes))
    for n_images in sizes:
        catalog = take_rows(n_images)
        cache = build_cache(catalog, CacheSettings(SIDE), caches)
        labels = encode_labels(catalog, config.task)
        settings = LoaderSettings(BATCH_SIZE)
        loader = Loader(cache, labels, np.arange(n_images), settings, shuffle=True)
        _state[n_images] = loader, build_engine(config, labels.shape[1], loader)
        run_epochs(n_images)


def take_rows(n_images: int) -> Catalog:
    """The first rows of the catalogue."""
    catalog: Catalog = _state["catalog"]
    return replace(catalog, table=catalog.table.iloc[:n_images].reset_index(drop=True))


def run_epochs(n_images: int) -> float:
    """Seconds an image of some epochs."""
    loader, engine = _state[n_images]
    n_epochs = _state["n_largest"] // n_images

    def run() -> None:
        for epoch in range(n_epochs):
            engine.fit_epoch(loader.epoch(epoch))

    return time_call(run) / (n_epochs * n_images)


def run_build(n_images: int, place: Path) -> float:
    """Seconds an image of building the cache anew."""
    _state["n_built"] = _state.get("n_built", 0) + 1
    catalog = take_rows(n_images)
    target = place / f"built-{_state['n_built']}"
    return time_call(lambda: build_cache(catalog, CacheSettings(SIDE), target)) / n_images


def find_furthest(costs: dict[int, list[float]]) -> tuple[float, ...]:
    """For every turn the ratio to the middle size, or its inverse, that lies furthest above 1."""
    middle = sorted(costs)[1]
    ratios = np.array([costs[size] for size in costs]) / np.array(costs[middle])
    return tuple(np.maximum(ratios, 1 / ratios).max(axis=0).tolist())


def measure_images(arguments: argparse.Namespace) -> list[Row]:
    """Caches and epochs of every size."""
    sizes = (250, 1000, 4000) if arguments.quick else SIZES
    images = make_images(arguments.work_dir, sizes[-1])
    side = Side(prepare, images, arguments.work_dir / "caches", sizes)
    place = arguments.work_dir / "scaling"
    rows = []
    for what, function, rest in (("epoch", run_epochs, ()), ("cache", run_build, (place,))):
        load = current_load()
        calls = {str(size): partial(side.call, function, size, *rest) for size in sizes}
        turns = {int(name): taken for name, taken in take_turns(calls, arguments.turns).items()}
        medians = ", ".join(f"{np.median(turns[size]) * 1e6:,.0f}" for size in sizes)
        named = " / ".join(f"{size:,}" for size in sizes)
        rows.append(
            Row(
                f"one {what} of {named} images at {SIDE} px",
                "linear",
                "< 1.1",
                find_furthest(turns),
                f"{medians} µs an image",
                load,
            )
        )
        show(rows[-1].describe())
    side.close()
    return rows


def measure_runs(arguments: argparse.Namespace) -> list[Row]:
    """Sweeps of every length."""
    counts = (1, 2, 8) if arguments.quick else N_RUNS
    images = make_images(arguments.work_dir, 300)
    load = current_load()
    calls = {}
    for n_runs in counts:
        file = write_sweep(arguments.work_dir / f"runs-{n_runs}.yaml", n_runs, n_epochs=1)
        calls[str(n_runs)] = partial(run_warm, file, images, arguments.work_dir, n_agents=1)
    turns = take_turns(calls, arguments.turns)
    first, middle, last = (np.array(turns[str(n_runs)]) for n_runs in counts)
    share = (counts[1] - counts[0]) / (counts[2] - counts[0])
    expected = first + share * (last - first)
    ratios = np.maximum(middle / expected, expected / middle)
    medians = ", ".join(f"{np.median(turns[str(n_runs)]):.1f} s" for n_runs in counts)
    row = Row(
        f"sweeps of {' / '.join(map(str, counts))} runs, one warm worker",
        "a line",
        "< 1.1",
        tuple(ratios.tolist()),
        f"{medians}; {np.median((last - first) / (counts[2] - counts[0])):.2f} s a run more",
        load,
    )
    show(row.describe())
    return [row]


def measure(arguments: argparse.Namespace) -> list[Row]:
    """Images, then runs."""
    return [*measure_images(arguments), *measure_runs(arguments)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "numpy", "wandb")
