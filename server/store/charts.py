"""Presets of charts: Vega specifications that runs name when they log a table as a chart."""

import time
from typing import Any

from bpsweep.server.store.database import Connection, Row, insert, one, update


def save_chart(db: Connection, entity: str, name: str, **values: Any) -> Row:
    """Create a chart, or give the existing one of this name new values."""
    now = time.time()
    found = find_chart(db, entity, name)
    if found is not None:
        update(db, "custom_charts", found["id"], **values, updated_at=now)
    else:
        insert(
            db,
            "custom_charts",
            entity=entity,
            name=name,
            **values,
            created_at=now,
            updated_at=now,
        )
    saved = find_chart(db, entity, name)
    assert saved is not None
    return saved


def find_chart(db: Connection, entity: str, name: str) -> Row | None:
    """Return an entity's chart of this name, or None."""
    return one(db, "SELECT * FROM custom_charts WHERE entity = ? AND name = ?", entity, name)
