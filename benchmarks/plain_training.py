"""The training function that people write: a DataLoader over an array, eager steps, Adam."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from step import BATCH_SIZE, PlainLeNet5
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from bpsweep.agent.training.inputs import Inputs

LEARNING_RATES = (1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)
WEIGHT_DECAYS = (0.0, 1e-4)


def read_arguments(description: str | None) -> argparse.Namespace:
    """Read what every script that trains plainly is told: the arrays, and the number of epochs."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path)
    parser.add_argument("n_epochs", type=int)
    return parser.parse_args()


def save_arrays(inputs: Inputs, folder: Path) -> None:
    """Keep the images of a cache, scaled, as float32 arrays: training and validation part."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", inputs.split.train), ("val", inputs.split.val)):
        counts = inputs.cache.images[rows].astype(np.float32)
        least, greatest = inputs.cache.ranges[rows].astype(np.float32).T[:, :, None, None]
        np.save(folder / f"{name}-images.npy", ((counts - least) / (greatest - least + 1))[:, None])
        np.save(folder / f"{name}-labels.npy", inputs.labels[rows].argmax(axis=1))


def train_plainly(
    folder: Path,
    learning_rate: float,
    weight_decay: float,
    n_epochs: int,
    report: Callable[[int, float], None],
    batch_size: int = BATCH_SIZE,
) -> float:
    """Train once; report every epoch's validation accuracy, return the best."""
    torch.manual_seed(42)
    loaders = {}
    for name in ("train", "val"):
        images = torch.from_numpy(np.load(folder / f"{name}-images.npy"))
        labels = torch.from_numpy(np.load(folder / f"{name}-labels.npy"))
        loaders[name] = DataLoader(TensorDataset(images, labels), batch_size, name == "train")
    model = PlainLeNet5(images.shape[-1], 2)
    optimizer = torch.optim.Adam(model.parameters(), learning_rate, weight_decay=weight_decay)
    best = 0.0
    for epoch in range(n_epochs):
        model.train()
        for images, labels in loaders["train"]:
            loss = functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = [(model(x).argmax(dim=1) == y).float() for x, y in loaders["val"]]
        accuracy = float(torch.cat(right).mean())
        report(epoch, accuracy)
        best = max(best, accuracy)
    return best
