"""What runs log: history, system events and console output, by line number.

Every write says at which line it starts, and the same lines may come again after a retry: a line
is stored under its number, so that repeating a write changes nothing.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from bpsweep.server.errors import BadRequestError
from bpsweep.server.jsontext import load_json
from bpsweep.server.store.database import Connection, Row, one, rows, run_many, update
from bpsweep.server.store.summary import pick_value

MAX_LINE = 50_000_000
MAX_STEP = 2**53
_STREAMS = {"events": "event_lines", "output": "output_lines"}


def write_history(
    db: Connection, run: Row, offset: int, lines: Sequence[str], metric: str | None = None
) -> None:
    """Store history lines, each a JSON object with its `_step`.

    Args:
        db: The writing connection.
        run: The run as read in this transaction.
        offset: Number of the first line.
        lines: JSON texts.
        metric: Name of the metric that the run's sweep watches, kept beside each line.

    Raises:
        BadRequestError: A line is no JSON object, or the offset is absurd.
    """
    _check_offset(offset, lines)
    keys: dict[str, Any] = json.loads(run["history_keys"])
    last_step = run["last_step"]
    records = []
    for number, text in enumerate(lines, start=offset):
        point = _parse_point(text)
        step = _read_step(point, number)
        last_step = max(last_step, step)
        records.append((run["id"], number, step, read_metric(point, metric), text))
        if number >= run["history_lines"]:
            _count_keys(keys, point)
    run_many(
        db,
        "INSERT INTO history (run_id, line, step, metric, data) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (run_id, line) DO UPDATE SET"
        " step = excluded.step, metric = excluded.metric, data = excluded.data",
        records,
    )
    update(
        db,
        "runs",
        run["id"],
        history_lines=max(run["history_lines"], offset + len(lines)),
        history_keys=json.dumps(keys),
        last_step=last_step,
    )


def write_lines(db: Connection, run: Row, stream: str, offset: int, lines: Sequence[str]) -> None:
    """Store lines of "events" or "output".

    Raises:
        BadRequestError: The offset is absurd.
    """
    counter = _STREAMS[stream]
    _check_offset(offset, lines)
    records = [(run["id"], number, text) for number, text in enumerate(lines, start=offset)]
    run_many(
        db,
        f"INSERT INTO {stream} (run_id, line, data) VALUES (?, ?, ?)"  # noqa: S608
        " ON CONFLICT (run_id, line) DO UPDATE SET data = excluded.data",
        records,
    )
    update(db, "runs", run["id"], **{counter: max(run[counter], offset + len(lines))})


def clear_lines(db: Connection, run_id: int, stream: str) -> None:
    """Forget a stream ("history", "events" or "output") of a run that starts anew."""
    assert stream in ("history", *_STREAMS)
    db.execute(f"DELETE FROM {stream} WHERE run_id = ?", (run_id,))  # noqa: S608
    if stream == "history":
        empty = {"history_lines": 0, "forked_lines": 0, "history_keys": "{}", "last_step": -1}
        update(db, "runs", run_id, **empty)
    else:
        update(db, "runs", run_id, **{_STREAMS[stream]: 0})


def rewind_history(db: Connection, run_id: int, step: int) -> None:
    """Forget the history after a step."""
    db.execute("DELETE FROM history WHERE run_id = ? AND step > ?", (run_id, step))
    row = one(
        db, "SELECT max(line) AS line, max(step) AS step FROM history WHERE run_id = ?", run_id
    )
    assert row is not None
    lines = 0 if row["line"] is None else row["line"] + 1
    update(db, "runs", run_id, history_lines=lines, last_step=-1 if lines == 0 else row["step"])
    db.execute("UPDATE runs SET forked_lines = min(forked_lines, ?) WHERE id = ?", (lines, run_id))


def fork_history(db: Connection, run_id: int, parent: Row, step: int) -> None:
    """Begin a run's history with its parent's up to a step, that included."""
    sql = """SELECT step, metric, data FROM history WHERE run_id = ? AND step <= ?
        ORDER BY line"""
    found = rows(db, sql, parent["id"], step)
    keys: dict[str, Any] = {}
    for row in found:
        _count_keys(keys, json.loads(row["data"]))
    run_many(
        db,
        "INSERT INTO history (run_id, line, step, metric, data) VALUES (?, ?, ?, ?, ?)",
        [(run_id, n, row["step"], row["metric"], row["data"]) for n, row in enumerate(found)],
    )
    update(
        db,
        "runs",
        run_id,
        history_lines=len(found),
        forked_lines=len(found),
        history_keys=json.dumps(keys),
        last_step=step,
        summary_metrics=found[-1]["data"] if found else "{}",
    )


def read_steps(db: Connection, run_id: int, first: int, stop: int, limit: int) -> list[str]:
    """Return the history lines with first <= step < stop, at most `limit`, as JSON texts."""
    sql = """SELECT data FROM history WHERE run_id = ? AND step >= ? AND step < ?
        ORDER BY step, line LIMIT ?"""
    return [row["data"] for row in rows(db, sql, run_id, first, stop, limit)]


def read_sample(db: Connection, run_id: int, table: str, limit: int) -> list[str]:
    """Return at most `limit` lines of "history" or "events", evenly spaced, first and last in."""
    assert table in ("history", "events")
    sql = f"SELECT data FROM {table} WHERE run_id = ? ORDER BY line"  # noqa: S608
    return pick_evenly([row["data"] for row in rows(db, sql, run_id)], limit)


def read_tail(db: Connection, run_id: int, table: str, limit: int = 1) -> list[str]:
    """Return the last lines of a stream, the oldest first."""
    assert table in ("history", "events", "output")
    sql = f"SELECT data FROM {table} WHERE run_id = ? ORDER BY line DESC LIMIT ?"  # noqa: S608
    return [row["data"] for row in rows(db, sql, run_id, limit)][::-1]


def read_output(db: Connection, run_id: int, first: int, limit: int) -> list[Row]:
    """Return console lines from a number on."""
    sql = "SELECT line, data FROM output WHERE run_id = ? AND line >= ? ORDER BY line LIMIT ?"
    return rows(db, sql, run_id, first, limit)


def read_metric_values(db: Connection, sweep_id: int) -> dict[int, list[float]]:
    """Return the watched metric of a sweep's runs, in the order logged, by run number."""
    found: dict[int, list[float]] = {}
    sql = """SELECT history.run_id, history.metric FROM history
        JOIN runs ON runs.id = history.run_id
        WHERE runs.sweep_id = ? AND history.metric IS NOT NULL
        ORDER BY history.run_id, history.line"""
    for row in rows(db, sql, sweep_id):
        found.setdefault(row["run_id"], []).append(row["metric"])
    return found


