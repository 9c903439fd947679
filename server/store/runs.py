"""Runs: their record, state and life signs."""

import json
import time
from typing import Any

from bpsweep.server.errors import NotFoundError
from bpsweep.server.ids import make_display_name
from bpsweep.server.store.database import Connection, Row, insert, one, rows, update
from bpsweep.server.store.filters import build_order, build_where

COLUMNS = """runs.id, runs.project_id, runs.sweep_id, runs.agent_id, runs.user_id, runs.name,
    runs.display_name, runs.state, runs.state_reason, runs.config, runs.summary_metrics,
    runs.system_metrics, runs.history_keys, runs.last_step, runs.history_lines, runs.event_lines,
    runs.output_lines, runs.group_name, runs.job_type, runs.host, runs.program, runs.repo,
    runs.commit_hash, runs.description, runs.notes, runs.tags, runs.exit_code, runs.created_at,
    runs.updated_at, runs.started_at, runs.finished_at, runs.heartbeat_at, runs.stop_requested_at,
    runs.stop_reason, runs.stop_record, runs.restarting, runs.forked_lines,
    (SELECT sweeps.name FROM sweeps WHERE sweeps.id = runs.sweep_id) AS sweep_name"""
OPEN = ("pending", "running", "preempting", "preempted")
# What ended without a result and may be tried again.
UNFINISHED = ("crashed", "failed", "killed")


def create_run(db: Connection, project_id: int, name: str, **values: Any) -> Row:
    """Create a run."""
    now = time.time()
    if not values.get("display_name"):
        newest = one(db, "SELECT coalesce(max(id), 0) AS id FROM runs")
        assert newest is not None
        in_sweep = values.get("sweep_id") is not None
        values["display_name"] = make_display_name(newest["id"] + 1, in_sweep=in_sweep)
    number = insert(
        db, "runs", project_id=project_id, name=name, created_at=now, updated_at=now, **values
    )
    return get_run(db, number)


def get_run(db: Connection, number: int) -> Row:
    """Return the run with this number.

    Raises:
        NotFoundError: There is none.
    """
    run = find_run_by_id(db, number)
    if run is None:
        raise NotFoundError("the run does not exist, it may have been deleted")
    return run


def find_run_by_id(db: Connection, number: int) -> Row | None:
    """Return the run with this number, or None."""
    return one(db, f"SELECT {COLUMNS} FROM runs WHERE id = ?", number)  # noqa: S608


def find_run(db: Connection, project_id: int, name: str) -> Row | None:
    """Return a project's run by its name (the id that users see), or None."""
    sql = f"SELECT {COLUMNS} FROM runs WHERE project_id = ? AND name = ?"  # noqa: S608
    return one(db, sql, project_id, name)


def save_run(db: Connection, number: int, **values: Any) -> None:
    """Change a run."""
    update(db, "runs", number, **{**values, "updated_at": time.time()})


def end_run(db: Connection, number: int, state: str, reason: str | None, **values: Any) -> None:
    """Put a run into a state that ends it."""
    save_run(db, number, state=state, state_reason=reason, finished_at=time.time(), **values)


def touch_run(db: Connection, number: int) -> None:
    """Note a sign of life."""
    db.execute("UPDATE runs SET heartbeat_at = ? WHERE id = ?", (time.time(), number))


def delete_run(db: Connection, number: int) -> None:
    """Delete a run with its history and files' records."""
    db.execute("DELETE FROM runs WHERE id = ?", (number,))


def list_runs(
    db: Connection,
    project_id: int,
    *,
    filters: dict[str, Any] | None = None,
    order: str | None = None,
    offset: int = 0,
    limit: int = -1,
) -> list[Row]:
    """Return a project's runs that match a Mongo-like filter, in order.

    Raises:
        BadRequestError: The filter or the order cannot be understood.
    """
    where, values = build_where(filters or {})
    order_by, order_values = build_order(order)
    sql = f"""SELECT {COLUMNS} FROM runs WHERE runs.project_id = ? AND {where}
        ORDER BY {order_by} LIMIT ? OFFSET ?"""  # noqa: S608 - built from fixed parts
    return rows(db, sql, project_id, *values, *order_values, limit, offset)


def count_runs(db: Connection, project_id: int, filters: dict[str, Any] | None = None) -> int:
    """Return how many of a project's runs match a filter."""
    where, values = build_where(filters or {})
    sql = f"SELECT count(*) AS n FROM runs WHERE runs.project_id = ? AND {where}"  # noqa: S608
    row = one(db, sql, project_id, *values)
    assert row is not None
    return int(row["n"])


def list_sweep_runs(db: Connection, sweep_id: int) -> list[Row]:
    """Return a sweep's runs in the order in which they were made."""
    sql = f"SELECT {COLUMNS} FROM runs WHERE sweep_id = ? ORDER BY created_at, id"  # noqa: S608
    return rows(db, sql, sweep_id)


def list_agent_runs(db: Connection, agent_id: int) -> list[Row]:
    """Return an agent's runs in the order in which it got them."""
    sql = f"SELECT {COLUMNS} FROM runs WHERE agent_id = ? ORDER BY created_at, id"  # noqa: S608
    return rows(db, sql, agent_id)


def list_silent_runs(db: Connection, before: float, sweep_id: int | None = None) -> list[Row]:
    """Return open runs without a sign of life since `before`, their own or their agent's."""
    sql = f"""SELECT {COLUMNS} FROM runs
        WHERE state IN ('pending', 'running', 'preempting', 'preempted')
        AND runs.state != 'preempted'
        AND coalesce(runs.heartbeat_at, runs.created_at) < ?
        AND NOT EXISTS (SELECT 1 FROM trials WHERE trials.run_id = runs.id AND trials.queued = 1)
        AND (? IS NULL OR runs.sweep_id = ?)"""  # noqa: S608
    return rows(db, sql, before, sweep_id, sweep_id)


def find_preempted(db: Connection, sweep_id: int) -> Row | None:
    """Return a sweep's run that was preempted and waits to go on, or None."""
    sql = f"""SELECT {COLUMNS} FROM runs
        WHERE sweep_id = ? AND state IN ('pending', 'running', 'preempting', 'preempted')
        AND state = 'preempted' ORDER BY id"""  # noqa: S608
    return one(db, sql, sweep_id)


def list_open_agent_runs(db: Connection, agent_id: int) -> list[Row]:
    """Return the runs that an agent has been given and that have not ended."""
    sql = f"""SELECT {COLUMNS} FROM runs WHERE agent_id = ?
        AND state IN ('pending', 'running', 'preempting') ORDER BY id"""  # noqa: S608
    return rows(db, sql, agent_id)


def count_states(db: Connection, sweep_id: int) -> dict[str, int]:
    """Return how many runs of a sweep are in each state."""
    sql = "SELECT state, count(*) AS n FROM runs WHERE sweep_id = ? GROUP BY state"
    return {row["state"]: row["n"] for row in rows(db, sql, sweep_id)}


def read_config(run: Row) -> dict[str, Any]:
    """Return a run's config as a dictionary of {"value": ...} entries."""
    config = json.loads(run["config"])
    return config if isinstance(config, dict) else {}
