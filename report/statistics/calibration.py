"""Does a model that says 90 % turn out right nine times in ten?

References:
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks,
    ICML 2017, arXiv:1706.04599.
"""

from dataclasses import dataclass

import numpy as np

from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.scores import decide_cells, is_exclusive

N_BINS = 10


@dataclass(frozen=True)
class Bin:
    """The statements of similar confidence.

    Args:
        low, high: Confidence from (excluded, but for the first) and to.
        n: Number of statements; the next two are None where there is none.
        confidence: Their mean confidence.
        right: Share of them that are right.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class Calibration:
    """How far what a model says of its own sureness can be taken at its word.

    A statement is, in the single-label task, the likeliest label of a cell; in the multi-label
    task each label of each cell, held or not, whichever is likelier.

    Args:
        bins: From the least to the most confident, of equal width.
        error: Expected calibration error: |confidence - share right|, averaged over statements.
        confidence: Mean confidence over all statements.
        right: Share of all statements that are right.
    """

    bins: tuple[Bin, ...]
    error: float
    confidence: float
    right: float

    @property
    def is_overconfident(self) -> bool:
        """Whether it is right less often than it says, all in all."""
        return self.confidence > self.right


def measure_calibration(predictions: Predictions, n_bins: int = N_BINS) -> Calibration:
    """Measure the calibration of a run's predictions (one cell or more)."""
    likely = predictions.probabilities.astype(np.float64)
    if is_exclusive(predictions):
        confidence = likely.max(axis=1)
        right = (decide_cells(predictions) == predictions.truth).all(axis=1)
    else:
        confidence = np.maximum(likely, 1 - likely).ravel()
        right = (decide_cells(predictions) == predictions.truth).ravel()
    edges = np.linspace(0, 1, n_bins + 1)
    code = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    bins, error = [], 0.0
    for i in range(n_bins):
        inside = code == i
        n = int(inside.sum())
        sure, true = (
            (float(confidence[inside].mean()), float(right[inside].mean())) if n else (None, None)
        )
        if sure is not None and true is not None:
            error += n / len(confidence) * abs(sure - true)
        bins.append(Bin(float(edges[i]), float(edges[i + 1]), n, sure, true))
    return Calibration(tuple(bins), error, float(confidence.mean()), float(right.mean()))
