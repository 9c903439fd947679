"""How far a mean over cells may be off: resampled over wells, and the naive way beside it.

Cells of a well share an animal, a stain and a place on the plate, so a thousand cells of four
wells say less than a thousand wells would. The interval comes from a two-stage bootstrap: wells
are drawn with replacement, then cells inside each drawn well. Drawn plainly, that counts the
spread of cells twice (a well's mean already carries it), so the wells' deviations are first shrunk
until the variance of the draws is what the wells' means show, and never less than what the cells
alone do. Few wells tell their own spread badly; each draw is therefore stretched as Student's t
deviates from the normal, by as many degrees of freedom as there are wells, fewer strata, for the
part of the variance that lies between wells. Deviations are taken on the logit scale, which keeps
shares inside [0, 1] and bends the interval where a share is near its end. No draws spread less than
those of as many independent cells, see cells_alone.py: where all cells of every well score alike a
resampling over wells gives no width at all.

benchmarks/report_coverage.py counts how often such intervals hold the truth.

References:
    A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.8,
    doi 10.1017/CBO9780511802843; C. A. Field, A. H. Welsh, Bootstrapping clustered data,
    J. R. Stat. Soc. B 69, 369 (2007), doi 10.1111/j.1467-9868.2007.00593.x.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bpsweep.report.statistics.cells_alone import DIFFERENCE, SHARE, draw_cells, spread_enough
from bpsweep.report.statistics.scores import DEFAULT_LEVEL, Scores
from bpsweep.report.statistics.wells import Wells

N_DRAWS: Final = 2000
_MAX_VALUES = 64  # distinct scores up to which cells are drawn exactly, not as their normal limit

_ROUNDING: Final = 1e-15  # of variances of shares

Draws = NDArray[np.float64]
CLUSTERED: Final = ("wells", "plates")
"""Methods that let the cells of a group stand or fall together."""
Method = Literal["wells", "plates", "cells", "wilson", "exact", "runs"]


@dataclass(frozen=True)
class Interval:
    """Where the truth lies with some confidence.

    Args:
        low, high: Its ends.
        level: The confidence, 0.95 say.
        method: "wells" or "plates" (two-stage bootstrap over these), "cells" (bootstrap of
            independent cells), "wilson" (the formula for a share of independent cells), "exact" (of
            a count) or "runs" (bootstrap of runs).
    """

    low: float
    high: float
    level: float
    method: Method


def find_interval(
    draws: Draws, value: float, level: float = DEFAULT_LEVEL, method: Method = "wells"
) -> Interval:
    """Return the ends between which the middle `level` of the draws over wells (or plates) lies.

    The interval of a value holds the value: at 100 % the draws alone would end just below it.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(min(float(low), value), max(float(high), value), level, method)


def resample_mean(scores: Scores, wells: Wells, seed: int = 0, n_draws: int = N_DRAWS) -> Draws:
    """Draw the mean of scores over wells and the cells inside them.

    Args:
        scores: (N,) in [0, 1], one a cell.
        wells: The well of each cell.
        seed: Draws with the same seed and wells draw the same wells.
        n_draws: How many.

    Returns:
        (n_draws,) in [0, 1]. They spread at least as if cells were independent, and with a single
        well just so.
    """
    mean = float(scores.mean())
    draws = resample_influence(mean, scores - mean, wells, seed, n_draws)
    return spread_enough(draws, [scores], SHARE, seed)


def resample_influence(
    value: float, influence: Scores, wells: Wells, seed: int = 0, n_draws: int = N_DRAWS
) -> Draws:
    """Draw a statistic in [0, 1] over wells and cells by what each cell adds to it.

    Where no cell adds anything the draws do not spread; `spread_enough` is the caller's.

    Args:
        value: The statistic.
        influence: (N,) with mean 0; the mean over a sample of cells is, to first order, by how
            much the statistic of that sample differs.
        wells: The well of each cell.
        seed: Draws with the same seed and wells draw the same wells.
        n_draws: How many.
    """
    rng = np.random.default_rng(seed)
    deviations = _draw_deviations(influence, wells, rng, n_draws)
    if not 0 < value < 1:
        return np.clip(value + deviations, 0, 1)
    logits = np.log(value / (1 - value)) + deviations / (value * (1 - value))
    return np.asarray(expit(logits))


def resample_difference(
    scores: Scores, others: Scores, wells: Wells, seed: int = 0, n_draws: int = N_DRAWS
) -> Draws:
    """Draw the mean of scores - others, two scores (N,) of the same cells: the paired difference.

    What is common to both, an easy well say, falls out. Two that agree on every cell may still
    differ on others.
    """
    rng = np.random.default_rng(seed)
    differences = scores - others
    draws = differences.mean() + _draw_deviations(differences, wells, rng, n_draws)
    return spread_enough(np.asarray(np.clip(draws, -1, 1)), [differences], DIFFERENCE, seed)


def find_lead_interval(
    scores: Scores, others: Scores, wells: Wells, lead: float, level: float
) -> Interval:
    """Return the interval of a lead, the difference of two values that scores (N,) were logged as.

    The draws are about the scores' own difference, which may be a cell or two off the lead.
    """
    off = lead - float((scores - others).mean())
    draws = np.clip(resample_difference(scores, others, wells) + off, -1, 1)
    return find_interval(draws, lead, level, wells.unit)


