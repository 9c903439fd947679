"""Which configurations reach the target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from report import metrics
from report.records import RunRecord, SweepRecord

DEFAULT_TARGET = 0.80


class ReportError(ValueError):
    """A sweep that no verdict can be given on."""


@dataclass(frozen=True)
class Row:
    """The verdict on one configuration, by the run that trained it.

    Args:
        run_id, run_name, state: The run.
        error: Why it failed, where it says.
        swept: The swept values by name.
        best_epoch: Epoch of the best validation accuracy, from 1; None before the first epoch.
        accuracy, jaccard, hamming: Shares in [0, 1] at the best epoch.
        low, high: 95 % Wilson interval of the accuracy, cells taken as independent.
        first_epoch_at_target: None where no epoch is at the target.
        seconds_to_target: Training seconds until the end of that epoch.
    """

    run_id: str
    run_name: str
    state: str
    error: str | None
    swept: Mapping[str, Any]
    best_epoch: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    jaccard: float | None = None
    hamming: float | None = None
    first_epoch_at_target: int | None = None
    seconds_to_target: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the best epoch's validation accuracy is at least the target."""
        return self.first_epoch_at_target is not None


@dataclass(frozen=True)
class Verdict:
    """A sweep's verdict: one row a configuration, best first, and what holds for them all.

    Args:
        sweep: The sweep with its runs.
        target: Validation accuracy to reach.
        rows: The configurations.
        n_validation: Number of validation cells.
        split: How validation cells were held out.
        audit: What the labels and the split allow, in one line.
        synthetic: Whether the images are made, not real.
    """

    sweep: SweepRecord
    target: float
    rows: tuple[Row, ...]
    n_validation: int | None
    split: str | None
    audit: str | None
    synthetic: bool

    @property
    def n_reached(self) -> int:
        """Number of configurations that reach the target."""
        return sum(row.reached for row in self.rows)


def judge(sweep: SweepRecord, target: float = DEFAULT_TARGET) -> Verdict:
    """Judge every configuration of a sweep.

    Args:
        sweep: The sweep with its runs.
        target: Validation accuracy to reach, a share in (0, 1].

    Raises:
        ReportError: The sweep has no run yet, or the target is not a share.
    """
    if not 0 < target <= 1:
        raise ReportError(f"target {target!r} is not a share: give a number in (0, 1], as 0.8.")
    if not sweep.runs:
        raise ReportError(
            f"sweep {sweep.path!r} has no run yet: start `wandb agent {sweep.path}` first."
        )
    rows = [_judge_run(run, sweep.swept, target) for run in _one_per_configuration(sweep)]
    rows.sort(key=lambda row: -1.0 if row.accuracy is None else row.accuracy, reverse=True)
    known = next((run for run in sweep.runs if run.provenance), sweep.runs[0])
    return Verdict(
        sweep=sweep,
        target=target,
        rows=tuple(rows),
        n_validation=known.provenance.get("n_validation"),
        split=known.config.get("split"),
        audit=known.provenance.get("audit"),
        synthetic=any(run.provenance.get("synthetic") for run in sweep.runs),
    )


def _one_per_configuration(sweep: SweepRecord) -> list[RunRecord]:
    """Keep one run of each configuration: the finished one, else the one that got furthest."""
    chosen: dict[str, RunRecord] = {}
    for run in sweep.runs:
        key = repr([run.config.get(name) for name in sweep.swept]) if sweep.swept else run.id
        other = chosen.get(key)
        if other is None or _progress(run) > _progress(other):
            chosen[key] = run
    return list(chosen.values())


def _progress(run: RunRecord) -> tuple[bool, int]:
    return run.state == "finished", len(run.epochs)


def _judge_run(run: RunRecord, swept: tuple[str, ...], target: float) -> Row:
    values = {name: run.config.get(name) for name in swept}
    if not run.epochs:
        return Row(run.id, run.name, run.state, run.error, values)
    best = max(run.epochs, key=lambda row: float(row[metrics.VAL_ACCURACY]))
    at_target = next((row for row in run.epochs if row[metrics.VAL_ACCURACY] >= target), None)
    low, high = interval(best[metrics.VAL_ACCURACY], run.provenance.get("n_validation"))
    return Row(
        run_id=run.id,
        run_name=run.name,
        state=run.state,
        error=run.error,
        swept=values,
        best_epoch=int(best[metrics.EPOCH]),
        accuracy=float(best[metrics.VAL_ACCURACY]),
        low=low,
        high=high,
        jaccard=best.get(metrics.VAL_JACCARD),
        hamming=best.get(metrics.VAL_HAMMING),
        first_epoch_at_target=int(at_target[metrics.EPOCH]) if at_target else None,
        seconds_to_target=at_target.get(metrics.ELAPSED_S) if at_target else None,
    )


def interval(share: float, n: int | None) -> tuple[float | None, float | None]:
    """Return the 95 % Wilson interval of a share of n independent cells; None for unknown n.

    References:
        E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927), doi 10.2307/2276774.
    """
    if not n:
        return None, None
    found = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
