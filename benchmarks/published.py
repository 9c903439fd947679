"""An epoch at the published configuration, ours against the published method written plainly.

    python benchmarks/published.py [--turns 5] [--quick]

LeNet-5 at 200 px, batch 64, 7,092 training and 1,774 validation images. The published method
decodes every TIFF in every epoch, applies seven transforms one by one, and takes eager steps; its
DataLoader works in the process itself (with worker processes it is slower on two cores, which the
step needs). Ours reads the cache, augments as well, and counts its metrics. The plain epoch is
measured in as many parts as there are turns, and after each part comes a whole epoch of ours; a
ratio compares images a second. Building the cache, once for all epochs, is told beside it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from compare import (
    Row,
    Side,
    current_load,
    divide,
    make_images,
    run_benchmark,
    show,
    take_turns,
    time_call,
)
from numpy.typing import NDArray
from PIL import Image
from step import BATCH_SIZE, PlainLeNet5
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.loop import run_epoch
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.folders import count_cpus

SIZE = 200
N_IMAGES = 8866
_UNCROPPED = 224

_state: dict[str, Any] = {}
_rng = np.random.default_rng(0)


class Normalize:
    """Counts to [0, 1] by the image's own least and greatest."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return (image - image.min()) / (image.max() - image.min() + 1)


class Resize:
    """To a square."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        side = (_UNCROPPED, _UNCROPPED)
        return np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BILINEAR))


class FlipUp:
    """Upside down, every second time."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.flipud(image) if _rng.random() < 0.5 else image


class FlipLeft:
    """Left to right, every second time."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.fliplr(image) if _rng.random() < 0.5 else image


class Rotate:
    """By a quarter turn, or two, three, none."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.rot90(image, int(_rng.integers(4)))


class Crop:
    """To SIZE pixels a side, at a random place."""

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        y, x = _rng.integers(_UNCROPPED - SIZE + 1, size=2)
        return image[y : y + SIZE, x : x + SIZE]


class ToTensor:
    """To (1, Y, X)."""

    def __call__(self, image: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image))[None]


class TiffDataset(Dataset[tuple[torch.Tensor, int]]):
    """Files decoded and transformed when they are asked for."""

    def __init__(self, files: list[Path], labels: list[int]) -> None:
        self._files, self._labels = files, labels
        steps = (Normalize, Resize, FlipUp, FlipLeft, Rotate, Crop, ToTensor)
        self._transforms = [step() for step in steps]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        value: Any = tifffile.imread(self._files[row]).astype(np.float32)
        for transform in self._transforms:
            value = transform(value)
        return value, self._labels[row]


def load(images: Path, caches: Path) -> tuple[RunConfig, Inputs]:
    """The published settings, and the data of such a run."""
    config = RunConfig(
        subset="all-4h", split="image", image_size=SIZE, batch_size=BATCH_SIZE, augment=True
    )
    return config, load_inputs(config, images, caches)


def prepare_ours(images: Path, caches: Path) -> None:
    """Build the cache and a network, take an epoch's worth of memory."""
    torch.set_num_threads(count_cpus())
    keep_freed_memory()
    built_s = time_call(lambda: load(images, caches))
    config, inputs = load(images, caches)
    engine = build_engine(config, inputs.n_labels, inputs.training)
    _state.update(config=config, inputs=inputs, engine=engine, built_s=built_s, epoch=0)
    run_ours()


def run_ours() -> float:
    """Seconds an image, training and validation ones, of a whole epoch with its metrics."""
    inputs: Inputs = _state["inputs"]
    _state["epoch"] += 1
    taken_s = time_call(
        lambda: run_epoch(_state["config"], _state["engine"], inputs, _state["epoch"], 0.0)
    )
    return taken_s / (inputs.n_training + len(inputs.validation_labels))


def read_built() -> float:
    """Seconds that the cache took."""
    return float(_state["built_s"])


def prepare_plain(images: Path, caches: Path, n_parts: int) -> None:
    """Set up network and loaders for an epoch in parts."""
    torch.set_num_threads(count_cpus())
    torch.manual_seed(0)
    _, inputs = load(images, caches)
    files = [images / name for name in inputs.catalog.table["filename"]]
    data = TiffDataset(files, inputs.labels.argmax(axis=1).tolist())
    model = PlainLeNet5(SIZE, inputs.n_labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    parts = zip(
        np.array_split(inputs.split.train, n_parts),
        np.array_split(inputs.split.val, n_parts),
        strict=True,
    )
    _state.update(model=model, optimizer=optimizer, parts=_list_loaders(data, parts))


def _list_loaders(
    data: TiffDataset, parts: Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> Iterator[tuple[int, DataLoader[Any], DataLoader[Any]]]:
    for train, val in parts:
        yield (
            len(train) + len(val),
            DataLoader(Subset(data, train.tolist()), BATCH_SIZE, shuffle=True),
            DataLoader(Subset(data, val.tolist()), BATCH_SIZE),
        )


def run_plain() -> float:
    """Seconds an image of the next part of the epoch."""
    n_images, training, validation = next(_state["parts"])
    return time_call(lambda: _run_plain(training, validation)) / n_images


def _run_plain(training: DataLoader[Any], validation: DataLoader[Any]) -> None:
    model, optimizer = _state["model"], _state["optimizer"]
    model.train()
    for images, labels in training:
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    model.eval()
    with torch.no_grad():
        for images, labels in validation:
            (model(images).argmax(dim=1) == labels).float().mean().item()


def measure(arguments: argparse.Namespace) -> list[Row]:
    """One plain epoch in parts, between them epochs of ours."""
    n_images = 600 if arguments.quick else N_IMAGES
    images = make_images(arguments.work_dir, n_images)
    caches = arguments.work_dir / "caches"
    load_s = current_load()
    ours = Side(prepare_ours, images, caches)
    built_s = ours.call(read_built)
    plain = Side(prepare_plain, images, caches, arguments.turns)
    turns = take_turns(
        {"ours": lambda: ours.call(run_ours), "plain": lambda: plain.call(run_plain)},
        arguments.turns,
    )
    ours.close()
    plain.close()
    ours_s, plain_s = (float(np.median(turns[name])) * n_images for name in ("ours", "plain"))
    row = Row(
        f"one epoch as published: {SIZE} px, batch {BATCH_SIZE}, {n_images:,} images",
        "the published method (decode, transform one by one, eager step)",
        ">= 8",
        divide(turns["plain"], turns["ours"]),
        f"{ours_s:.1f} s against {plain_s:.1f} s; the cache took {built_s:.1f} s, once",
        load_s,
    )
    show(row.describe())
    return [row]


if __name__ == "__main__":
    run_benchmark(__doc__, measure, "torch", "numpy", "tifffile", "pillow")
