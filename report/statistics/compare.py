"""LeNet-5 against the MLP on the same cells: the tables of the published slides, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from bpsweep.report import metrics
from bpsweep.report.errors import ReportError
from bpsweep.report.records import RunRecord, SweepRecord, is_number
from bpsweep.report.statistics.configurations import Configuration, find_best_epoch
from bpsweep.report.statistics.estimates import (
    Estimate,
    SeedVariance,
    estimate_all,
    find_predictions,
)
from bpsweep.report.statistics.folds import join_folds
from bpsweep.report.statistics.intervals import Interval, find_lead_interval
from bpsweep.report.statistics.scores import DEFAULT_LEVEL, METRICS, Metric, stack_scores

LENET, MLP = "LeNet-5", "MLP"
_FAMILY: Final = {"lenet5": LENET, "mlp": MLP, "sklearn-mlp": MLP}
SINGLE, MULTI = "single-label", "multi-label"

PUBLISHED: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    (SINGLE, LENET): {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4},
    (SINGLE, MLP): {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4},
    (MULTI, LENET): {"batch_size": 128, "epochs": 10, "learning_rate": 1.5e-4},
    (MULTI, MLP): {"batch_size": 32, "epochs": 15, "learning_rate": 3e-4},
}
"""The configurations on the slides, by task and model."""

Choice = Literal["published", "best"]
_SHARED: Final = ("task", "subset", "split")  # settings that make runs comparable


@dataclass(frozen=True)
class Entry:
    """One model's line in a table.

    Args:
        model: "LeNet-5" or "MLP".
        run: The run that stands for it.
        n_tried: Number of runs that it was the best of; 1 for a published configuration.
        train_loss, val_loss: At its best epoch.
        estimates: Metric name to value and intervals.
    """

    model: str
    run: RunRecord
    n_tried: int
    train_loss: float | None
    val_loss: float | None
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True)
class Lead:
    """By how much LeNet-5 is better than the MLP.

    Args:
        difference: Of the metric, LeNet-5 less MLP; turned round for Hamming, so that above 0
            LeNet-5 is better.
        interval: Of it, paired over the wells of the same cells.
    """

    difference: float
    interval: Interval

    @property
    def verdict(self) -> Literal["better", "worse", "open"]:
        """What is known of LeNet-5 with the interval's confidence."""
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "open"


@dataclass(frozen=True)
class ComparisonTable:
    """LeNet-5 against the MLP for one task, split and choice of configurations.

    Args:
        task: "single-label" or "multi-label".
        subset, split: Which cells, and how the validation cells were held out.
        choice: "published" configurations, or each model's "best".
        entries: LeNet-5, then MLP; one alone where the other has no such run.
        leads: Metric name to LeNet-5's lead; none where the cells are not the same.
        split_checksum: Of both; None where they differ.
        n_cells, n_wells: What was compared; None where runs kept no predictions.
        synthetic: Whether the images are made, not real.
    """

    task: str
    subset: str
    split: str
    choice: Choice
    entries: tuple[Entry, ...]
    leads: Mapping[str, Lead]
    split_checksum: str | None
    n_cells: int | None
    n_wells: int | None
    synthetic: bool


@dataclass(frozen=True)
class Comparison:
    """All tables that some sweeps allow.

    Args:
        tables: By task, split and choice.
        missing: What could not be compared and why, in sentences.
    """

    tables: tuple[ComparisonTable, ...]
    missing: tuple[str, ...]


def compare_models(sweeps: Sequence[SweepRecord], level: float = DEFAULT_LEVEL) -> Comparison:
    """Compare LeNet-5 with the MLP over the finished runs of one sweep or more.

    Raises:
        ReportError: No sweep has a finished run of either model.
    """
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for sweep in sweeps:
        for run in join_folds(sweep).runs:
            if run.state == "finished" and run.epochs and run.config.get("model") in _FAMILY:
                key = tuple(str(run.config.get(name)) for name in _SHARED)
                groups.setdefault(key, []).append(run)
    if not groups:
        paths = ", ".join(sweep.path for sweep in sweeps)
        raise ReportError(
            f"nothing to compare in {paths or 'no sweep'}: needed are finished runs of models "
            f"{', '.join(_FAMILY)}. Has `wandb agent` worked the sweeps off?"
        )
    tables, missing = [], []
    choices: tuple[Choice, ...] = ("published", "best")
    for key in sorted(groups, key=lambda key: (key[0] != SINGLE, key)):
        for choice in choices:
            table = _compare(key, groups[key], choice, level)
            tables += [table] if table.entries else []
            missing += _name_missing(table)
    return Comparison(tuple(tables), tuple(missing))


