"""Choosing the best of many again and again: what the choice is worth where it was not made.

Each draw picks its winner on units (wells, say) drawn with replacement and measures it on the units
left out, as an advantage over all configurations there. The mean of all configurations plus that
advantage is what the winner is worth. Where all are equally good the advantage is nil, and the
result is unbiased; where one is truly better by more than the noise, it wins every draw and keeps
its lead. In between the correction is on the careful side, for a draw chooses with two thirds of
the units only.

benchmarks/report_selection.py shows all three.

References:
    I. Tsamardinos, E. Greasidou, G. Borboudakis, Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation, Mach. Learn. 107, 1895 (2018),
    doi 10.1007/s10994-018-5714-4. Measuring advantages, not values, is ours: easy and hard wells
    are so for all configurations, and fall out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import Scores
from bpsweep.report.statistics.wells import Wells

N_CHOICES: Final = 2000
_N_JACKKNIFE_CHOICES: Final = 500
_N_GROUPS: Final = 20  # of units, left out in turn, of each stratum


@dataclass(frozen=True)
class Choice:
    """What repeating a choice among K configurations showed.

    Args:
        worth: Mean score that the winner is likely to have on new units.
        wins: (K,) share of draws that each won.
    """

    worth: float
    wins: NDArray[np.float64]


def repeat_choice(scores: Scores, units: Wells, n_draws: int = N_CHOICES, seed: int = 0) -> Choice:
    """Choose among configurations on drawn units, measure the choice on the units left out.

    Args:
        scores: (K, N), more is better.
        units: The unit of each cell; each stratum has two or more.
        n_draws: How many draws; those that leave no unit of some stratum out are not counted.
        seed: Of the draws.
    """
    sums = np.stack([units.total(one) for one in scores], axis=1)  # (U, K)
    return _choose(sums, units.sizes, units.stratum, n_draws, seed)


def find_worth_interval(scores: Scores, units: Wells, worth: float, level: float) -> Interval:
    """Return the interval of what the winner is worth, from leaving units out in turn.

    The choice is repeated without each unit (or group of units, where a stratum has more than 20);
    how much its worth changes is its variance (delete-a-group jackknife), and Student's t allows
    for that variance being known from few. Arguments are as in `repeat_choice`.
    """
    sums = np.stack([units.total(one) for one in scores], axis=1)
    variance, freedom = 0.0, 0
    for stratum in range(units.n_strata):
        inside = np.flatnonzero(units.stratum == stratum)
        groups = np.array_split(inside, min(len(inside), _N_GROUPS))
        worths = []
        for group in groups:
            kept = np.setdiff1d(np.arange(units.n_wells), group)
            found = _choose(
                sums[kept], units.sizes[kept], units.stratum[kept], _N_JACKKNIFE_CHOICES, seed=0
            )
            worths.append(found.worth)
        variance += (len(groups) - 1) * float(np.var(worths))
        freedom += len(groups) - 1
    half = float(student.ppf((1 + level) / 2, freedom) * np.sqrt(variance))
    return Interval(worth - half, worth + half, level, "wells")


def _choose(
    sums: NDArray[np.float64],
    sizes: NDArray[np.int64],
    stratum: NDArray[np.int64],
    n_draws: int,
    seed: int,
) -> Choice:
    """Repeat a choice on units given by sums of scores (U, K), sizes (U,) and strata (U,)."""
    rng = np.random.default_rng(seed)
    n_configurations, n_cells = sums.shape[1], sizes.sum()
    drawn, left = np.zeros((2, n_draws, n_configurations))
    mean = np.zeros(n_configurations)
    usable = np.ones(n_draws, dtype=bool)
    for one in np.unique(stratum):
        inside = np.flatnonzero(stratum == one)
        size, total = sizes[inside], sums[inside]
        weight = size.sum() / n_cells
        counts = rng.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), size=n_draws)
        out = (counts == 0).astype(np.int64)
        usable &= out.any(axis=1)
        drawn += weight * (counts @ total) / (counts @ size)[:, None]
        left += weight * (out @ total) / np.maximum(out @ size, 1)[:, None]
        mean += total.sum(axis=0) / n_cells
    winners, outside = drawn[usable].argmax(axis=1), left[usable]
    advantage = outside[np.arange(len(outside)), winners] - outside.mean(axis=1)
    wins = np.bincount(winners, minlength=n_configurations) / len(winners)
    return Choice(float(mean.mean() + advantage.mean()), wins)
