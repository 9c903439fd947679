"""Projects: made when first named, never by hand."""

import time

from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.store.database import Connection, Row, insert, one, rows, run

MAX_NAME = 128
_COLUMNS = "id, entity, name, description, created_at"


def find_project(db: Connection, entity: str, name: str) -> Row | None:
    """Return a project, or None."""
    sql = f"SELECT {_COLUMNS} FROM projects WHERE entity = ? AND name = ?"  # noqa: S608
    return one(db, sql, entity, name)


def get_project(db: Connection, number: int) -> Row:
    """Return the project with this number.

    Raises:
        NotFoundError: There is none.
    """
    project = one(db, f"SELECT {_COLUMNS} FROM projects WHERE id = ?", number)  # noqa: S608
    if project is None:
        raise NotFoundError(f"project {number} does not exist")
    return project


def require_project(db: Connection, entity: str, name: str) -> Row:
    """Return a project.

    Raises:
        NotFoundError: There is none.
    """
    project = find_project(db, entity, name)
    if project is None:
        raise NotFoundError(f"project {entity}/{name} does not exist")
    return project


def ensure_project(db: Connection, entity: str, name: str) -> Row:
    """Return a project, creating it if need be.

    Raises:
        BadRequestError: The name cannot be one.
    """
    found = find_project(db, entity, name)
    if found is not None:
        return found
    for value in (entity, name):
        if not value or len(value) > MAX_NAME or set(value) & set("/\\#?%:") or not value.strip():
            raise BadRequestError(
                f"{value!r} cannot name an entity or project: 1 to {MAX_NAME} characters, none of"
                " / \\ # ? % :"
            )
    number = insert(db, "projects", entity=entity, name=name, created_at=time.time())
    return get_project(db, number)


def list_projects(db: Connection, entity: str | None = None) -> list[Row]:
    """Return the projects, the newest first, of one entity or of all."""
    sql = f"SELECT {_COLUMNS} FROM projects"  # noqa: S608
    if entity is None:
        return rows(db, f"{sql} ORDER BY id DESC")
    return rows(db, f"{sql} WHERE entity = ? ORDER BY id DESC", entity)


def save_description(db: Connection, number: int, description: str) -> None:
    """Set a project's description."""
    run(db, "UPDATE projects SET description = ? WHERE id = ?", description, number)
