"""Records of the files that runs save; the bytes lie in the uploads folder."""

import json
import time

from bpsweep.server.errors import NotFoundError
from bpsweep.server.store.database import Connection, Row, insert, one, rows, update

_COLUMNS = "id, run_id, name, size, md5, mimetype, updated_at, created_at"


def ensure_file(db: Connection, run_id: int, name: str) -> Row:
    """Return the record of a run's file, creating it if need be."""
    found = find_file(db, run_id, name)
    if found is None:
        number = insert(db, "files", run_id=run_id, name=name, created_at=time.time())
        return get_file(db, number)
    return found


def find_file(db: Connection, run_id: int, name: str) -> Row | None:
    """Return the record of a run's file, or None."""
    sql = f"SELECT {_COLUMNS} FROM files WHERE run_id = ? AND name = ?"  # noqa: S608
    return one(db, sql, run_id, name)


def get_file(db: Connection, number: int) -> Row:
    """Return the file record with this number.

    Raises:
        NotFoundError: There is none.
    """
    found = one(db, f"SELECT {_COLUMNS} FROM files WHERE id = ?", number)  # noqa: S608
    if found is None:
        raise NotFoundError("the file does not exist, it may have been deleted")
    return found


def save_upload(db: Connection, number: int, *, size: int, md5: str, mimetype: str) -> None:
    """Note that a file's bytes have arrived."""
    update(db, "files", number, size=size, md5=md5, mimetype=mimetype, updated_at=time.time())


def list_files(
    db: Connection,
    run_id: int,
    *,
    names: list[str] | None = None,
    pattern: str | None = None,
    offset: int = 0,
    limit: int = -1,
) -> list[Row]:
    """Return a run's uploaded files by name; `pattern` is SQL's LIKE. Names may be yet to come."""
    sql, values = _select(run_id, names, pattern)
    return rows(
        db, f"SELECT {_COLUMNS} {sql} ORDER BY name LIMIT ? OFFSET ?", *values, limit, offset
    )


def count_files(
    db: Connection, run_id: int, *, names: list[str] | None = None, pattern: str | None = None
) -> int:
    """Return how many files a listing of the same names and pattern has."""
    sql, values = _select(run_id, names, pattern)
    row = one(db, f"SELECT count(*) AS n {sql}", *values)
    assert row is not None
    return int(row["n"])


def _select(
    run_id: int, names: list[str] | None, pattern: str | None
) -> tuple[str, list[str | int]]:
    sql = "FROM files WHERE run_id = ?"
    values: list[str | int] = [run_id]
    if names:
        sql += " AND name IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(names))
    else:
        sql += " AND size IS NOT NULL"
    if pattern:
        sql += " AND name LIKE ?"
        values.append(pattern)
    return sql, values


def delete_file(db: Connection, number: int) -> None:
    """Delete a file's record."""
    db.execute("DELETE FROM files WHERE id = ?", (number,))