def read_metric(point: dict[str, Any], name: str | None) -> float | None:
    """Return a metric's value in a logged point or summary; a dot may lead into an object."""
    if name is None:
        return None
    value: Any = point.get(name)
    if value is None and "." in name:
        value = point
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_result(summary: dict[str, Any], metric: dict[str, Any]) -> float | None:
    """Return a sweep's metric in a run's summary, which may keep several kinds of it."""
    name, largest = metric.get("name"), metric.get("goal") == "maximize"
    flat = {key: pick_value(value, largest=largest) for key, value in summary.items()}
    return read_metric(flat, name)


def pick_evenly(items: list[str], limit: int) -> list[str]:
    """Return at most `limit` items, evenly spaced, with the first and the last."""
    if len(items) <= limit:
        return items
    if limit < 2:
        return items[:limit]
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def _check_offset(offset: int, lines: Sequence[str]) -> None:
    if not 0 <= offset <= MAX_LINE - len(lines):
        raise BadRequestError(f"a line number lies between 0 and {MAX_LINE:,}, got {offset!r}")


def _read_step(point: dict[str, Any], number: int) -> int:
    step = point.get("_step")
    if isinstance(step, int | float) and -MAX_STEP <= step <= MAX_STEP:  # NaN is not
        return int(step)
    return number


def _parse_point(text: str) -> dict[str, Any]:
    try:
        point = load_json(text)
    except ValueError as error:
        raise BadRequestError(
            f"a history line is a JSON object ({error}), got {text[:80]!r}"
        ) from error
    if not isinstance(point, dict):
        raise BadRequestError(f"a history line is a JSON object, got {text[:80]!r}")
    return point


def _count_keys(keys: dict[str, Any], point: dict[str, Any]) -> None:
    """Note what a point holds; a nested value goes by its dotted name, as in W&B's tables."""
    for name, value in _flatten(point):
        entry = keys.setdefault(name, {"type": _name_type(value), "count": 0})
        entry["count"] += 1
        if isinstance(value, int | float):
            before = entry.get("last")
            entry["rising"] = entry.get("rising", True) and (before is None or value >= before)
            entry["last"] = value if math.isfinite(value) else None


def _flatten(point: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in point.items():
        # What has a type is one thing, as an image or a histogram.
        if isinstance(value, dict) and value and "_type" not in value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _name_type(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_type", "map"))
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "number"
