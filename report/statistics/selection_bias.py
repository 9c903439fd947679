"""The best of many is too good: by how much, and what the winner is likely to be worth.

The configuration that scores best on the validation cells was partly lucky on them, and so was the
epoch that was kept of it. repeated_choice.py repeats the choice of the configuration; the choice of
the epoch stays in the corrected value. Cells of a test part, never looked at, need no correction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.stats import norm

from bpsweep.report.predictions import Predictions
from bpsweep.report.records import TEST, RunRecord
from bpsweep.report.statistics.estimates import (
    Estimate,
    estimate_predictions,
    find_predictions,
    read_value,
)
from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.intervals import Interval, move_interval
from bpsweep.report.statistics.repeated_choice import find_worth_interval, repeat_choice
from bpsweep.report.statistics.scores import Metric, score_cells, stack_scores
from bpsweep.report.statistics.verdict import Row, Verdict
from bpsweep.report.statistics.wells import Wells, code_wells, group_plate_wells

_MIN_UNITS: Final = 4  # of each particle, so that leaving one out still leaves draws something out
Unit = Literal["plates", "wells", "fields", "cells"]


@dataclass(frozen=True)
class TestResult:
    """The winner on the untouched test part.

    Args:
        run: The run that evaluated it; its being there is the record that the part was used.
        estimate: The judged metric with its intervals.
        n_cells, n_wells: What it was measured on.
        is_winner: Whether that run has the settings of the configuration that is the best now;
            runs that finished since may have put another one first.
    """

    run: RunRecord
    estimate: Estimate
    n_cells: int
    n_wells: int
    is_winner: bool


@dataclass(frozen=True)
class Selection:
    """By how much the best of the configurations is too good.

    Args:
        winner: The best single run's configuration.
        is_best: Whether that is the best of the verdict too, by this run alone: where seeds were
            repeated the verdict goes by their means.
        n_configurations: How many were compared on the same cells.
        n_judged: How many have a result.
        raw: The winner's value, of the single run.
        corrected: What it is likely to be worth on new wells of the same kind.
        interval: Of the corrected value.
        probability: That what it is worth meets the target.
        unit: What was resampled: plates where these were held out, else wells; where a particle has
            fewer than four, wells, fields of view, or cells (then differences between the larger
            ones are left out).
        is_by_plate: Whether whole plates were held out.
        higher_is_better: Of the metric; False for Hamming.
        wins: Run id to the share of draws in which that run was the best.
    """

    winner: Row
    is_best: bool
    n_configurations: int
    n_judged: int
    raw: float
    corrected: float
    interval: Interval
    probability: float
    unit: Unit
    is_by_plate: bool
    higher_is_better: bool
    wins: Mapping[str, float]

    @property
    def optimism(self) -> float:
        """The winner's value less its corrected value; below 0 for Hamming."""
        return self.raw - self.corrected

    @property
    def lead(self) -> float:
        """What the choice gave the winner over what was not chosen; 0 where it took from it."""
        return max(0.0, self.optimism if self.higher_is_better else -self.optimism)


def correct_selection(verdict: Verdict) -> Selection | None:
    """Correct the value of the best of a sweep's own runs, one a configuration.

    Returns:
        None where fewer than two configurations kept predictions of the same cells, or these
        are a handful.
    """
    metric, level = verdict.goal.metric, verdict.goal.level
    kept = [(row, find_predictions(row.run)) for row in verdict.rows]
    found = [(row, one) for row, one in kept if one is not None]
    predictions = [one for _, one in found]
    stacked = stack_scores(predictions, metric) if len(found) > 1 else None
    if stacked is None:
        return None
    scores, wells = stacked
    chosen = _find_units(predictions[0], wells)
    if chosen is None:
        return None
    units, unit = chosen
    ranked = scores if metric.higher_is_better else 1 - scores
    logged = [_read_logged(row.run, one, metric) for row, one in found]
    best = max(range(len(found)), key=lambda i: metric.rank(logged[i]))
    winner, raw = found[best][0], logged[best]
    choice = repeat_choice(ranked, units)
    # What is logged is the value; what its cells add to a sample's mean is the same about either.
    off = raw - float(scores[best].mean())
    worth = choice.worth if metric.higher_is_better else 1 - choice.worth
    corrected = float(np.clip(worth + off, 0, 1))
    interval = _orient(find_worth_interval(ranked, units, choice.worth, level), metric)
    interval = _widen(move_interval(interval, off), corrected, winner)
    return Selection(
        winner=winner,
        is_best=winner is verdict.best and winner.n_runs == 1,
        n_configurations=len(found),
        n_judged=sum(row.value is not None for row in verdict.rows),
        raw=raw,
        corrected=corrected,
        interval=interval,
        probability=_find_probability(corrected, interval, verdict.goal),
        unit=unit,
        higher_is_better=metric.higher_is_better,
        is_by_plate=predictions[0].held_out == "plates",
        wins={row.run.id: float(share) for (row, _), share in zip(found, choice.wins, strict=True)},
    )


