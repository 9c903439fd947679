"""What the pages ask again and again: which runs have changed, and only their new lines."""

import json
from typing import Literal

from bpsweep.server.store.database import Connection, Row, one, rows
from bpsweep.server.store.runs import COLUMNS
from bpsweep.server.store.sweeps import OPEN_RUNS

Scope = Literal["sweep_id", "project_id", "id"]


def sum_up_runs(db: Connection, scope: Scope, number: int) -> tuple[int, float, int]:
    """Return what differs whenever a run of a sweep or project has: how many, newest, lines."""
    sql = f"""SELECT count(*) AS n, coalesce(max(updated_at), 0) AS newest,
        coalesce(sum(history_lines), 0) AS lines FROM runs WHERE {scope} = ?"""  # noqa: S608
    row = one(db, sql, number)
    assert row is not None
    return row["n"], row["newest"], row["lines"]


def list_marks(db: Connection, scope: Scope, number: int) -> dict[int, tuple[float, int]]:
    """Return for each run of a sweep or project when it was changed and how many lines it has."""
    sql = f"SELECT id, updated_at, history_lines FROM runs WHERE {scope} = ?"  # noqa: S608
    return {row["id"]: (row["updated_at"], row["history_lines"]) for row in rows(db, sql, number)}


def list_watched(db: Connection, ids: list[int]) -> list[Row]:
    """Return runs with the trial that each works on, in the order in which they were made."""
    sql = f"""SELECT {COLUMNS}, trials.attempt, trials.args, trials.reason, trials.queued,
        (SELECT older_run.name FROM trials AS older JOIN runs AS older_run
         ON older_run.id = older.run_id WHERE older.id = trials.retry_of) AS retry_of
        FROM runs LEFT JOIN trials ON trials.run_id = runs.id
        WHERE runs.id IN (SELECT value FROM json_each(?))
        ORDER BY runs.created_at, runs.id"""  # noqa: S608
    return rows(db, sql, json.dumps(ids))


def read_history_text(
    db: Connection, run_id: int, first: int, limit: int
) -> tuple[int | None, str]:
    """Return the number of the last line read and the lines as one JSON list, in one row.

    One row of a run's whole history costs a tenth of a row a line, and no lock of Python's is
    held while SQLite puts it together.
    """
    sql = """SELECT max(line) AS last, '[' || group_concat(data, ',') || ']' AS text FROM
        (SELECT line, data FROM history WHERE run_id = ? AND line >= ? ORDER BY line LIMIT ?)"""
    row = one(db, sql, run_id, first, limit)
    assert row is not None
    return row["last"], row["text"] or "[]"


def find_best(db: Connection, sweep_id: int, *, largest: bool) -> float | None:
    """Return the best value that any run of a sweep has logged of its metric."""
    best = "max" if largest else "min"
    sql = f"""SELECT {best}(history.metric) AS best FROM runs
        JOIN history ON history.run_id = runs.id WHERE runs.sweep_id = ?"""  # noqa: S608
    row = one(db, sql, sweep_id)
    assert row is not None
    value: float | None = row["best"]
    return value


def list_logged(db: Connection, sweep_id: int) -> list[str]:
    """Return the names that a sweep's ended runs have logged, without W&B's own."""
    sql = f"""SELECT history_keys FROM runs WHERE sweep_id = ? AND NOT ({OPEN_RUNS})
        AND history_keys != '{{}}' ORDER BY id LIMIT 20"""  # noqa: S608
    names = (name for row in rows(db, sql, sweep_id) for name in json.loads(row["history_keys"]))
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def time_runs(db: Connection, sweep_id: int) -> Row:
    """Return a sweep's runs in numbers: made, ended, mean seconds, seconds spent on open ones."""
    sql = """SELECT count(*) AS n,
        sum(state NOT IN ('pending', 'running', 'preempting', 'preempted')) AS ended,
        sum(state IN ('running', 'preempting')) AS running,
        avg(CASE WHEN state = 'finished' THEN finished_at - started_at END) AS mean_s,
        sum(CASE WHEN state = 'running' THEN heartbeat_at - started_at END) AS open_s
        FROM runs WHERE sweep_id = ?"""
    row = one(db, sql, sweep_id)
    assert row is not None
    return row


def list_at_work(db: Connection, sweep_id: int) -> dict[int, str]:
    """Return the run that each agent of a sweep works on, by the agent's number."""
    sql = """SELECT agent_id, name FROM runs WHERE sweep_id = ? AND agent_id IS NOT NULL
        AND state IN ('pending', 'running', 'preempting', 'preempted')
        AND state IN ('pending', 'running', 'preempting') ORDER BY id"""
    return {row["agent_id"]: row["name"] for row in rows(db, sql, sweep_id)}


def list_media_lines(db: Connection, run_id: int, limit: int) -> list[Row]:
    """Return the newest history lines that name images, tables or other files, oldest first."""
    sql = """SELECT line, step, data FROM history WHERE run_id = ? AND data LIKE '%"_type"%'
        ORDER BY line DESC LIMIT ?"""
    return rows(db, sql, run_id, limit)[::-1]
