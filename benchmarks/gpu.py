"""Epochs of LeNet-5 on a CUDA GPU: one run, and stacks of 4, 16 and 64, by images and models.

    python benchmarks/gpu.py [--turns 5] [--quick]

7,092 training images of random counts, batch 64, float32. "Plain" is the loop that people write:
scaled float32 images in memory, a DataLoader with pinned memory, eager steps of torch on the GPU.
Members of a stack have seeds, and so batches, of their own; "one after another" is our own single
run, recorded as a CUDA graph as they are. The busy share is that of one more epoch in which the
profiler saw a kernel at work. Without a GPU nothing is measured, and the status is 1.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from compare import Row, current_load, divide, run_benchmark, show, take_turns, time_call
from step import BATCH_SIZE, PlainLeNet5
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, TensorDataset

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.device import describe_step
from bpsweep.agent.training.stack_batches import ResidentBatches
from bpsweep.agent.training.stack_engine import StackEngine
from bpsweep.data.cache import CacheSettings, ImageCache
from bpsweep.data.loader import Loader, LoaderSettings

N_IMAGES = 7_092
STACKS = (1, 4, 16, 64)
GREATEST = 4_000
DEVICE = torch.device("cuda")


def make_loader(size: int, n_images: int) -> Loader:
    """Random counts and labels as a training part."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, GREATEST, (n_images, size, size), dtype=np.uint16)
    ranges = np.tile(np.array([0, GREATEST], np.uint16), (n_images, 1))
    manifest = {"checksum": f"random, {size} px"}
    cache = ImageCache(
        images=images,
        ranges=ranges,
        percentiles=ranges.astype(np.float32),
        catalog=None,  # type: ignore[arg-type]  # no loader asks for it
        settings=CacheSettings(size),
        manifest=manifest,
        folder=Path(),
    )
    labels = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, n_images)]
    return Loader(cache, labels, np.arange(n_images), LoaderSettings(BATCH_SIZE), shuffle=True)


class StackEpochs:
    """A stack that goes on learning, each member from batches of its own."""

    def __init__(self, loader: Loader, size: int, n_models: int) -> None:
        configs = [
            RunConfig(image_size=size, batch_size=BATCH_SIZE, learning_rate=1e-4 * (k + 1), seed=k)
            for k in range(n_models)
        ]
        self._engine = StackEngine(configs, 2, loader, DEVICE)
        loaders = [loader.change(seed=k) for k in range(n_models)]
        self._batches, self._n_done = ResidentBatches(loaders, DEVICE), 0
        self.learn()  # compiles and records

    def learn(self) -> float:
        """Seconds of the next epoch."""
        self._n_done += 1
        return time_call(lambda: self._engine.fit_epoch(self._batches, self._n_done))

    def measure_busy(self) -> float:
        """The share of an epoch in which a kernel was at work."""
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            seconds = self.learn()
        spans = sorted((one.time_range.start, one.time_range.end) for one in seen.events())
        busy_us, until = 0.0, 0.0
        for start, end in spans:
            busy_us += max(0.0, end - max(start, until))
            until = max(until, end)
        return busy_us / 1e6 / seconds


class PlainEpochs:
    """The plain loop that goes on learning."""

    def __init__(self, loader: Loader, size: int) -> None:
        images = torch.from_numpy(loader.images.astype(np.float32) / GREATEST)[:, None]
        labels = torch.from_numpy(loader.labels.argmax(axis=1))
        self._loader = DataLoader(
            TensorDataset(images, labels), BATCH_SIZE, shuffle=True, pin_memory=True
        )
        self._model = PlainLeNet5(size, 2).to(DEVICE)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=1e-4)
        self.learn()

    def learn(self) -> float:
        """Seconds of the next epoch."""
        before_s, loss_sum = time.perf_counter(), 0.0
        for batch in self._loader:
            images, labels = (one.to(DEVICE, non_blocking=True) for one in batch)
            loss = functional.cross_entropy(self._model(images), labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            loss_sum += loss.item()
        return time.perf_counter() - before_s


def measure_size(size: int, n_images: int, n_turns: int) -> list[Row]:
    """All rows of an image size."""
    loader, load = make_loader(size, n_images), current_load()
    stacks = {k: StackEpochs(loader, size, k) for k in STACKS}
    sides: dict[str, Callable[[], float]] = {str(k): one.learn for k, one in stacks.items()}
    turns = take_turns({"plain": PlainEpochs(loader, size).learn, **sides}, n_turns)
    rows = []
    for k, stack in stacks.items():
        rate = n_images * k / float(np.median(turns[str(k)]))
        numbers = f"{rate:,.0f} model-images/s; GPU busy {stack.measure_busy():.0%} of the epoch"
        if k == 1:
            plain = n_images / float(np.median(turns["plain"]))
            numbers = f"{numbers}; plain {plain:,.0f} images/s"
            ratios = divide(turns["plain"], turns["1"])
            row = Row(f"one run, {size} px", "plain loop, same GPU", ">= 5", ratios, numbers, load)
        else:
            ratios = divide([k * one for one in turns["1"]], turns[str(k)])
            wanted = ">= 8" if k == 16 else ">= 1"
            what = f"{k} runs as a stack, {size} px"
            row = Row(what, "one after another", wanted, ratios, numbers, load)
        rows.append(row)
        show(row.describe())
    return rows


def measure(arguments: argparse.Namespace) -> list[Row]:
    """Both sizes."""
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py: torch finds no CUDA GPU here, nothing was measured")
    print(describe_step(), flush=True)
    n_images = 640 if arguments.quick else N_IMAGES
    sizes = (64,) if arguments.quick else (64, 200)
    return [row for size in sizes for row in measure_size(size, n_images, arguments.turns)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch")
