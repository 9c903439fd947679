"""Sweeps: what the user asked for, and how far the search has come."""

import time
from typing import Any

from bpsweep.server.errors import NotFoundError
from bpsweep.server.ids import make_name
from bpsweep.server.store.database import Connection, Row, insert, one, rows, run_many, update

_COLUMNS = """id, project_id, name, display_name, description, config, method, state, state_reason,
    exhausted, controller, scheduler, seed, cursor, run_count_expected, created_at, updated_at,
    heartbeat_at"""
ENDED = ("FINISHED", "CANCELED")
# Word for word the condition of the index runs_open.
OPEN_RUNS = "state IN ('pending', 'running', 'preempting', 'preempted')"


def create_sweep(db: Connection, project_id: int, **values: Any) -> Row:
    """Create a sweep that waits for its first agent."""
    now = time.time()
    number = insert(
        db,
        "sweeps",
        project_id=project_id,
        name=make_name(),
        state="PENDING",
        created_at=now,
        updated_at=now,
        **values,
    )
    return get_sweep(db, number)


def get_sweep(db: Connection, number: int) -> Row:
    """Return the sweep with this number.

    Raises:
        NotFoundError: There is none.
    """
    sweep = one(db, f"SELECT {_COLUMNS} FROM sweeps WHERE id = ?", number)  # noqa: S608
    if sweep is None:
        raise NotFoundError("the sweep does not exist, it may have been deleted")
    return sweep


def find_sweep(db: Connection, project_id: int, name: str) -> Row | None:
    """Return a project's sweep by its name (the id that users see), or None."""
    sql = f"SELECT {_COLUMNS} FROM sweeps WHERE project_id = ? AND name = ?"  # noqa: S608
    return one(db, sql, project_id, name)


def list_sweeps(db: Connection, project_id: int) -> list[Row]:
    """Return a project's sweeps, the newest first."""
    sql = f"SELECT {_COLUMNS} FROM sweeps WHERE project_id = ? ORDER BY id DESC"  # noqa: S608
    return rows(db, sql, project_id)


def save_sweep(db: Connection, number: int, **values: Any) -> None:
    """Change a sweep."""
    update(db, "sweeps", number, **{**values, "updated_at": time.time()})


def delete_sweep(db: Connection, number: int) -> None:
    """Delete a sweep with its agents and trials; its runs stay, without a sweep."""
    db.execute("DELETE FROM sweeps WHERE id = ?", (number,))


def move_cursor(db: Connection, number: int, cursor: int) -> None:
    """Remember where the search goes on; not a change that users see."""
    db.execute("UPDATE sweeps SET cursor = ? WHERE id = ?", (cursor, number))


def count_open_runs(db: Connection, number: int) -> int:
    """Return how many runs of a sweep have not ended, queued retries included."""
    sql = f"SELECT count(*) AS n FROM runs WHERE sweep_id = ? AND {OPEN_RUNS}"  # noqa: S608
    row = one(db, sql, number)
    assert row is not None
    return int(row["n"])


def count_sweep_runs(db: Connection, number: int) -> int:
    """Return how many runs a sweep has."""
    row = one(db, "SELECT count(*) AS n FROM runs WHERE sweep_id = ?", number)
    assert row is not None
    return int(row["n"])


def set_prior_runs(db: Connection, number: int, run_ids: list[int]) -> None:
    """Set the runs from before the sweep whose results the search may use."""
    db.execute("DELETE FROM prior_runs WHERE sweep_id = ?", (number,))
    run_many(
        db,
        "INSERT OR IGNORE INTO prior_runs (sweep_id, run_id) VALUES (?, ?)",
        [(number, run_id) for run_id in run_ids],
    )


def list_prior_run_ids(db: Connection, number: int) -> list[int]:
    """Return the numbers of a sweep's prior runs."""
    found = rows(db, "SELECT run_id FROM prior_runs WHERE sweep_id = ? ORDER BY run_id", number)
    return [row["run_id"] for row in found]
