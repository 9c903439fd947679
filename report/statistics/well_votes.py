"""How many wells are named right: a dish is irradiated, not a cell.

A well is named by what most of its cells are taken for, and by the mean of their probabilities.
The interval is exact (Clopper and Pearson) for wells that stand or fall by themselves; wells of one
plate share more than that, so it is at best as wide as it should be.

References:
    C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934), doi 10.1093/biomet/26.4.404.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bpsweep.report import metrics
from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import decide_cells, is_exclusive
from bpsweep.report.statistics.wells import group_plate_wells


@dataclass(frozen=True)
class Vote:
    """How many wells one way of naming them has right.

    Args:
        n_right: Wells whose whole label vector is right.
        interval: Of the share.
    """

    n_right: int
    interval: Interval


@dataclass(frozen=True)
class WellVotes:
    """How many wells of the validation cells are named right.

    Args:
        n_wells: Wells, each on its plate.
        n_plates: Plates that they are on.
        majority: By what most of a well's cells are taken for; a tie names nothing.
        probability: By the mean of its cells' probabilities.
    """

    n_wells: int
    n_plates: int
    majority: Vote
    probability: Vote


def count_wells(predictions: Predictions, level: float) -> WellVotes:
    """Name each well by its cells, and count those that are right."""
    wells = group_plate_wells(predictions)
    decided = decide_cells(predictions)
    n_cells = wells.sizes
    means = np.stack([wells.total(column) for column in predictions.probabilities.T.astype(float)])
    by_mean = metrics.decide(
        (means / n_cells).T.astype(np.float32), exclusive=is_exclusive(predictions)
    )
    first = np.unique(wells.of_cell, return_index=True)[1]
    truth = predictions.truth[first]
    by_vote = np.array(
        [
            _is_commonest(decided[wells.of_cell == well], truth[well])
            for well in range(wells.n_wells)
        ]
    )
    by_probability = (by_mean == truth).all(axis=1)
    return WellVotes(
        wells.n_wells,
        len(np.unique(predictions.plates)),
        _make_vote(by_vote, level),
        _make_vote(by_probability, level),
    )


def _is_commonest(decided: NDArray[np.uint8], truth: NDArray[np.uint8]) -> bool:
    """Whether more cells (N, L) are taken for the true vector (L,) than for any other."""
    vectors, counts = np.unique(decided, axis=0, return_counts=True)
    is_true = (vectors == truth).all(axis=1)
    return bool(is_true.any() and counts[is_true][0] > counts[~is_true].max(initial=0))


def _make_vote(right: NDArray[np.bool_], level: float) -> Vote:
    n_right = int(right.sum())
    found = binomtest(n_right, len(right)).proportion_ci(level, method="exact")
    return Vote(n_right, Interval(float(found.low), float(found.high), level, "exact"))
