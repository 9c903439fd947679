"""One run as a row of the pages' table: what it was given, its best and last values, its life."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from bpsweep.report.records import DIAGNOSIS
from bpsweep.server.board.curves import RunCurves, flatten_numbers
from bpsweep.server.jsontext import make_strict
from bpsweep.server.store import Row, runs
from bpsweep.server.store.summary import NOT_FINITE

_MAX_TEXT = 200
_MAX_SETTINGS = 200
_OWN = ("_wandb", "provenance")  # what a run is made from has its place on the run's own page


def describe_row(run: Row, curves: RunCurves, metric: str | None, *, largest: bool) -> Row:
    """Return a run as the pages' scripts read it.

    Args:
        run: As `watch.list_watched` returns it.
        curves: What it has logged.
        metric: The sweep's metric; its best line is the run's.
        largest: Whether more of it is better.
    """
    config = read_config(run)
    summary = json.loads(run["summary_metrics"])
    last = dict(flatten_numbers({k: v for k, v in summary.items() if not k.startswith("_")}))
    line = curves.find_best(metric, largest=largest)
    best = last if line is None else curves.read_at(line)
    provenance = config.get("provenance")
    described = {
        "id": run["name"],
        "name": run["display_name"],
        "state": run["state"],
        "note": run["stop_reason"]
        or summary.get("error")
        or run["state_reason"]
        or summary.get(DIAGNOSIS)
        or _say_not_finite(summary, metric),
        "config": dict(flatten_settings(config)),
        "best": _shorten({k: v for k, v in best.items() if not k.startswith("best/")}),
        "last": _shorten(last),
        "at": _name_line(curves, line),
        "steps": run["history_lines"],
        "created": run["created_at"],
        "started": run["started_at"],
        "finished": run["finished_at"],
        "host": run["host"],
        "tags": json.loads(run["tags"]),
        "group": run["group_name"],
        "sweep": run["sweep_name"],
        "kind": run["job_type"],
        "attempt": run["attempt"] or 1,
        "retry_of": run["retry_of"],
        "queued": bool(run["queued"]),
        "synthetic": isinstance(provenance, dict) and bool(provenance.get("synthetic")),
    }
    strict: Row = make_strict(described)
    return strict


def _say_not_finite(summary: Mapping[str, Any], metric: str | None) -> str | None:
    """Say that a run's metric is no number that a search can use."""
    value = make_strict(summary.get(metric or ""))
    counts = "counts as failed in the search and is never the best"
    return f"{metric} is {value}: {counts}" if value in NOT_FINITE else None


def read_config(run: Row) -> dict[str, Any]:
    """Return a run's settings by name, without W&B's wrapping."""
    return {
        key: entry.get("value") if isinstance(entry, dict) and "value" in entry else entry
        for key, entry in runs.read_config(run).items()
        if key != "_wandb"
    }


def flatten_settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a run's settings, nested ones by a dotted name, long ones cut."""
    for n_yielded, (name, value) in enumerate(config.items()):
        if n_yielded >= _MAX_SETTINGS or (not prefix and name in _OWN):
            continue
        if isinstance(value, dict) and value and prefix.count(".") < 4:
            yield from flatten_settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _cut(value)


def _cut(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value)
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[: _MAX_TEXT - 1] + "…"
    return value


def _name_line(curves: RunCurves, line: int | None) -> dict[str, float]:
    """Return the epoch and step of the best line, as far as they are logged."""
    if line is None:
        return {}
    return {
        name.lstrip("_"): curves.values(name)[line]
        for name in ("epoch", "_step")
        if name in curves.columns and not math.isnan(curves.values(name)[line])
    }


def _shorten(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items()}
