"""How well a model tells iron cells from X-ray cells: the AUC, with an interval over wells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.cells_alone import spread_enough
from bpsweep.report.statistics.intervals import Draws, Interval, find_interval, resample_influence
from bpsweep.report.statistics.wells import group_wells

_IRON, _XRAY = "Fe", "X-ray"


@dataclass(frozen=True)
class Separation:
    """The chance that a random iron cell looks more like iron to a model than an X-ray cell.

    Args:
        auc: 0.5 where they look alike, 1 where they are told apart always; far below 0.5 they are
            told apart as well, and named the wrong way round.
        interval: Over wells, resampled inside each particle.
        draws: (B,) what `interval` was read from.
        n_cells, n_wells: What it was measured on.
    """

    auc: float
    interval: Interval
    draws: Draws
    n_cells: int
    n_wells: int

    @property
    def tells_apart(self) -> bool:
        """Whether the interval leaves 0.5 out, on either side."""
        return not self.interval.low <= 0.5 <= self.interval.high

    def exceeds(self, other: "Separation") -> bool:
        """Tell whether this is the stronger separation with the interval's confidence."""
        further = np.maximum(self.draws, 1 - self.draws) - np.maximum(other.draws, 1 - other.draws)
        return bool(np.quantile(further, (1 - self.interval.level) / 2) > 0)


def separate_particles(
    predictions: Predictions, rows: NDArray[np.bool_], level: float, seed: int = 0
) -> Separation | None:
    """Measure how well the predictions tell the particles of some rows (N,) apart.

    The interval resamples, over wells, each cell's placement among the other particle's cells.

    Returns:
        None where the rows have cells of one particle only, or no label names a particle.

    References:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44, 837 (1988),
        doi 10.2307/2531595; N. A. Obuchowski, Nonparametric analysis of clustered ROC curve data,
        Biometrics 53, 567 (1997), doi 10.2307/2533958.
    """
    particles, names = predictions.particles[rows], predictions.label_names
    iron = particles == _IRON
    if iron.all() or not iron.any() or not {_IRON, _XRAY} <= set(names):
        return None
    likely = predictions.probabilities[rows].astype(np.float64)
    scores = likely[:, names.index(_IRON)] - likely[:, names.index(_XRAY)]
    auc, influence = place_cells(scores, iron)
    wells = group_wells(predictions, rows)
    draws = resample_influence(auc, influence, wells, seed)
    # Where every cell is told apart, or none, no cell adds anything: what they leave open does.
    placement = find_placement(scores, iron)
    draws = spread_enough(draws, [placement[iron], placement[~iron]], seed=seed)
    interval = find_interval(draws, auc, level, wells.unit)
    return Separation(auc, interval, draws, wells.n_cells, wells.n_wells)


def place_cells(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    """Return the AUC of scores (N,) and what each cell adds to it, (N,) with mean 0."""
    placement = find_placement(scores, positive)
    auc = float(placement[positive].mean())
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    weight = np.where(positive, len(scores) / n_positive, len(scores) / n_negative)
    return auc, weight * (placement - auc)


def find_placement(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of the other kind's cells that each cell is on the right side of: (N,)."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    placement = rankdata(scores)  # ties share their rank
    placement[positive] -= rankdata(scores[positive])
    placement[~positive] -= rankdata(scores[~positive])
    placement[positive] /= n_negative  # share of negatives below
    placement[~positive] = 1 - placement[~positive] / n_positive  # share of positives above
    found: NDArray[np.float64] = placement
    return found