def _read_logged(run: RunRecord, kept: Predictions, metric: Metric) -> float:
    logged = read_value(run, metric)
    return float(score_cells(kept, metric).mean()) if logged is None else logged


def _orient(interval: Interval, metric: Metric) -> Interval:
    """Turn an interval of ranked scores back into one of the metric, inside [0, 1]."""
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    if not metric.higher_is_better:
        low, high = 1 - high, 1 - low
    return replace(interval, low=low, high=high)


def _widen(interval: Interval, corrected: float, winner: Row) -> Interval:
    """Make an interval at least as wide as the winner's own: a correction adds doubt, not takes it.

    Leaving units out in turn shows no doubt at all where all cells of every unit score alike, and
    too little where the units are smaller than wells.
    """
    own, value = winner.interval, winner.value
    if own is None or value is None:
        return interval
    low = min(interval.low, corrected - (value - own.low))
    high = max(interval.high, corrected + (own.high - value))
    return replace(interval, low=max(0.0, low), high=min(1.0, high))


def _find_probability(corrected: float, interval: Interval, goal: Goal) -> float:
    """Return the chance that the target is met, reading the interval as a normal distribution."""
    width = interval.high - interval.low
    if width == 0:
        return float(goal.metric.meets(corrected, goal.target))
    deviation = width / (2 * norm.ppf((1 + goal.level) / 2))
    chance = float(norm.cdf((corrected - goal.target) / deviation))
    return chance if goal.metric.higher_is_better else 1 - chance


def read_test(verdict: Verdict) -> TestResult | None:
    """Read the winner's evaluation on the untouched test part, the first where there are more."""
    for run in verdict.sweep.beside:
        if run.kind == TEST and run.predictions is not None and len(run.predictions):
            swept = verdict.best.swept
            is_winner = all(run.config.get(name) == value for name, value in swept.items())
            return _measure_test(run, run.predictions, verdict.goal, is_winner)
    return None


def _measure_test(
    run: RunRecord, predictions: Predictions, goal: Goal, is_winner: bool
) -> TestResult:
    estimate, wells = estimate_predictions([predictions], goal.metric, goal.level)
    return TestResult(run, estimate, wells.n_cells, wells.n_wells, is_winner)


def _find_units(one: Predictions, wells: Wells) -> tuple[Wells, Unit] | None:
    """Take wells where each particle has enough of them, else fields of view, else cells."""
    if _suffices(wells):
        return wells, wells.unit
    if wells.unit == "plates":
        inside = group_plate_wells(one, np.argsort(one.cells, kind="stable"))
        if _suffices(inside):
            return inside, "wells"
    order = np.argsort(one.cells, kind="stable")  # as `stack_scores` has them
    places = [f"{p} {w} {f}" for p, w, f in zip(one.plates, one.wells, one.fields, strict=True)]
    fields = code_wells(one.particles[order], np.array(places)[order])
    if _suffices(fields):
        return fields, "fields"
    cells = code_wells(one.particles[order], one.cells[order])
    return (cells, "cells") if _suffices(cells) else None


def _suffices(units: Wells) -> bool:
    return int(np.bincount(units.stratum).min()) >= _MIN_UNITS
