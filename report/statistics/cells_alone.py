"""What as many independent cells would leave open: the least that any interval is wide.

A resampling shows nothing of what no cell of the sample did. Where all cells of every well score
alike (all are right, or one class is named for all of them), it gives an interval of no width,
which 42 cells cannot justify. Draws over wells are therefore never allowed to spread less than
those of as many independent cells, as survey statistics caps the effective number of cells at
their number; and independent cells are resampled with half a cell more at either end of the
scale, which for cells that are right or wrong is Jeffreys' interval, and for the difference of two
models adds half a cell that only the one, and half a cell that only the other, has right.

References:
    E. L. Korn, B. I. Graubard, Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data, Surv. Methodol. 24, 193 (1998);
    D. B. Rubin, The Bayesian bootstrap, Ann. Stat. 9, 130 (1981), doi 10.1214/aos/1176345338;
    L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Stat. Sci.
    16, 101 (2001), doi 10.1214/ss/1009213286; A. Agresti, Y. Min, Simple improved confidence
    intervals for comparing matched proportions, Stat. Med. 24, 729 (2005), doi 10.1002/sim.1781.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.statistics.scores import Scores

Ends = tuple[float, float]
SHARE: Final[Ends] = (0.0, 1.0)
DIFFERENCE: Final[Ends] = (-1.0, 1.0)
_HALF: Final = 0.5  # of a cell at either end


def spread_enough(
    draws: NDArray[np.float64], groups: Sequence[Scores], ends: Ends = SHARE, seed: int = 0
) -> NDArray[np.float64]:
    """Return draws of a mean over wells, or those of independent cells where these spread more.

    Args:
        draws: (B,) over wells.
        groups: What is averaged, (N,) in `ends`; several where the statistic's variance is the sum
            of theirs, each with the same mean (for the AUC: iron cells, X-ray cells).
        ends: The least and the greatest value that a cell can have.
        seed: Of the draws over cells.
    """
    least = sum(_measure_variance(group, ends) for group in groups)
    if draws.var() >= least:
        return draws
    rng = np.random.default_rng((seed, 1))
    first, *others = [draw_cells(group, ends, rng, len(draws)) for group in groups]
    for group, drawn in zip(groups[1:], others, strict=True):
        first += drawn - group.mean()
    return np.asarray(np.clip(first, *ends))


def draw_cells(
    scores: Scores, ends: Ends, rng: np.random.Generator, n_draws: int
) -> NDArray[np.float64]:
    """Draw the mean of scores (N,) of independent cells, n_draws times: (B,) in `ends`."""
    values, weights = _weigh(scores, ends)
    drawn = rng.standard_gamma(weights, size=(n_draws, len(weights)))
    return np.asarray(drawn @ values / drawn.sum(axis=1))


def _measure_variance(scores: Scores, ends: Ends) -> float:
    """Return the variance of what `draw_cells` draws."""
    values, weights = _weigh(scores, ends)
    total = weights.sum()
    mean = weights @ values / total
    return float(weights @ (values - mean) ** 2 / total / (total + 1))


def _weigh(scores: Scores, ends: Ends) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct scores (K,) and the weight of each, half a cell at either end more."""
    values, codes = np.unique(np.concatenate([scores, ends]), return_inverse=True)
    each = np.concatenate([np.ones(len(scores)), [_HALF, _HALF]])
    weights: NDArray[np.float64] = np.bincount(codes.reshape(-1), weights=each).astype(np.float64)
    return values, weights
