"""Runs of one configuration on all folds of the data, joined: every cell is predicted once.

Each fold's network was trained without the plates (or wells) of its own fold. Their predictions
side by side say what the configuration is worth on all plates, each of them held out once.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Final

import numpy as np

from bpsweep.report import metrics
from bpsweep.report.identity import name_configuration
from bpsweep.report.predictions import PER_CELL, Predictions
from bpsweep.report.records import EVALUATED, SPLIT, RunRecord, SweepRecord

_FOLD: Final = re.compile(r"((?:plate-)?fold)-(\d+)-of-(\d+)")
_FURTHEST: Final = ("finished", "running", "preempted", "killed", "crashed", "failed")
_SUMMED: Final = ("n_validation", "n_test")


def join_folds(sweep: SweepRecord) -> SweepRecord:
    """Join the runs of a sweep whose split takes all folds of a family, and mark held-out plates.

    Each configuration is then one run with the predictions of its folds; the runs beside the sweep
    are joined where all folds are there. A sweep over some folds alone, or none, keeps its runs.
    """
    if sweep.fold_family is not None:
        return sweep
    family = find_family(_list_splits(sweep))
    runs, beside = map(_mark_plates, sweep.runs), map(_mark_plates, sweep.beside)
    if family is None:
        return replace(sweep, runs=tuple(runs), beside=_join(tuple(beside), None))
    joined, joined_beside = _join(tuple(runs), family), _join(tuple(beside), None)
    return replace(sweep, runs=joined, beside=joined_beside, fold_family=family)


def is_part(run: RunRecord) -> bool:
    """Tell whether a run is of one fold alone: the others are missing or have not finished."""
    return not run.folds and _FOLD.fullmatch(str(run.config.get(SPLIT))) is not None


def find_family(splits: Sequence[Any]) -> str | None:
    """Name the family that some splits are all folds of, "plate-folds-of-3"; None if none."""
    found = [_FOLD.fullmatch(str(one)) for one in splits]
    matches = [match for match in found if match is not None]
    if not matches or len(matches) < len(found):
        return None
    kinds = {(match[1], int(match[3])) for match in matches}
    kind, n_folds = next(iter(kinds))
    whole = {int(match[2]) for match in matches} == set(range(1, n_folds + 1))
    return f"{kind}s-of-{n_folds}" if len(kinds) == 1 and whole else None


def _list_splits(sweep: SweepRecord) -> Sequence[Any]:
    spec = sweep.config.get("parameters", {}).get(SPLIT)
    values = spec.get("values") if isinstance(spec, Mapping) else None
    return values if isinstance(values, list | tuple) else ()


def _mark_plates(run: RunRecord) -> RunRecord:
    if run.predictions is None or not str(run.config.get(SPLIT)).startswith("plate"):
        return run
    return replace(run, predictions=replace(run.predictions, held_out="plates"))


def _join(runs: tuple[RunRecord, ...], family: str | None) -> tuple[RunRecord, ...]:
    """Join runs that differ in the fold alone; without a family given, whole ones only."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(_name_group(run), []).append(run)
    joined: list[RunRecord] = []
    for group in groups.values():
        folds = _keep_furthest(group)
        found = find_family([run.config.get(SPLIT) for run in folds])
        is_whole = found is not None and all(run.state == "finished" for run in folds)
        if _FOLD.fullmatch(str(group[0].config.get(SPLIT))) is None or not (family or is_whole):
            joined += group
        else:
            joined.append(_join_runs(folds, family or str(found)))
    return tuple(joined)


def _name_group(run: RunRecord) -> str:
    """Return what runs have in common that differ in the fold alone; a run by itself has its id."""
    match = _FOLD.fullmatch(str(run.config.get(SPLIT)))
    if match is None:
        return run.id
    same = {key: run.config[key] for key in run.config if key not in (SPLIT, "provenance")}
    evaluated = run.provenance.get(EVALUATED)
    return name_configuration([run.kind, match[1], match[3], evaluated, same])