def naive_interval(scores: Scores, level: float = DEFAULT_LEVEL, seed: int = 0) -> Interval:
    """Return the interval of the mean of scores (N,) as if all cells were independent."""
    value = float(scores.mean())
    if set(np.unique(scores).tolist()) <= {0.0, 1.0}:
        return wilson_interval(value, len(scores), level)
    draws = draw_cells(scores, SHARE, np.random.default_rng(seed), N_DRAWS)
    return replace(find_interval(draws, value, level), method="cells")


def wilson_interval(share: float, n: int, level: float = DEFAULT_LEVEL) -> Interval:
    """Return the Wilson interval of a share of n independent cells.

    References:
        E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927), doi 10.2307/2276774.
    """
    from scipy.stats import binomtest  # noqa: PLC0415  # half a second that no worker waits for

    found = binomtest(round(share * n), n).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high), level, "wilson")


def move_interval(interval: Interval, by: float) -> Interval:
    """Move an interval of a share, staying inside [0, 1]."""
    low, high = np.clip([interval.low + by, interval.high + by], 0, 1)
    return replace(interval, low=float(low), high=float(high))


def list_ends(interval: Interval | None) -> dict[str, float | None]:
    """Return an interval as plain values, for JSON."""
    return {
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _draw_deviations(scores: Scores, wells: Wells, rng: np.random.Generator, n_draws: int) -> Draws:
    """Draw (n_draws,) deviations of the mean; see the module's docstring."""
    sizes = wells.sizes  # (W,)
    stratum_sizes = np.bincount(wells.stratum, weights=sizes)  # (H,)
    stratum_means = np.bincount(wells.stratum, weights=wells.total(scores)) / stratum_sizes
    well_means = wells.total(scores) / sizes
    offsets = well_means - stratum_means[wells.stratum]  # (W,)
    between, total = _split_variance(scores, wells, offsets)
    drawn_offsets = _shrink(offsets, between, wells)
    counts = _draw_wells(wells, rng, n_draws)  # (B, W): how often each well is drawn
    sums = counts * sizes * drawn_offsets + _draw_cells(scores, wells, counts, rng)  # (B, W)
    deviations = np.zeros(n_draws)
    for stratum, size in enumerate(stratum_sizes):
        inside = wells.stratum == stratum
        drawn_cells = (counts[:, inside] * sizes[inside]).sum(axis=1)
        deviations += size / len(scores) * sums[:, inside].sum(axis=1) / drawn_cells
    if between > 0:
        freedom = (wells.n_wells - wells.n_strata) * total / between
        deviations *= np.sqrt(freedom / rng.chisquare(freedom, size=n_draws))
    return deviations


def _split_variance(
    scores: Scores, wells: Wells, offsets: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the variance of the mean that wells add to the cells', and the whole of it."""
    sizes, n = wells.sizes, len(scores)
    squares = wells.total(scores**2) - wells.total(scores) ** 2 / sizes
    within = float((sizes * squares / np.maximum(sizes - 1, 1)).sum()) / n**2
    if wells.n_wells == wells.n_strata:
        return 0.0, within
    per_stratum = np.bincount(wells.stratum)
    unbiased = (per_stratum / np.maximum(per_stratum - 1, 1))[wells.stratum]
    of_wells = float((unbiased * (sizes * offsets) ** 2).sum()) / n**2
    between = of_wells - within
    return (between if between > _ROUNDING else 0.0), max(of_wells, within)


def _shrink(offsets: NDArray[np.float64], between: float, wells: Wells) -> NDArray[np.float64]:
    """Scale the wells' offsets until drawing wells gives the variance `between`."""
    drawn = float(((wells.sizes * offsets) ** 2).sum()) / wells.n_cells**2
    return offsets * np.sqrt(between / drawn) if drawn > 0 else offsets


def _draw_wells(wells: Wells, rng: np.random.Generator, n_draws: int) -> NDArray[np.int64]:
    """Draw as many wells as there are from each stratum: (B, W) times drawn."""
    counts = np.zeros((n_draws, wells.n_wells), dtype=np.int64)
    for stratum in range(wells.n_strata):
        inside = np.flatnonzero(wells.stratum == stratum)
        counts[:, inside] = rng.multinomial(
            len(inside), np.full(len(inside), 1 / len(inside)), size=n_draws
        )
    return counts


def _draw_cells(
    scores: Scores, wells: Wells, counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the cells of the drawn wells: (B, W) sums of scores less what is expected of them."""
    values, code = np.unique(scores, return_inverse=True)
    n_drawn = counts * wells.sizes  # (B, W)
    expected = n_drawn * (wells.total(scores) / wells.sizes)
    if len(values) > _MAX_VALUES:
        squares = wells.total(scores**2) / wells.sizes
        deviation = np.sqrt(np.maximum(squares - (wells.total(scores) / wells.sizes) ** 2, 0))
        return np.asarray(rng.standard_normal(counts.shape) * np.sqrt(n_drawn) * deviation)
    table = np.zeros((wells.n_wells, len(values)))
    np.add.at(table, (wells.of_cell, code.reshape(-1)), 1)
    shares = table / table.sum(axis=1, keepdims=True)  # (W, K)
    if len(values) == 2:
        n_high = rng.binomial(n_drawn, shares[:, 1])
        return np.asarray(n_drawn * values[0] + n_high * (values[1] - values[0]) - expected)
    return np.asarray(rng.multinomial(n_drawn, shares) @ values - expected)
