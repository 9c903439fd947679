"""Which configurations reach the target, and with what confidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bpsweep.report import metrics
from bpsweep.report.errors import ReportError
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import RunRecord, SweepRecord, is_number
from bpsweep.report.statistics.configurations import Configuration, find_best_epoch, group_runs
from bpsweep.report.statistics.estimates import (
    Estimate,
    Replicates,
    SeedVariance,
    estimate_all,
    pool_seed_variance,
)
from bpsweep.report.statistics.folds import join_folds
from bpsweep.report.statistics.goals import Goal, Status, set_goal
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, DEFAULT_LEVEL, METRICS, Metric
from bpsweep.report.statistics.trouble import Trouble, find_trouble
from bpsweep.report.statistics.wells import group_plate_wells, group_wells

DEFAULT_TARGET: Final = ACCURACY.default_target

__all__ = ["DEFAULT_TARGET", "Row", "Verdict", "judge"]


@dataclass(frozen=True)
class Row:
    """The verdict on one configuration.

    Args:
        run: The sweep's own run that trained it; where it was repeated, the first of them.
        swept: The swept values by name, without the seed.
        n_runs: Number of runs that the values are the mean of.
        best_epoch: Of `run`, by validation accuracy, from 1; None before the first epoch.
        estimates: Metric name ("accuracy", "jaccard", "hamming") to its value at the best epoch
            and its intervals.
        train_loss, val_loss: Of `run` at its best epoch.
        probability: That the judged metric meets the target, from the draws of its interval.
        status: "reached" (the whole interval meets the target), "likely" (the value does, the
            interval straddles), "not reached", or "no result" before the first epoch.
        first_epoch_at_target: Of `run`; None where no epoch is at the target.
        seconds_to_target: Training seconds until the end of that epoch.
        judged: Name of the judged metric.
        trouble: What is wrong with `run`, as one class named for every cell; None where nothing is.
        runs: All that the values are the mean of, `run` first; none before the first epoch.
    """

    run: RunRecord
    swept: Mapping[str, Any]
    n_runs: int = 1
    best_epoch: int | None = None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    train_loss: float | None = None
    val_loss: float | None = None
    probability: float | None = None
    status: Status = "no result"
    first_epoch_at_target: int | None = None
    seconds_to_target: float | None = None
    judged: str = ACCURACY.name
    trouble: Trouble | None = None
    runs: tuple[RunRecord, ...] = ()

    @property
    def state(self) -> str:
        """running, finished, failed, crashed, killed or preempted."""
        return self.run.state

    @property
    def estimate(self) -> Estimate | None:
        """The judged metric; None before the first epoch."""
        return self.estimates.get(self.judged)

    @property
    def value(self) -> float | None:
        """The judged metric's value."""
        return self.estimate.value if self.estimate else None

    @property
    def interval(self) -> Interval | None:
        """The judged metric's interval."""
        return self.estimate.interval if self.estimate else None

    @property
    def replicates(self) -> Replicates | None:
        """What the seeds gave of the judged metric, where there are several."""
        return self.estimate.replicates if self.estimate else None

    def find_value(self, metric: str) -> float | None:
        """Return the value of a metric by name; None where it was not logged."""
        found = self.estimates.get(metric)
        return found.value if found else None


@dataclass(frozen=True)
class Verdict:
    """A sweep's verdict: one row a configuration, best first, and what holds for them all.

    Args:
        sweep: The sweep with its runs.
        goal: What was asked.
        rows: The configurations: those repeated with fresh seeds first, each part best first.
        n_validation: Number of validation cells.
        n_wells: Number of wells that they come from; None where no run kept predictions.
        n_plates: Number of plates of each particle, where whole plates were held out, so that no
            cell of them was trained on; None where not.
        split: How validation cells were held out.
        audit: What the labels and the split allow, in one line.
        synthetic: Whether the images are made, not real.
    """

    sweep: SweepRecord
    goal: Goal
    rows: tuple[Row, ...]
    n_validation: int | None
    n_wells: int | None
    n_plates: Mapping[str, int] | None
    split: str | None
    audit: str | None
    synthetic: bool

    @property
    def target(self) -> float:
        """The value to reach."""
        return self.goal.target

    @property
    def best(self) -> Row:
        """The first row: the winner."""
        return self.rows[0]

    @property
    def n_reached(self) -> int:
        """Number of configurations that reach the target with the confidence asked for."""
        return sum(row.status == "reached" for row in self.rows)

    @property
    def n_likely(self) -> int:
        """Number of configurations whose value is at the target but whose interval straddles it."""
        return sum(row.status == "likely" for row in self.rows)


