"""What every cell scores: the metrics of a verdict before they are averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.report import metrics
from bpsweep.report.metrics import Labels
from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.wells import Wells, align_cells, group_wells

Scores = NDArray[np.float64]
_SIX_DIGITS: Final = 1e-6  # how far a probability may be from what a file of six digits says

DEFAULT_LEVEL: Final = 0.95
"""Confidence of intervals where nobody asks for another."""


@dataclass(frozen=True)
class Metric:
    """One measure that a verdict can be given on.

    Args:
        name: As `--metric` names it.
        key: Its name in a run's history.
        words: As a sentence names it.
        higher_is_better: False for Hamming, the share of wrong labels.
        default_target: What is to be reached where nobody says otherwise.
    """

    name: str
    key: str
    words: str
    higher_is_better: bool
    default_target: float

    def meets(self, value: float, target: float) -> bool:
        """Tell whether a value is at the target or on its better side."""
        return value >= target if self.higher_is_better else value <= target

    def rank(self, value: float) -> float:
        """Return the value so that more is better."""
        return value if self.higher_is_better else -value


ACCURACY: Final = Metric("accuracy", metrics.VAL_ACCURACY, "accuracy", True, 0.80)
JACCARD: Final = Metric("jaccard", metrics.VAL_JACCARD, "Jaccard index", True, 0.80)
HAMMING: Final = Metric("hamming", metrics.VAL_HAMMING, "Hamming loss", False, 0.20)
METRICS: Final = {metric.name: metric for metric in (ACCURACY, JACCARD, HAMMING)}


def is_exclusive(predictions: Predictions) -> bool:
    """Tell whether each cell has exactly one label: the single-label task."""
    return bool((predictions.truth.sum(axis=1) == 1).all())


def decide_cells(predictions: Predictions) -> Labels:
    """Return the label vector (N, L) that the probabilities of each cell decide for."""
    return metrics.decide(predictions.probabilities, is_exclusive(predictions))


def score_cells(predictions: Predictions, metric: Metric) -> Scores:
    """Score every cell; the mean over the cells is the metric.

    Returns:
        (N,) float64 in [0, 1]: right or wrong for accuracy, intersection over union for Jaccard,
        the share of wrong labels for Hamming.
    """
    return _SCORES[metric.name](predictions.truth, decide_cells(predictions))


def count_undecided(predictions: Predictions) -> int:
    """Count the cells that six digits may have decided otherwise, as earlier versions kept them."""
    likely = predictions.probabilities.astype(np.float64)
    if is_exclusive(predictions) and likely.shape[1] > 1:
        first, second = np.sort(likely, axis=1)[:, -2:].T[::-1]
        return int((first - second <= 2 * _SIX_DIGITS).sum())
    return int((np.abs(likely - 0.5) <= _SIX_DIGITS).any(axis=1).sum())


def _match(truth: Labels, decided: Labels) -> Scores:
    return np.asarray((truth == decided).all(axis=1), dtype=np.float64)


def _overlap(truth: Labels, decided: Labels) -> Scores:
    shared = (truth & decided).sum(axis=1)
    either = (truth | decided).sum(axis=1)
    return np.asarray(shared / np.maximum(either, 1), dtype=np.float64)


def _miss(truth: Labels, decided: Labels) -> Scores:
    return np.asarray((truth != decided).mean(axis=1), dtype=np.float64)


_SCORES: Final[dict[str, Callable[[Labels, Labels], Scores]]] = {
    ACCURACY.name: _match,
    JACCARD.name: _overlap,
    HAMMING.name: _miss,
}


def stack_scores(group: Sequence[Predictions], metric: Metric) -> tuple[Scores, Wells] | None:
    """Score the same N cells by each of K predictions.

    Returns:
        (K, N) float64, cells in the order of their file names, and the wells (plates, where these
        were held out) of these cells; None where the predictions are not of the same cells.
    """
    orders = align_cells(group)
    if orders is None:
        return None
    scores = [score_cells(one, metric)[order] for one, order in zip(group, orders, strict=True)]
    first, order = group[0], orders[0]
    return np.stack(scores), group_wells(first, order)
