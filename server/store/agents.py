"""Agents: the processes that ask for work."""

import time

from bpsweep.server.ids import make_name
from bpsweep.server.store.database import Connection, Row, insert, one, rows

_COLUMNS = """id, sweep_id, name, host, created_at, heartbeat_at,
    (SELECT count(*) FROM runs WHERE runs.agent_id = agents.id) AS total_runs"""


def create_agent(db: Connection, sweep_id: int, host: str) -> Row:
    """Register a new agent of a sweep."""
    now = time.time()
    number = insert(
        db,
        "agents",
        sweep_id=sweep_id,
        name=make_name(),
        host=host,
        created_at=now,
        heartbeat_at=now,
    )
    agent = find_agent(db, number)
    assert agent is not None
    return agent


def find_agent(db: Connection, number: int) -> Row | None:
    """Return the agent with this number, or None."""
    return one(db, f"SELECT {_COLUMNS} FROM agents WHERE id = ?", number)  # noqa: S608


def find_named_agent(db: Connection, sweep_id: int, name: str) -> Row | None:
    """Return a sweep's agent by its name, or None."""
    sql = f"SELECT {_COLUMNS} FROM agents WHERE sweep_id = ? AND name = ?"  # noqa: S608
    return one(db, sql, sweep_id, name)


def list_agents(db: Connection, sweep_id: int) -> list[Row]:
    """Return a sweep's agents in the order in which they came."""
    return rows(db, f"SELECT {_COLUMNS} FROM agents WHERE sweep_id = ? ORDER BY id", sweep_id)  # noqa: S608


def touch_agent(db: Connection, number: int) -> None:
    """Note a sign of life."""
    db.execute("UPDATE agents SET heartbeat_at = ? WHERE id = ?", (time.time(), number))