def _compare(
    key: tuple[str, ...], runs: Sequence[RunRecord], choice: Choice, level: float
) -> ComparisonTable:
    task, subset, split = key
    found = [_choose(runs, task, model, choice, level) for model in (LENET, MLP)]
    entries = tuple(entry for entry in found if entry is not None)
    checksums = {str(entry.run.provenance.get("split_checksum")) for entry in entries}
    same = len(entries) == 2 and len(checksums) == 1 and checksums != {"None"}
    leads = _find_leads(entries, level) if same else {}
    cells = [find_predictions(entry.run) for entry in entries]
    first = cells[0] if cells else None
    return ComparisonTable(
        task=task,
        subset=subset,
        split=split,
        choice=choice,
        entries=entries,
        leads=leads,
        split_checksum=checksums.pop() if same else None,
        n_cells=None if first is None else len(first),
        n_wells=None if first is None else len(set(zip(first.particles, first.wells, strict=True))),
        synthetic=any(bool(entry.run.provenance.get("synthetic")) for entry in entries),
    )


def _choose(
    runs: Sequence[RunRecord], task: str, model: str, choice: Choice, level: float
) -> Entry | None:
    mine = [run for run in runs if _FAMILY[str(run.config["model"])] == model]
    if choice == "published":
        wanted = PUBLISHED.get((task, model), {})
        mine = [run for run in mine if _matches(run, wanted)]
        mine = sorted(mine, key=lambda run: run.config["model"] == "mlp")[:1]  # theirs first
    if not mine:
        return None
    run = max(mine, key=lambda one: _read(one, metrics.VAL_ACCURACY) or 0.0)
    estimates = estimate_all(
        Configuration({}, (run,)), level, {name: SeedVariance() for name in METRICS}
    )
    return Entry(
        model=model,
        run=run,
        n_tried=len(mine),
        train_loss=_read(run, metrics.TRAIN_LOSS),
        val_loss=_read(run, metrics.VAL_LOSS),
        estimates=estimates,
    )


def _matches(run: RunRecord, wanted: Mapping[str, Any]) -> bool:
    given = [run.config.get(name) for name in wanted]
    return all(
        isinstance(value, int | float) and bool(np.isclose(value, other))
        for value, other in zip(given, wanted.values(), strict=True)
    )


def _read(run: RunRecord, key: str) -> float | None:
    best = find_best_epoch(run)
    value = None if best is None else best.get(key)
    return float(value) if is_number(value) else None


def _find_leads(entries: Sequence[Entry], level: float) -> dict[str, Lead]:
    kept = [find_predictions(entry.run) for entry in entries]
    predictions = [one for one in kept if one is not None]
    if len(predictions) < len(kept):
        return {}
    leads: dict[str, Lead] = {}
    for name, metric in METRICS.items():
        stacked = stack_scores(predictions, metric)
        if stacked is None:
            return {}
        (ours, theirs), wells = stacked
        better, worse = _orient(metric, ours, theirs)
        values = [entry.estimates[name].value for entry in entries if name in entry.estimates]
        if len(values) == len(entries):  # else a metric that one of them has not logged
            first, second = _orient(metric, *values)
            interval = find_lead_interval(better, worse, wells, first - second, level)
            leads[name] = Lead(first - second, interval)
    return leads


def _orient(metric: Metric, ours: Any, theirs: Any) -> tuple[Any, Any]:
    return (ours, theirs) if metric.higher_is_better else (theirs, ours)


def _name_missing(table: ComparisonTable) -> list[str]:
    about = f"{table.task}, split {table.split}, {table.choice} configurations"
    present = {entry.model for entry in table.entries}
    absent = [model for model in (LENET, MLP) if model not in present]
    if absent:
        wanted = ""
        if table.choice == "published":
            settings = PUBLISHED.get((table.task, absent[0]), {})
            wanted = " with " + ", ".join(f"{name} {value:g}" for name, value in settings.items())
        return [f"{about}: no finished run of the {' or the '.join(absent)}{wanted}."]
    if table.split_checksum is None:
        return [f"{about}: the models were not validated on the same split, so no difference."]
    if not table.leads:
        return [f"{about}: not both runs kept their predictions, so no difference."]
    return []
