"""Artifact versions: created pending, filled with files, committed as the next version."""

import json
import time
from typing import Any

from bpsweep.server.errors import NotFoundError
from bpsweep.server.store.collections import add_member, list_aliases, set_alias
from bpsweep.server.store.database import Connection, Row, insert, one, rows, run, run_many, update


def create_artifact(db: Connection, collection_id: int, **values: Any) -> Row:
    """Create a pending version."""
    now = time.time()
    number = insert(
        db,
        "artifacts",
        collection_id=collection_id,
        state="PENDING",
        created_at=now,
        updated_at=now,
        **values,
    )
    return get_artifact(db, number)


def get_artifact(db: Connection, number: int) -> Row:
    """Return the artifact with this number.

    Raises:
        NotFoundError: There is none.
    """
    found = one(db, "SELECT * FROM artifacts WHERE id = ?", number)
    if found is None:
        raise NotFoundError("the artifact does not exist, it may have been deleted")
    return found


def find_by_client(db: Connection, client_id: str) -> Row | None:
    """Return the artifact that a client knows by its own id, or None."""
    return one(db, "SELECT * FROM artifacts WHERE client_id = ?", client_id)


def find_by_digest(db: Connection, collection_id: int, digest: str) -> Row | None:
    """Return the newest committed version with this content, or None."""
    sql = """SELECT * FROM artifacts WHERE collection_id = ? AND digest = ?
        AND state = 'COMMITTED' ORDER BY id DESC"""
    return one(db, sql, collection_id, digest)


def has_increments(db: Connection, collection_id: int) -> bool:
    """Return whether a version of a collection was made by adding to the one before."""
    sql = """SELECT 1 FROM artifacts JOIN manifests ON manifests.artifact_id = artifacts.id
        WHERE artifacts.collection_id = ? AND manifests.type = 'INCREMENTAL' LIMIT 1"""
    return one(db, sql, collection_id) is not None


def find_distributed(db: Connection, collection_id: int, distributed_id: str) -> Row | None:
    """Return the version that programs with this id are filling together, or None."""
    sql = """SELECT * FROM artifacts WHERE collection_id = ? AND distributed_id = ?
        AND state = 'PENDING' ORDER BY id DESC"""
    return one(db, sql, collection_id, distributed_id)


def find_latest(db: Connection, collection_id: int) -> Row | None:
    """Return a collection's newest committed version, or None."""
    sql = """SELECT artifacts.* FROM artifacts JOIN memberships
        ON memberships.artifact_id = artifacts.id
        WHERE memberships.collection_id = ? AND artifacts.state = 'COMMITTED'
        ORDER BY memberships.version_index DESC"""
    return one(db, sql, collection_id)


def list_versions(db: Connection, collection_id: int) -> list[Row]:
    """Return a collection's committed versions, the newest first, each with its version."""
    sql = """SELECT artifacts.*, memberships.version_index FROM artifacts JOIN memberships
        ON memberships.artifact_id = artifacts.id
        WHERE memberships.collection_id = ? AND artifacts.state = 'COMMITTED'
        ORDER BY memberships.version_index DESC"""
    return rows(db, sql, collection_id)


def commit_artifact(db: Connection, artifact: Row, contents: dict[str, Any]) -> None:
    """Make a pending artifact the next version of its collection, with these files.

    Args:
        db: The writing connection.
        artifact: The artifact as read in this transaction.
        contents: The manifest's entries by name, each with a digest and perhaps size and ref.
    """
    db.execute("DELETE FROM artifact_files WHERE artifact_id = ?", (artifact["id"],))
    run_many(
        db,
        "INSERT INTO artifact_files (artifact_id, name, digest, size, ref) VALUES (?, ?, ?, ?, ?)",
        [
            (artifact["id"], name, entry["digest"], entry.get("size") or 0, entry.get("ref"))
            for name, entry in contents.items()
        ],
    )
    update(
        db,
        "artifacts",
        artifact["id"],
        state="COMMITTED",
        size=sum(entry.get("size") or 0 for entry in contents.values()),
        file_count=len(contents),
        updated_at=time.time(),
    )
    add_member(db, artifact["collection_id"], artifact["id"])
    for alias in dict.fromkeys(["latest", *json.loads(artifact["wanted_aliases"])]):
        set_alias(db, artifact["collection_id"], alias, artifact["id"])


def save_artifact(db: Connection, number: int, **values: Any) -> None:
    """Change an artifact's description, metadata or tags."""
    update(db, "artifacts", number, **{**values, "updated_at": time.time()})


