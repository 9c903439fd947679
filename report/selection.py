"""The best of many is too good: by how much, and what the winner is likely to be worth.

The configuration that scores best on the validation cells was partly lucky on them. A bootstrap
over wells repeats the choice: each draw picks its winner on the wells drawn and measures it on the
wells left out, as an advantage over all configurations there. The winner's corrected value is the
mean of all configurations plus that advantage. Where all are equally good the advantage is nil and
the corrected value is unbiased; where one is truly better by more than the noise it wins every
draw and keeps its lead. In between the correction is on the careful side, for a draw chooses with
two thirds of the wells (benchmarks/report_selection.py).

References:
    I. Tsamardinos, E. Greasidou, G. Borboudakis, Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation, Mach. Learn. 107, 1895 (2018),
    doi 10.1007/s10994-018-5714-4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from report.estimates import Estimate, estimate_predictions, find_predictions
from report.goals import Goal
from report.intervals import Interval, find_interval, resample_mean
from report.predictions import Predictions
from report.records import TEST, RunRecord
from report.scores import Scores, stack_scores
from report.verdict import Row, Verdict
from report.wells import Wells, align_cells, code_wells

N_SELECTION_DRAWS: Final = 2000
_MIN_UNITS = 3  # of each particle: with fewer, half the draws leave none out
Unit = Literal["wells", "fields", "cells"]


@dataclass(frozen=True)
class TestResult:
    """The winner on the untouched test part.

    Args:
        run: The run that evaluated it; its being there is the record that the part was used.
        estimate: The judged metric with its intervals.
        n_cells, n_wells: What it was measured on.
    """

    run: RunRecord
    estimate: Estimate
    n_cells: int
    n_wells: int


@dataclass(frozen=True)
class Selection:
    """By how much the best of the configurations is too good.

    Args:
        winner: The best single run's configuration.
        n_configurations: How many were compared on the same cells.
        raw: The winner's value.
        corrected: What it is likely to be worth on new wells of the same kind.
        interval: Of the corrected value.
        unit: What was resampled: wells, or where a particle has fewer than three, fields of view
            (then differences between wells are left out), or cells.
        wins: Run id to the share of draws in which that run was the best.
    """

    winner: Row
    n_configurations: int
    raw: float
    corrected: float
    interval: Interval
    unit: Unit
    wins: Mapping[str, float]

    @property
    def optimism(self) -> float:
        """The winner's value less its corrected value; below 0 for Hamming."""
        return self.raw - self.corrected


def correct_selection(verdict: Verdict, n_draws: int = N_SELECTION_DRAWS) -> Selection | None:
    """Correct the value of the best of a sweep's own runs, one a configuration.

    Returns:
        None where fewer than two configurations kept predictions of the same cells, or these
            are a handful.
    """
    kept = [(row, find_predictions(row.run)) for row in verdict.rows]
    found = [(row, one) for row, one in kept if one is not None]
    if len(found) < 2:
        return None
    predictions = [one for _, one in found]
    stacked = stack_scores(predictions, verdict.goal.metric)
    if stacked is None:
        return None
    scores, wells = stacked
    chosen = _find_units(predictions, wells)
    if chosen is None:
        return None
    units, unit = chosen
    sign = 1.0 if verdict.goal.metric.higher_is_better else -1.0
    choice = repeat_choice(sign * scores, units, n_draws)
    best = int((sign * scores.mean(axis=1)).argmax())
    corrected = float(np.clip(sign * choice.corrected, 0, 1))
    raw = float(scores[best].mean())
    draws = resample_mean(scores[best], wells) - (raw - corrected)
    return Selection(
        winner=found[best][0],
        n_configurations=len(found),
        raw=raw,
        corrected=corrected,
        interval=find_interval(np.clip(draws, 0, 1), verdict.goal.level),
        unit=unit,
        wins={row.run.id: float(share) for (row, _), share in zip(found, choice.wins, strict=True)},
    )


@dataclass(frozen=True)
class Choice:
    """What repeating a choice among K configurations showed.

    Args:
        corrected: Mean score that the winner is likely to be worth.
        wins: (K,) share of draws that each won.
    """

    corrected: float
    wins: NDArray[np.float64]


def repeat_choice(
    scores: Scores, units: Wells, n_draws: int = N_SELECTION_DRAWS, seed: int = 0
) -> Choice:
    """Choose among configurations on drawn units, measure the choice on the units left out.

    Args:
        scores: (K, N), more is better.
        units: The unit of each cell; each stratum has two or more.
        n_draws: How many draws; those that leave no unit of some stratum out are not counted.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    sums = np.stack([units.total(one) for one in scores])  # (K, U)
    drawn, left = np.zeros((n_draws, len(scores))), np.zeros((n_draws, len(scores)))
    usable = np.ones(n_draws, dtype=bool)
    for stratum in range(units.n_strata):
        inside = np.flatnonzero(units.stratum == stratum)
        sizes = units.sizes[inside]
        weight = sizes.sum() / units.n_cells
        counts = rng.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), size=n_draws)
        out = (counts == 0).astype(np.int64)
        usable &= out.any(axis=1)
        drawn += weight * (counts @ sums[:, inside].T) / (counts @ sizes)[:, None]
        left += weight * (out @ sums[:, inside].T) / np.maximum(out @ sizes, 1)[:, None]
    winners = drawn[usable].argmax(axis=1)
    outside = left[usable]
    advantage = outside[np.arange(len(outside)), winners] - outside.mean(axis=1)
    return Choice(
        corrected=float(scores.mean() + advantage.mean()),
        wins=np.bincount(winners, minlength=len(scores)) / len(winners),
    )


def read_test(verdict: Verdict) -> TestResult | None:
    """Read the winner's evaluation on the untouched test part, the first where there are more."""
    for run in verdict.sweep.beside:
        if run.kind == TEST and run.predictions is not None and len(run.predictions):
            return _measure_test(run, run.predictions, verdict.goal)
    return None


def _measure_test(run: RunRecord, predictions: Predictions, goal: Goal) -> TestResult:
    estimate, wells = estimate_predictions([predictions], goal.metric, goal.level)
    return TestResult(run, estimate, wells.n_cells, wells.n_wells)


def _find_units(group: list[Predictions], wells: Wells) -> tuple[Wells, Unit] | None:
    """Take wells where each particle has enough of them, else fields of view, else cells."""
    if _suffices(wells):
        return wells, "wells"
    orders = align_cells(group)
    assert orders is not None  # their scores were stacked
    one, order = group[0], orders[0]
    places = [f"{p} {w} {f}" for p, w, f in zip(one.plates, one.wells, one.fields, strict=True)]
    fields = code_wells(one.particles[order], np.array(places)[order])
    if _suffices(fields):
        return fields, "fields"
    cells = code_wells(one.particles[order], one.cells[order])
    return (cells, "cells") if _suffices(cells) else None


def _suffices(units: Wells) -> bool:
    return int(np.bincount(units.stratum).min()) >= _MIN_UNITS
