"""Artifact types, collections (sequences and portfolios), versions in them, and aliases."""

import json
import re
import time
from typing import Any

from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.store.database import Connection, Row, insert, one, rows, run, update

_COLUMNS = """collections.id, collections.project_id, collections.type_id, collections.kind,
    collections.name, collections.description, collections.tags, collections.client_id,
    collections.created_at, collections.updated_at,
    (SELECT artifact_types.name FROM artifact_types
     WHERE artifact_types.id = collections.type_id) AS type_name"""
SEQUENCE, PORTFOLIO = "ArtifactSequence", "ArtifactPortfolio"
_VERSION = re.compile(r"v(\d{1,9})")


def ensure_type(db: Connection, project_id: int, name: str) -> Row:
    """Return an artifact type of a project, creating it if need be."""
    found = find_type(db, project_id, name)
    if found is not None:
        return found
    insert(db, "artifact_types", project_id=project_id, name=name, created_at=time.time())
    return ensure_type(db, project_id, name)


def find_type(db: Connection, project_id: int, name: str) -> Row | None:
    """Return an artifact type of a project, or None."""
    return one(
        db, "SELECT * FROM artifact_types WHERE project_id = ? AND name = ?", project_id, name
    )


def list_types(db: Connection, project_id: int) -> list[Row]:
    """Return a project's artifact types by name."""
    sql = "SELECT * FROM artifact_types WHERE project_id = ? ORDER BY name"
    return rows(db, sql, project_id)


def ensure_collection(
    db: Connection, project_id: int, kind: str, name: str, type_name: str, client_id: str | None
) -> Row:
    """Return a collection, creating it if need be.

    Raises:
        BadRequestError: The name is taken by a collection of another kind or type.
    """
    found = find_collection(db, project_id, name)
    if found is None:
        now = time.time()
        number = insert(
            db,
            "collections",
            project_id=project_id,
            type_id=ensure_type(db, project_id, type_name)["id"],
            kind=kind,
            name=name,
            client_id=client_id,
            created_at=now,
            updated_at=now,
        )
        return get_collection(db, number)
    if (found["kind"], found["type_name"]) != (kind, type_name):
        raise BadRequestError(
            f"{name!r} is already the name of an {found['kind']} of type {found['type_name']!r},"
            f" it cannot become an {kind} of type {type_name!r}"
        )
    return found


def get_collection(db: Connection, number: int) -> Row:
    """Return the collection with this number.

    Raises:
        NotFoundError: There is none.
    """
    found = one(db, f"SELECT {_COLUMNS} FROM collections WHERE id = ?", number)  # noqa: S608
    if found is None:
        raise NotFoundError("the artifact collection does not exist")
    return found


def find_collection(db: Connection, project_id: int, name: str) -> Row | None:
    """Return a project's collection, or None."""
    sql = f"SELECT {_COLUMNS} FROM collections WHERE project_id = ? AND name = ?"  # noqa: S608
    return one(db, sql, project_id, name)


def list_collections(db: Connection, project_id: int, type_id: int | None = None) -> list[Row]:
    """Return a project's collections, of one type or all."""
    sql = f"""SELECT {_COLUMNS} FROM collections WHERE project_id = ?
        AND (? IS NULL OR type_id = ?) ORDER BY id"""  # noqa: S608
    return rows(db, sql, project_id, type_id, type_id)


def save_collection(db: Connection, number: int, **values: Any) -> None:
    """Change a collection."""
    update(db, "collections", number, **{**values, "updated_at": time.time()})


def delete_collection(db: Connection, number: int) -> None:
    """Delete a collection with the versions that were born in it."""
    db.execute("DELETE FROM collections WHERE id = ?", (number,))


