"""A finished sweep of 27 runs, simulated, for the page's tests."""

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from bpsweep.report import metrics
from bpsweep.report.metrics import Labels
from bpsweep.report.page.cells import CellPicture
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import CONTROL, TRAIN, RunRecord, SweepRecord

LABELS = ("Fe", "X-ray")
PARAMETERS = {
    "model": {"value": "lenet5"},
    "batch_size": {"values": [16, 32, 64]},
    "epochs": {"values": [5, 10, 15]},
    "learning_rate": {"values": [0.0003, 0.0005, 0.001]},
}
CONFIG = {
    "program": "bpsweep.agent",
    "name": "lenet_single",
    "method": "grid",
    "metric": {"name": metrics.VAL_ACCURACY, "goal": "maximize"},
    "parameters": PARAMETERS,
}
PROVENANCE = {
    "synthetic": True,
    "data_checksum": "0951d7a3c9a28683",
    "labels_checksum": "7777aaaa",
    "split_checksum": "1234abcd",
    "n_training": 4800,
    "n_validation": 1200,
    "n_test": 0,
    "audit": "each plate holds one condition; wells are held out",
    "label_names": list(LABELS),
    "versions": {"python": "3.12", "torch": "2.13.0"},
}


def make_predictions(accuracy: float, seed: int, n: int = 1200, dose: float = 0.82) -> Predictions:
    """Simulate what a run with this accuracy says of the same n cells of 16 wells.

    Fe cells have `dose`, X-ray cells 1.0 Gy, or both 0 for sham.
    """
    rng = np.random.default_rng(seed)
    iron = np.arange(n) % 2 == 0
    right = rng.random(n) < accuracy + 0.04 * np.sin(np.arange(n) // 75)
    sure = 0.5 + 0.5 * rng.beta(2.5, 1.5, size=n)
    likely = np.where(right == iron, sure, 1 - sure).astype(np.float32)
    truth: Labels = np.stack([iron, ~iron], axis=1).astype(np.uint8)
    wells = np.array([f"{'ABCDEFGH'[i // 75 % 8]}{1 + i // 600}" for i in range(n)])
    return Predictions(
        cells=np.array([f"cell{i}.tif" for i in range(n)]),
        plates=np.where(iron, "P242", "P280"),
        wells=wells,
        fields=np.arange(n) // 10 % 8,
        particles=np.where(iron, "Fe", "X-ray"),
        doses_gy=np.where(iron, dose, 1.0 if dose else 0.0),
        hours=np.full(n, 4),
        label_names=LABELS,
        truth=truth,
        probabilities=np.stack([likely, 1 - likely], axis=1),
    )


def make_run(
    id_: str, accuracy: float, config: Mapping[str, Any], seed: int = 0, kind: str = TRAIN
) -> RunRecord:
    """Simulate one finished run whose last epoch is its best."""
    epochs = config.get("epochs", 10)
    predictions = make_predictions(accuracy, seed)
    true = metrics.accuracy(
        predictions.truth, metrics.decide(predictions.probabilities, exclusive=True)
    )
    history = tuple(
        {
            metrics.EPOCH: epoch,
            metrics.TRAIN_LOSS: 0.7 - 0.3 * epoch / epochs,
            metrics.VAL_LOSS: 0.7 - 0.25 * epoch / epochs,
            metrics.VAL_ACCURACY: true - 0.25 * (1 - epoch / epochs) ** 1.5,
            metrics.VAL_JACCARD: true - 0.25 * (1 - epoch / epochs) ** 1.5,
            metrics.VAL_HAMMING: 1 - true + 0.25 * (1 - epoch / epochs) ** 1.5,
            metrics.ELAPSED_S: 3.0 * epoch,
        }
        for epoch in range(1, epochs + 1)
    )
    settings = {"split": "well", "subset": "hi-4h", "seed": 42, "provenance": PROVENANCE}
    return RunRecord(
        id=id_,
        name=f"{id_}-name",
        state="finished",
        config={**settings, **config},
        history=history,
        kind=kind,
        predictions=predictions,
    )


def make_sweep(
    n_runs: int = 27, name: str = "lenet_single", beside: Sequence[RunRecord] = ()
) -> SweepRecord:
    """Simulate a sweep's first runs: batch size matters most, the learning rate a little."""
    grid = itertools.product((16, 32, 64), (5, 10, 15), (0.0003, 0.0005, 0.001))
    runs = [
        make_run(
            f"run{i:02d}",
            0.84 - 0.0015 * batch + 0.004 * epochs / 5 + 30 * (rate - 0.0005),
            {"batch_size": batch, "epochs": epochs, "learning_rate": rate},
            seed=i,
        )
        for i, (batch, epochs, rate) in enumerate(itertools.islice(grid, n_runs))
    ]
    return SweepRecord(
        "bpsweep/bpsweep/abc123", name, "FINISHED", CONFIG, tuple(runs), "", tuple(beside)
    )


def make_controls() -> list[RunRecord]:
    """Simulate controls beside the sweep: the background tells little."""
    scores = {"background": 0.56, "shuffled-labels": 0.5, "histogram": 0.66, "brightness": 0.53}
    return [
        make_run(name, score, {"control": name}, seed=100 + i, kind=CONTROL)
        for i, (name, score) in enumerate(scores.items())
    ]


def make_cells(n: int = 24) -> list[CellPicture]:
    """Make pictures of noise for each group, some with a saliency picture."""
    rng = np.random.default_rng(0)
    groups = ("right", "wrong", "confident mistake")
    return [
        CellPicture(
            groups[i % 3],
            "Fe, 0.82 Gy",
            "Fe, 0.82 Gy" if i % 3 == 0 else "X-ray, 1.0 Gy",
            0.5 + 0.02 * i,
            "P242 A6",
            _make_png(rng),
            _make_png(rng) if i % 2 else None,
        )
        for i in range(n)
    ]


def _make_png(rng: np.random.Generator) -> bytes:
    y, x = np.mgrid[-1:1:200j, -1:1:200j]  # the largest that sweeps have, as noisy as they are
    cell = 160 * np.exp(-2 * (x**2 + y**2)) + rng.normal(0, 6, (200, 200))
    buffer = io.BytesIO()
    pixels = np.clip(cell, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
