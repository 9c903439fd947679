"""Control models that see how bright a cell is and nothing of where: histogram, mean brightness.

Both learn in one epoch, whatever the winner's epochs were: a control that is held back proves
nothing.
"""

import math
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.engine import is_exclusive
from bpsweep.agent.training.inputs import Inputs
from bpsweep.agent.training.protocol import Engine, Weights
from bpsweep.data.loader import Batch
from bpsweep.report import metrics

N_BINS = 64
"""Of the histogram, over [0, 1] after the normalisation that the winner used."""
HELD_OUT = 0.1
"""Share of the training part by which the histogram's model tells when to stop."""
FOCI_SHARE = 0.1
"""Brightest share of an image's pixels that its brightness leaves out: the foci are there."""


def build_control_engine(config: RunConfig, inputs: Inputs) -> Engine | None:
    """Build the model of a control that is not the winner's; None for all other runs."""
    if config.control == "histogram":
        return HistogramEngine(config)
    if config.control == "brightness":
        return BrightnessEngine(config, inputs)
    return None


class HistogramEngine:
    """A small perceptron on each image's histogram: everything but the arrangement of pixels."""

    def __init__(self, config: RunConfig) -> None:
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415  # half a second to load

        self._exclusive = is_exclusive(config)
        self._model = MLPClassifier(
            hidden_layer_sizes=(32,),
            alpha=1e-3,
            validation_fraction=HELD_OUT,
            max_iter=300,
            random_state=config.seed,
        )
        self._mean = np.zeros(N_BINS, np.float32)
        self._scale = np.ones(N_BINS, np.float32)

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn until a tenth of the training part gets no better; return the training loss.

        Where that tenth is too few to tell, learn until the loss itself gets no better.
        """
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

        pairs = [(count_levels(batch.images), batch.labels) for batch in batches]
        shares = np.concatenate([share for share, _ in pairs])
        labels = np.concatenate([label for _, label in pairs])
        self._mean, self._scale = shares.mean(axis=0), shares.std(axis=0)
        self._scale[self._scale < 1e-6] = 1
        targets = labels.argmax(axis=1) if self._exclusive else labels.astype(int)
        self._model.set_params(early_stopping=can_hold_out(labels, self._exclusive))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is enough to compare
            self._model.fit(self._standardize(shares), targets)
        return float(self._model.loss_) / (1 if self._exclusive else labels.shape[1])

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""
        shares = np.concatenate([count_levels(batch.images) for batch in batches])
        found = self._model.predict_proba(self._standardize(shares))
        return np.asarray(found, dtype=np.float32)

    def _standardize(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        standard: NDArray[np.float32] = (shares - self._mean) / self._scale
        return standard

    def weights(self) -> Weights:
        """Return a copy of every weight matrix (in, out), bias, and the bins' statistics."""
        arrays: Weights = {"bin_mean": self._mean, "bin_scale": self._scale}
        for i, matrix in enumerate(self._model.coefs_):
            arrays[f"layers.{i}.weight"] = matrix.astype(np.float32)
            arrays[f"layers.{i}.bias"] = self._model.intercepts_[i].astype(np.float32)
        return arrays


def can_hold_out(labels: NDArray[np.float32], exclusive: bool) -> bool:
    """Tell whether scikit-learn can hold a tenth of labels (N, L) out: two, one of each class."""
    n_held = math.ceil(HELD_OUT * len(labels))
    if not exclusive:
        return n_held >= 2
    per_class = np.bincount(labels.argmax(axis=1))
    per_class = per_class[per_class > 0]
    return n_held >= max(2, len(per_class)) and bool(per_class.min() >= 2)


def count_levels(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square root of the share of pixels in each of N_BINS levels: (B, N_BINS).

    Args:
        images: (B, 1, S, S) float32 in [0, 1].
    """
    levels = np.minimum((images.reshape(len(images), -1) * N_BINS).astype(np.int64), N_BINS - 1)
    offsets = N_BINS * np.arange(len(images))[:, None]
    counts = np.bincount((levels + offsets).ravel(), minlength=N_BINS * len(images))
    shares = counts.reshape(len(images), N_BINS) / levels.shape[1]
    roots: NDArray[np.float32] = np.sqrt(shares).astype(np.float32)
    return roots


class BrightnessEngine:
    """Take a cell for one of the plate whose mean brightness in training is nearest to its own.

    Brightness is the mean camera count of a cell's image without its brightest tenth, so that it
    sees stain and illumination and no foci. It is taken before the normalisation, for a range that
    follows each image's own pixels would let the foci in; after it where plates are normalised,
    so that what was taken out of the winner's images is not held against it.
    """

    def __init__(self, config: RunConfig, inputs: Inputs) -> None:
        self._exclusive = is_exclusive(config)
        self._images = None if config.normalize == "plate" else inputs.cache.images
        table = inputs.catalog.table
        self._plates = (table["plate"] + " " + table["barcode"]).to_numpy(dtype=str)
        self._means = np.zeros(0, np.float32)  # (P,)
        self._labels = np.zeros((0, inputs.n_labels), np.float32)  # (P, L)
        self._spread = np.float32(1)

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Find each plate's mean brightness; return the loss over the training part."""
        parts = [(batch.rows, batch.labels, self._measure(batch)) for batch in batches]
        rows = np.concatenate([row for row, _, _ in parts])
        labels = np.concatenate([label for _, label, _ in parts])
        brightness = np.concatenate([one for _, _, one in parts])
        plates, of_row = np.unique(self._plates[rows], return_inverse=True)
        n_cells = np.bincount(of_row)
        self._means = (np.bincount(of_row, brightness) / n_cells).astype(np.float32)
        sums = [labels[of_row == plate].sum(axis=0) for plate in range(len(plates))]
        self._labels = (np.stack(sums) / n_cells[:, None]).astype(np.float32)
        self._spread = np.float32(max((brightness - self._means[of_row]).std(), 1e-6))
        found = self._decide(brightness)
        return metrics.log_loss(labels.astype(np.uint8), found, self._exclusive)

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""
        return self._decide(np.concatenate([self._measure(batch) for batch in batches]))

    def _measure(self, batch: Batch) -> NDArray[np.float32]:
        """(B,) mean of each image without its brightest pixels."""
        images = batch.images if self._images is None else self._images[batch.rows]
        pixels = images.reshape(len(images), -1)
        n_kept = round(pixels.shape[1] * (1 - FOCI_SHARE))
        kept = np.partition(pixels, n_kept - 1, axis=1)[:, :n_kept]
        means: NDArray[np.float32] = kept.mean(axis=1, dtype=np.float64).astype(np.float32)
        return means

    def _decide(self, brightness: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, L) from the plates' normal densities, all of one width, all as likely beforehand."""
        distance = (brightness[:, None] - self._means) / self._spread
        likely = np.exp(-0.5 * (distance**2 - (distance**2).min(axis=1, keepdims=True)))
        likely /= likely.sum(axis=1, keepdims=True)  # (N, P)
        if self._exclusive:
            mixed: NDArray[np.float32] = (likely @ self._labels).astype(np.float32)
            return mixed
        # The labels of the likeliest plate: a mixture of plates names labels of none of them.
        best = self._labels[likely.argmax(axis=1)]
        sure: NDArray[np.float32] = 0.5 + (best - 0.5) * likely.max(axis=1, keepdims=True)
        return sure.astype(np.float32)

    def weights(self) -> Weights:
        """Return each plate's mean brightness and labels, and the spread of cells about it."""
        return {
            "plate_brightness": self._means,
            "plate_labels": self._labels,
            "spread": np.array([self._spread], np.float32),
        }