def judge(
    sweep: SweepRecord,
    target: float | None = None,
    metric: str = ACCURACY.name,
    level: float = DEFAULT_LEVEL,
) -> Verdict:
    """Judge every configuration of a sweep, finished or not.

    Args:
        sweep: The sweep with its runs, and the runs beside it.
        target: Value to reach, a share in (0, 1]; by default 0.8, or 0.2 for Hamming.
        metric: "accuracy", "jaccard" or "hamming".
        level: Confidence in (0, 1).

    Raises:
        ReportError: The sweep has no run yet, or target, metric or level are not allowed.
    """
    goal = set_goal(target, metric, level)
    sweep = join_folds(sweep)
    if not sweep.runs:
        raise ReportError(
            f"sweep {sweep.path!r} has no run yet: start `wandb agent {sweep.path}` first."
        )
    configurations = group_runs(sweep)
    seeds = {name: pool_seed_variance(configurations, one) for name, one in METRICS.items()}
    fresh = {one.runs[0].id for one in configurations if one.has_fresh}
    rows = [_judge_one(one, goal, seeds) for one in configurations]
    rows.sort(key=lambda row: (row.run.id in fresh, _rank(row, goal.metric)), reverse=True)
    known = next((run for run in sweep.runs if run.provenance), sweep.runs[0])
    kept = next((run.predictions for run in sweep.runs if run.predictions is not None), None)
    return Verdict(
        sweep=sweep,
        goal=goal,
        rows=tuple(rows),
        n_validation=known.provenance.get("n_validation"),
        n_wells=None if kept is None else _count_wells(kept),
        n_plates=None if kept is None else _count_plates(kept),
        split=known.config.get("split"),
        audit=known.provenance.get("audit"),
        synthetic=any(run.provenance.get("synthetic") for run in sweep.runs),
    )


def _rank(row: Row, metric: Metric) -> tuple[bool, float]:
    return row.value is not None, 0.0 if row.value is None else metric.rank(row.value)


def _count_wells(found: Predictions) -> int:
    by_plate = found.held_out == "plates"
    return (group_plate_wells(found) if by_plate else group_wells(found)).n_wells


def _count_plates(found: Predictions) -> dict[str, int] | None:
    if found.held_out != "plates":
        return None
    return {
        str(particle): len(np.unique(found.plates[found.particles == particle]))
        for particle in np.unique(found.particles)
    }


def _judge_one(one: Configuration, goal: Goal, seeds: Mapping[str, SeedVariance]) -> Row:
    run = one.runs[0]
    best = find_best_epoch(run)
    if best is None:
        return Row(run, one.swept, judged=goal.metric.name, trouble=find_trouble(run))
    estimates = estimate_all(one, goal.level, seeds)
    judged = estimates.get(goal.metric.name)
    at_target = _find_first(run, goal)
    return Row(
        run=run,
        swept=one.swept,
        n_runs=len(one.runs),
        best_epoch=int(best[metrics.EPOCH]),
        estimates=estimates,
        train_loss=_read_finite(best, metrics.TRAIN_LOSS),
        val_loss=_read_finite(best, metrics.VAL_LOSS),
        probability=(
            goal.find_probability(judged.draws) if judged and judged.draws is not None else None
        ),
        status=goal.find_status(judged.value, judged.interval) if judged else "no result",
        first_epoch_at_target=int(at_target[metrics.EPOCH]) if at_target else None,
        seconds_to_target=at_target.get(metrics.ELAPSED_S) if at_target else None,
        judged=goal.metric.name,
        trouble=find_trouble(run),
        runs=one.runs,
    )


def _read_finite(epoch: Mapping[str, Any], name: str) -> float | None:
    value = epoch.get(name)
    return float(value) if is_number(value) else None


def _find_first(run: RunRecord, goal: Goal) -> Mapping[str, Any] | None:
    """Return the first epoch at the target."""
    for row in run.epochs:
        value = row.get(goal.metric.key)
        if is_number(value) and goal.metric.meets(float(value), goal.target):
            return row
    return None