def delete_artifact(db: Connection, artifact: Row) -> None:
    """Mark a version deleted; its number is never used again, 'latest' falls back."""
    number, collection_id = artifact["id"], artifact["collection_id"]
    was_latest = any(
        row["alias"] == "latest"
        for row in list_aliases(db, artifact_id=number, collection_id=collection_id)
    )
    db.execute("DELETE FROM aliases WHERE artifact_id = ?", (number,))
    save_artifact(db, number, state="DELETED")
    latest = find_latest(db, collection_id)
    if was_latest and latest is not None:
        set_alias(db, collection_id, "latest", latest["id"])


def create_manifest(db: Connection, artifact_id: int, **values: Any) -> Row:
    """Create the record of a manifest that is to be uploaded."""
    number = insert(db, "manifests", artifact_id=artifact_id, created_at=time.time(), **values)
    return get_manifest(db, number)


def get_manifest(db: Connection, number: int) -> Row:
    """Return the manifest with this number.

    Raises:
        NotFoundError: There is none.
    """
    found = one(db, "SELECT * FROM manifests WHERE id = ?", number)
    if found is None:
        raise NotFoundError("the artifact's manifest does not exist")
    return found


def save_manifest(db: Connection, number: int, **values: Any) -> None:
    """Change a manifest's record."""
    update(db, "manifests", number, **values)


def list_manifests(db: Connection, artifact_id: int) -> list[Row]:
    """Return an artifact's uploaded manifests, the oldest first."""
    sql = "SELECT * FROM manifests WHERE artifact_id = ? AND uploaded = 1 ORDER BY id"
    return rows(db, sql, artifact_id)


def list_artifact_files(
    db: Connection,
    artifact_id: int,
    *,
    names: list[str] | None = None,
    offset: int = 0,
    limit: int = -1,
) -> list[Row]:
    """Return an artifact's files, of these names or all, by name."""
    sql, values = _select_files(artifact_id, names)
    return rows(db, f"SELECT * {sql} ORDER BY name LIMIT ? OFFSET ?", *values, limit, offset)


def count_artifact_files(
    db: Connection, artifact_id: int, *, names: list[str] | None = None
) -> int:
    """Return how many files an artifact has, of these names or in all."""
    sql, values = _select_files(artifact_id, names)
    found = one(db, f"SELECT count(*) AS n {sql}", *values)
    assert found is not None
    return int(found["n"])


def _select_files(artifact_id: int, names: list[str] | None) -> tuple[str, list[Any]]:
    if names is None:
        return "FROM artifact_files WHERE artifact_id = ?", [artifact_id]
    sql = "FROM artifact_files WHERE artifact_id = ? AND name IN (SELECT value FROM json_each(?))"
    return sql, [artifact_id, json.dumps(names)]


def record_use(db: Connection, run_id: int, artifact_id: int, used_as: str | None) -> None:
    """Note that a run reads an artifact."""
    run(
        db,
        "INSERT OR IGNORE INTO artifact_uses (run_id, artifact_id, used_as, created_at)"
        " VALUES (?, ?, ?, ?)",
        run_id,
        artifact_id,
        used_as,
        time.time(),
    )


def record_output(db: Connection, run_id: int, artifact_id: int) -> None:
    """Note that a run logged a version that was there already."""
    run(
        db,
        "INSERT OR IGNORE INTO artifact_outputs (run_id, artifact_id, created_at) VALUES (?, ?, ?)",
        run_id,
        artifact_id,
        time.time(),
    )


def list_used(db: Connection, run_id: int) -> list[Row]:
    """Return the artifacts that a run reads."""
    sql = """SELECT artifacts.* FROM artifacts JOIN artifact_uses
        ON artifact_uses.artifact_id = artifacts.id
        WHERE artifact_uses.run_id = ? AND artifacts.state = 'COMMITTED' ORDER BY artifacts.id"""
    return rows(db, sql, run_id)


def list_made(db: Connection, run_id: int) -> list[Row]:
    """Return the versions that were born in a run."""
    sql = "SELECT * FROM artifacts WHERE run_id = ? AND state = 'COMMITTED' ORDER BY id"
    return rows(db, sql, run_id)


def list_logged(db: Connection, run_id: int) -> list[Row]:
    """Return the versions that a run logged: its own, and those that were there already."""
    sql = """SELECT * FROM artifacts WHERE state = 'COMMITTED' AND (run_id = ? OR id IN
        (SELECT artifact_id FROM artifact_outputs WHERE artifact_outputs.run_id = ?)) ORDER BY id"""
    return rows(db, sql, run_id, run_id)


def list_users(db: Connection, artifact_id: int) -> list[int]:
    """Return the numbers of the runs that read an artifact."""
    sql = "SELECT run_id FROM artifact_uses WHERE artifact_id = ? ORDER BY run_id"
    return [row["run_id"] for row in rows(db, sql, artifact_id)]
