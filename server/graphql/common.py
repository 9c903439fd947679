"""What all resolvers share: the context of an operation, and connections."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo

from bpsweep.server.context import Context
from bpsweep.server.errors import BadRequestError
from bpsweep.server.ids import decode_cursor, encode_cursor, encode_id, format_time
from bpsweep.server.store import Connection, Row, projects

Info = GraphQLResolveInfo
MAX_PAGE = 10_000


@dataclass(frozen=True)
class Operation:
    """One GraphQL operation: who asks, from which address, and a connection that reads."""

    server: Context
    user: Row
    base_url: str
    db: Connection


def get_operation(info: Info) -> Operation:
    """Return the operation that a resolver works for."""
    operation: Operation = info.context
    return operation


def read_path(info: Info, entity: str | None, project: str | None) -> tuple[str, str]:
    """Return an entity and a project, with the defaults the client may rely on."""
    return entity or get_operation(info).user["name"], project or "uncategorized"


def find_project(info: Info, entity: str | None, project: str | None) -> Row | None:
    """Return the project that arguments name, or None."""
    return projects.find_project(get_operation(info).db, *read_path(info, entity, project))


def read_window(first: int | None, after: str | None) -> tuple[int, int]:
    """Return the offset and the length of a page.

    Raises:
        BadRequestError: The page is negative, or the cursor not ours.
    """
    if first is not None and first < 0:
        raise BadRequestError(f"'first' is not negative, got {first}")
    return decode_cursor(after), min(first if first is not None else MAX_PAGE, MAX_PAGE)


def build_page(found: list[Any], offset: int, length: int, total: int | None = None) -> Row:
    """Return a connection from the rows of a page plus, if there is one, the first beyond it."""
    page = found[:length]
    return {
        "edges": [{"node": row, "cursor": encode_cursor(offset + i)} for i, row in enumerate(page)],
        "page_info": {
            "end_cursor": encode_cursor(offset + len(page) - 1) if page else None,
            "has_next_page": len(found) > length,
        },
        "total_count": total if total is not None else offset + len(found),
    }


def build_list_page(items: list[Any], first: int | None, after: str | None) -> Row:
    """Return a page of a list that is already in memory."""
    offset, length = read_window(first, after)
    return build_page(items[offset : offset + length + 1], offset, length, len(items))


def pick(name: str) -> Callable[[Row, Info], Any]:
    """Return a resolver that reads a column."""

    def resolve(row: Row, _: Info) -> Any:
        return row[name]

    return resolve


def pick_id(kind: str) -> Callable[[Row, Info], str]:
    """Return a resolver that gives a row's global id: its kind and its number."""

    def resolve(row: Row, _: Info) -> str:
        return encode_id(kind, row["id"])

    return resolve


def pick_time(name: str) -> Callable[[Row, Info], str | None]:
    """Return a resolver that reads a column of times."""

    def resolve(row: Row, _: Info) -> str | None:
        return format_time(row[name])

    return resolve


def as_page(list_items: Callable[[Any, Info], list[Row]]) -> Callable[..., Row]:
    """Make a resolver of a function that returns a whole list: it answers with a page of it."""

    def resolve(
        row: Any, info: Info, first: int | None = None, after: str | None = None, **_: Any
    ) -> Row:
        return build_list_page(list_items(row, info), first, after)

    return resolve
