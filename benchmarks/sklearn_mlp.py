"""A sweep of scikit-learn's MLPClassifier: six plain scripts against six runs of ours.

    python benchmarks/sklearn_mlp.py [--turns 6] [--quick]

7,092 training images of 200 x 200 pixels, batch 64, ten epochs, six pairs of learning rate and
weight decay. A plain script is a process: it decodes the images to float64, standardises them,
calls `fit`, and predicts the validation images. Ours are runs of one process after another, as a
warm worker does them, each with the validation of every epoch; the first one pays for what they
share. Torch's MLP is the same network, in another such process. A turn is one configuration by
every side. Memory is the greatest resident set of a
process, pages of the cache included. Building the cache, once for all sweeps, is told beside it.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
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
from PIL import Image
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from bpsweep.agent.config import ModelName, RunConfig
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.data.folders import count_cpus

SIZE, BATCH_SIZE = 200, 64
N_IMAGES, N_EPOCHS = 8866, 10
SETTINGS = tuple(itertools.product((1e-4, 3e-4, 1e-3), (0.0, 1e-3)))

_state: dict[str, Any] = {}


def run_script(request: Path, number: int) -> None:
    """What somebody writes who has the files and scikit-learn."""
    given = json.loads(request.read_text(encoding="utf-8"))
    learning_rate, weight_decay = SETTINGS[number]
    parts = []
    for files in (given["train_files"], given["val_files"]):
        images = np.empty((len(files), SIZE * SIZE))
        for row, name in enumerate(files):
            image = Image.fromarray(tifffile.imread(name).astype(np.float32))
            resized = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
            span = resized.max() - resized.min() + 1
            images[row] = ((resized - resized.min()) / span).ravel()
        parts.append(images)
    scaler = StandardScaler()
    training = scaler.fit_transform(parts[0])
    model = MLPClassifier(
        (25, 25),
        batch_size=BATCH_SIZE,
        learning_rate_init=learning_rate,
        alpha=weight_decay * BATCH_SIZE,
        max_iter=given["n_epochs"],
        random_state=42,
    )
    model.fit(training, given["train_labels"])
    print(model.score(scaler.transform(parts[1]), given["val_labels"]))


def start_script(request: Path, number: int) -> tuple[float, float]:
    """Run one plain script; seconds and bytes of its greatest resident set."""
    peak = 0

    def wait() -> None:
        nonlocal peak
        command = [sys.executable, "-W", "ignore", __file__, "--script", str(request), str(number)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"the plain script ended with status {status}")
        peak = usage.ru_maxrss * 1024  # Linux counts KiB

    return time_call(wait), peak


def make_config(number: int, n_epochs: int, model: ModelName = "sklearn-mlp") -> RunConfig:
    """The settings of one of our runs."""
    learning_rate, weight_decay = SETTINGS[number]
    return RunConfig(
        model=model,
        subset="all-4h",
        split="image",
        image_size=SIZE,
        batch_size=BATCH_SIZE,
        epochs=n_epochs,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
    )


def write_request(images: Path, caches: Path, n_epochs: int, path: Path) -> None:
    """Say the plain scripts which files are whose; build the cache on the way."""
    inputs = load_inputs(make_config(0, n_epochs), images, caches)
    files = [str(images / name) for name in inputs.catalog.table["filename"]]
    labels = inputs.labels.argmax(axis=1)
    request: dict[str, Any] = {"n_epochs": n_epochs}
    for name, rows in (("train", inputs.split.train), ("val", inputs.split.val)):
        request[f"{name}_files"] = [files[row] for row in rows]
        request[f"{name}_labels"] = labels[rows].tolist()
    path.write_text(json.dumps(request), encoding="utf-8")


def prepare_ours(images: Path, caches: Path, n_epochs: int, model: ModelName) -> None:
    """A worker before its first run."""
    torch.set_num_threads(count_cpus())
    keep_freed_memory()
    _state.update(images=images, caches=caches, n_epochs=n_epochs, model=model)


def run_ours(number: int) -> float:
    """Seconds of one run, from its settings to its last epoch."""

    def run() -> None:
        config = make_config(number, _state["n_epochs"], _state["model"])
        train(config, load_inputs(config, _state["images"], _state["caches"]), lambda _: None)

    return time_call(run)


def read_peak() -> int:
    """Bytes of the greatest resident set of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(arguments: argparse.Namespace) -> list[Row]:
    """One configuration after another by either side."""
    n_images, n_epochs = (600, 2) if arguments.quick else (N_IMAGES, N_EPOCHS)
    images = make_images(arguments.work_dir, n_images)
    caches, request = arguments.work_dir / "caches", arguments.work_dir / "request.json"
    built_s = time_call(lambda: write_request(images, caches, n_epochs, request))
    load = current_load()
    ours = Side(prepare_ours, images, caches, n_epochs, "sklearn-mlp")
    torchs = Side(prepare_ours, images, caches, n_epochs, "mlp")
    peaks: list[float] = []
    numbers = {name: itertools.cycle(range(6)) for name in ("ours", "plain", "torch")}

    def run_plain() -> float:
        taken_s, peak = start_script(request, next(numbers["plain"]))
        peaks.append(peak)
        return taken_s

    turns = take_turns(
        {
            "ours": lambda: ours.call(run_ours, next(numbers["ours"])),
            "plain": run_plain,
            "torch": lambda: torchs.call(run_ours, next(numbers["torch"])),
        },
        max(arguments.turns, len(SETTINGS)),
    )
    our_peak = ours.call(read_peak)
    ours.close()
    torchs.close()
    what = f"scikit-learn MLP sweep, {len(turns['ours'])} runs, {n_images:,} images of {SIZE} px"
    against = "as many plain MLPClassifier scripts"
    our_s, their_s = sum(turns["ours"]), sum(turns["plain"])
    speed = Row(
        what,
        against,
        ">= 2",
        divide(turns["plain"], turns["ours"]),
        f"all runs {our_s:.0f} s against {their_s:.0f} s ({their_s / our_s:.1f}x); the cache "
        f"took {built_s:.0f} s, once",
        load,
    )
    memory = Row(
        f"{what}: memory",
        against,
        ">= 2",
        divide(peaks, [our_peak] * len(peaks)),
        f"peak {our_peak / 1e9:.2f} GB against {np.median(peaks) / 1e9:.2f} GB",
        load,
    )
    torch_s = sum(turns["torch"])
    by_torch = Row(
        f"the same {len(turns['torch'])} runs by torch's MLP, the same network",
        against,
        ">= 4",
        divide(turns["plain"], turns["torch"]),
        f"all runs {torch_s:.0f} s against {their_s:.0f} s ({their_s / torch_s:.1f}x)",
        load,
    )
    rows = [speed, memory, by_torch]
    for row in rows:
        show(row.describe())
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--script"]:
        run_script(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        run_benchmark(__doc__, measure, "scikit-learn", "numpy", "torch")
