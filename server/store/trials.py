"""Trials: which configuration was handed to whom, and which attempt at it this is."""

import json
import time
from typing import Any

from bpsweep.server.store.database import Connection, Row, insert, one, rows, update

_COLUMNS = """trials.id, trials.sweep_id, trials.run_id, trials.config_key, trials.attempt,
    trials.retry_of, trials.ordinal, trials.args, trials.reason, trials.seen_runs, trials.queued,
    trials.delivered_at, trials.delivered_boot, trials.acknowledged, trials.created_at"""


def create_trial(db: Connection, sweep_id: int, run_id: int, **values: Any) -> Row:
    """Record that a configuration is taken, by this run."""
    number = insert(
        db, "trials", sweep_id=sweep_id, run_id=run_id, created_at=time.time(), **values
    )
    trial = one(db, f"SELECT {_COLUMNS} FROM trials WHERE id = ?", number)  # noqa: S608
    assert trial is not None
    return trial


def is_taken(db: Connection, sweep_id: int, config_key: str) -> bool:
    """Return whether a sweep has handed out this configuration."""
    sql = "SELECT 1 AS taken FROM trials WHERE sweep_id = ? AND config_key = ?"
    return one(db, sql, sweep_id, config_key) is not None


def count_configurations(db: Connection, sweep_id: int) -> int:
    """Return how many configurations a sweep has handed out, retries not counted."""
    sql = "SELECT count(*) AS n FROM trials WHERE sweep_id = ? AND attempt = 1"
    row = one(db, sql, sweep_id)
    assert row is not None
    return int(row["n"])


def find_trial(db: Connection, run_id: int) -> Row | None:
    """Return the trial that a run works on, or None if no search suggested the run."""
    return one(db, f"SELECT {_COLUMNS} FROM trials WHERE run_id = ?", run_id)  # noqa: S608


def find_successor(db: Connection, trial_id: int) -> Row | None:
    """Return the trial that tries the same configuration again, or None."""
    return one(db, f"SELECT {_COLUMNS} FROM trials WHERE retry_of = ?", trial_id)  # noqa: S608


def find_queued(db: Connection, sweep_id: int) -> Row | None:
    """Return the oldest trial that waits for an agent, or None."""
    sql = f"SELECT {_COLUMNS} FROM trials WHERE sweep_id = ? AND queued = 1 ORDER BY id LIMIT 1"  # noqa: S608
    return one(db, sql, sweep_id)


def find_last(db: Connection, sweep_id: int) -> Row | None:
    """Return the newest trial of a sweep that is no retry, or None."""
    sql = f"""SELECT {_COLUMNS} FROM trials WHERE sweep_id = ? AND attempt = 1
        ORDER BY id DESC LIMIT 1"""  # noqa: S608
    return one(db, sql, sweep_id)


def list_orphans(db: Connection, sweep_id: int) -> list[Row]:
    """Return the last trials of configurations whose runs were deleted, in order."""
    sql = f"""SELECT {_COLUMNS} FROM trials WHERE sweep_id = ? AND run_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM trials AS later WHERE later.retry_of = trials.id)
        ORDER BY id"""  # noqa: S608
    return rows(db, sql, sweep_id)


def delete_trial(db: Connection, number: int) -> None:
    """Delete a trial that nobody has started."""
    db.execute("DELETE FROM trials WHERE id = ?", (number,))


def save_trial(db: Connection, number: int, **values: Any) -> None:
    """Change a trial."""
    update(db, "trials", number, **values)


def list_trials(db: Connection, sweep_id: int) -> list[Row]:
    """Return a sweep's trials in the order in which they were suggested."""
    return rows(db, f"SELECT {_COLUMNS} FROM trials WHERE sweep_id = ? ORDER BY id", sweep_id)  # noqa: S608


def read_args(trial: Row) -> dict[str, Any]:
    """Return a trial's configuration as {"name": {"value": ...}}."""
    args: dict[str, Any] = json.loads(trial["args"])
    return args


def find_trial_by_id(db: Connection, number: int | None) -> Row | None:
    """Return the trial with this number, or None."""
    return one(db, f"SELECT {_COLUMNS} FROM trials WHERE id = ?", number)  # noqa: S608
