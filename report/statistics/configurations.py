"""Runs to configurations: one each, with the runs that differ from it in the seed alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bpsweep.report import metrics
from bpsweep.report.identity import name_configuration
from bpsweep.report.records import REPLICATE, RunRecord, SweepRecord
from bpsweep.report.statistics.folds import average_rows, count_cells, is_part

SEED: Final = "seed"


@dataclass(frozen=True)
class Configuration:
    """A set of swept values and the runs that trained it.

    Args:
        swept: The swept values by name, without the seed.
        runs: The run that stands for it first (the sweep's own, finished, furthest), then those
            of other seeds, finished.
        has_fresh: Whether some run was made to repeat it with a fresh seed.
    """

    swept: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    has_fresh: bool = False


def group_runs(sweep: SweepRecord) -> list[Configuration]:
    """Group a sweep's runs, and its replicates, by configuration, in the order of the sweep.

    A configuration that was run again with the same seed (a crash, say) counts once: the finished
    run, else the one that got furthest.
    """
    names = tuple(name for name in sweep.swept if name != SEED)
    own: dict[str, dict[Any, RunRecord]] = {}
    for run in sweep.runs:
        _keep_furthest(own.setdefault(_key(run, names, sweep), {}), run)
    fresh: dict[str, dict[Any, RunRecord]] = {}
    for run in sweep.beside:
        is_whole = sweep.fold_family is None or not is_part(run)
        if run.kind == REPLICATE and run.state == "finished" and is_whole:
            _keep_furthest(fresh.setdefault(_key(run, names, sweep), {}), run)
    return [_assemble(names, runs, fresh.get(key, {})) for key, runs in own.items()]


def find_best_epoch(run: RunRecord) -> Mapping[str, Any] | None:
    """Return the epoch with the best validation accuracy, the earliest of equals.

    Of runs joined over folds, the mean of each fold's own best epoch: what the predictions that
    they kept were made at.
    """
    if run.folds:
        best = [find_best_epoch(fold) for fold in run.folds]
        found = [row for row in best if row is not None]
        return average_rows(found, count_cells(run.folds)) if len(found) == len(best) else None
    return max(run.epochs, key=lambda row: float(row[metrics.VAL_ACCURACY]), default=None)


def _key(run: RunRecord, names: tuple[str, ...], sweep: SweepRecord) -> str:
    values = [run.config.get(name) for name in names]
    return name_configuration(values) if sweep.swept else run.id


def _keep_furthest(by_seed: dict[Any, RunRecord], run: RunRecord) -> None:
    seed = run.config.get(SEED)
    other = by_seed.get(seed)
    if other is None or _progress(run) > _progress(other):
        by_seed[seed] = run


def _progress(run: RunRecord) -> tuple[bool, int]:
    return run.state == "finished", len(run.epochs)


def _assemble(
    names: tuple[str, ...], own: Mapping[Any, RunRecord], fresh: Mapping[Any, RunRecord]
) -> Configuration:
    first = max(own.values(), key=_progress)
    others = [run for run in own.values() if run is not first and run.state == "finished"]
    others += [run for seed, run in fresh.items() if seed not in own]
    if first.state != "finished":
        others = []  # what the sweep's own run says so far is not yet comparable
    others = [run for run in others if run.epochs]
    return Configuration(
        swept={name: first.config.get(name) for name in names},
        runs=(first, *others),
        has_fresh=any(run.kind == REPLICATE for run in others),
    )