def add_member(db: Connection, collection_id: int, artifact_id: int) -> int:
    """Give an artifact the next version number in a collection, or return the one it has."""
    found = find_membership(db, collection_id, artifact_id)
    if found is not None:
        return int(found["version_index"])
    row = one(
        db,
        "SELECT coalesce(max(version_index), -1) + 1 AS next FROM memberships"
        " WHERE collection_id = ?",
        collection_id,
    )
    assert row is not None
    db.execute(
        "INSERT INTO memberships (collection_id, artifact_id, version_index, created_at)"
        " VALUES (?, ?, ?, ?)",
        (collection_id, artifact_id, row["next"], time.time()),
    )
    return int(row["next"])


def remove_member(db: Connection, collection_id: int, artifact_id: int) -> None:
    """Take an artifact out of a collection, with its aliases there."""
    for table in ("aliases", "memberships"):
        db.execute(
            f"DELETE FROM {table} WHERE collection_id = ? AND artifact_id = ?",  # noqa: S608
            (collection_id, artifact_id),
        )


def find_membership(db: Connection, collection_id: int, artifact_id: int) -> Row | None:
    """Return an artifact's place in a collection, or None."""
    sql = "SELECT * FROM memberships WHERE collection_id = ? AND artifact_id = ?"
    return one(db, sql, collection_id, artifact_id)


def list_memberships(db: Connection, *, artifact_id: int) -> list[Row]:
    """Return an artifact's places in collections."""
    sql = "SELECT * FROM memberships WHERE artifact_id = ? ORDER BY created_at"
    return rows(db, sql, artifact_id)


def find_member(db: Connection, collection_id: int, label: str) -> Row | None:
    """Return the membership that a version ("v3"), an alias or a digest names, or None."""
    version = _VERSION.fullmatch(label)
    if version:
        sql = "SELECT * FROM memberships WHERE collection_id = ? AND version_index = ?"
        return one(db, sql, collection_id, int(version[1]))
    sql = """SELECT memberships.* FROM aliases JOIN memberships USING (collection_id, artifact_id)
        WHERE aliases.collection_id = ? AND aliases.alias = ?"""
    found = one(db, sql, collection_id, label)
    if found is not None:
        return found
    sql = """SELECT memberships.* FROM memberships JOIN artifacts
        ON artifacts.id = memberships.artifact_id
        WHERE memberships.collection_id = ? AND artifacts.digest = ? ORDER BY version_index DESC"""
    return one(db, sql, collection_id, label)


def set_alias(db: Connection, collection_id: int, alias: str, artifact_id: int) -> None:
    """Point an alias at a version.

    Raises:
        BadRequestError: The alias looks like a version number or is empty.
    """
    if not alias or len(alias) > 128 or _VERSION.fullmatch(alias) or set(alias) & set("/:"):
        raise BadRequestError(
            f"{alias!r} cannot be an alias: 1 to 128 characters, no '/' or ':', not like 'v3'"
        )
    run(
        db,
        "INSERT INTO aliases (collection_id, alias, artifact_id) VALUES (?, ?, ?)"
        " ON CONFLICT (collection_id, alias) DO UPDATE SET artifact_id = excluded.artifact_id",
        collection_id,
        alias,
        artifact_id,
    )


def drop_alias(db: Connection, collection_id: int, alias: str, artifact_id: int) -> None:
    """Remove an alias from a version."""
    run(
        db,
        "DELETE FROM aliases WHERE collection_id = ? AND alias = ? AND artifact_id = ?",
        collection_id,
        alias,
        artifact_id,
    )


def list_aliases(
    db: Connection, *, artifact_id: int | None = None, collection_id: int | None = None
) -> list[Row]:
    """Return the aliases of an artifact, of a collection, or of one in the other."""
    sql = """SELECT id, collection_id, alias, artifact_id FROM aliases
        WHERE (? IS NULL OR artifact_id = ?) AND (? IS NULL OR collection_id = ?) ORDER BY id"""
    return rows(db, sql, artifact_id, artifact_id, collection_id, collection_id)


def change_tags(tags: str, add: list[str], remove: list[str]) -> str:
    """Return a JSON list of tags with some added and some removed."""
    kept = [tag for tag in json.loads(tags) if tag not in remove]
    return json.dumps(kept + [tag for tag in dict.fromkeys(add) if tag not in kept])