def _keep_furthest(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Keep one run a fold, the finished one or that which got furthest, in order of folds."""
    kept: dict[str, RunRecord] = {}
    for run in runs:
        name = str(run.config.get(SPLIT))
        if name not in kept or _progress(run) > _progress(kept[name]):
            kept[name] = run
    return [kept[name] for name in sorted(kept, key=_read_number)]


def _read_number(split: str) -> int:
    match = _FOLD.fullmatch(split)
    return int(match[2]) if match else 0


def _progress(run: RunRecord) -> tuple[bool, int]:
    return run.state == "finished", len(run.epochs)


def _join_runs(folds: Sequence[RunRecord], family: str) -> RunRecord:
    """Join a configuration's runs on folds; some may be missing or at work yet."""
    first, n_folds = folds[0], int(family.rsplit("-", 1)[1])
    states = [run.state for run in folds]
    state = max(states, key=lambda one: _FURTHEST.index(one) if one in _FURTHEST else 1)
    if state == "finished" and len(folds) < n_folds:
        state = f"{len(folds)} of {n_folds} folds"
    predictions = None
    if len(folds) == n_folds and all(run.predictions is not None for run in folds):
        predictions = _concatenate([run.predictions for run in folds if run.predictions])
    return RunRecord(
        id=first.id,
        name=f"{first.name} ({len(folds)} folds)",
        state=state,
        config={**first.config, SPLIT: family, "provenance": _join_provenance(folds, family)},
        history=_average_histories(folds),
        error=next((run.error for run in folds if run.error), None),
        kind=first.kind,
        predictions=predictions,
        folds=tuple(folds),
    )


def _concatenate(parts: Sequence[Predictions]) -> Predictions | None:
    first = parts[0]
    if any(one.label_names != first.label_names for one in parts):
        return None
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in parts]) for name in PER_CELL
    }
    numbers = np.arange(1, len(parts) + 1)
    return replace(first, **columns, folds=np.repeat(numbers, [len(one) for one in parts]))


def _join_provenance(folds: Sequence[RunRecord], family: str) -> dict[str, Any]:
    known = [run.provenance for run in folds if run.provenance]
    if not known:
        return {}
    joined = dict(known[0])
    for name in _SUMMED:
        if name in joined:
            joined[name] = sum(int(one.get(name, 0)) for one in known)
    if "audit" in joined:
        own = repr(str(folds[0].config.get(SPLIT)))
        joined["audit"] = str(joined["audit"]).replace(own, repr(family))
    checksums = " ".join(str(one.get("split_checksum")) for one in known)
    joined["split_checksum"] = hashlib.sha256(checksums.encode()).hexdigest()
    return joined


def _average_histories(folds: Sequence[RunRecord]) -> tuple[Mapping[str, Any], ...]:
    """Average the folds epoch by epoch, weighted by their validation cells, as far as all are."""
    weights = count_cells(folds)
    rows = zip(*(run.epochs for run in folds), strict=False)
    return tuple(average_rows(row, weights) for row in rows)


def count_cells(folds: Sequence[RunRecord]) -> list[float]:
    """Return the number of validation cells of each fold, 1 where it is not known."""
    return [
        float(len(run.predictions))
        if run.predictions is not None
        else float(run.provenance.get("n_validation") or 1)
        for run in folds
    ]


def average_rows(rows: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> dict[str, Any]:
    """Average one epoch of each fold: metrics weighted by cells, the epoch and seconds plainly."""
    averaged: dict[str, Any] = {}
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        if len(numbers) < len(rows):
            continue
        is_measured = name.startswith("val/")
        averaged[name] = fmean(numbers, weights) if is_measured else fmean(numbers)
    if metrics.EPOCH in averaged:
        averaged[metrics.EPOCH] = round(averaged[metrics.EPOCH])
    return averaged
