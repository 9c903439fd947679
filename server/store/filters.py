"""Mongo-like filters and orders, as `wandb.Api()` builds them, turned into SQL.

Names become fixed columns or JSON paths passed as values; no text of the client reaches the SQL.
"""

import json
import re
from typing import Any

from bpsweep.server.errors import BadRequestError
from bpsweep.server.ids import parse_time

_COLUMNS = {
    "name": "runs.name",
    "displayname": "runs.display_name",
    "display_name": "runs.display_name",
    "state": "runs.state",
    "group": "runs.group_name",
    "jobtype": "runs.job_type",
    "job_type": "runs.job_type",
    "host": "runs.host",
    "notes": "runs.notes",
    "description": "runs.description",
    "username": "(SELECT users.name FROM users WHERE users.id = runs.user_id)",
    "sweep": "(SELECT sweeps.name FROM sweeps WHERE sweeps.id = runs.sweep_id)",
    "created_at": "runs.created_at",
    "createdat": "runs.created_at",
    "updated_at": "runs.updated_at",
    "updatedat": "runs.updated_at",
    "heartbeat_at": "runs.heartbeat_at",
    "heartbeatat": "runs.heartbeat_at",
    "duration": "(coalesce(runs.finished_at, runs.heartbeat_at) - runs.started_at)",
}
_TIMES = {"runs.created_at", "runs.updated_at", "runs.heartbeat_at"}
_COMPARE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_SECTIONS = {"config": "runs.config", "summary_metrics": "runs.summary_metrics"}
_SECTIONS |= {"summary": "runs.summary_metrics", "summaryMetrics": "runs.summary_metrics"}
MAX_DEPTH = 20
# A comma may be part of a metric's name: the next key has a sign or a name that we know.
_NEXT_KEY = re.compile(
    rf",(?=\s*(?:[+-]|(?:{'|'.join(_SECTIONS)})\.|(?:{'|'.join(_COLUMNS)})\s*(?:,|$)))"
)

Sql = tuple[str, list[Any]]


def build_where(filters: dict[str, Any], depth: int = 0) -> Sql:
    """Return the condition for a filter, with its values.

    Raises:
        BadRequestError: An operator, a name or a value cannot be understood.
    """
    if not isinstance(filters, dict):
        raise BadRequestError(f"a filter is an object, got {filters!r}")
    if depth > MAX_DEPTH:
        raise BadRequestError(f"the filter is nested deeper than {MAX_DEPTH} levels")
    parts = [_build_entry(key, value, depth) for key, value in filters.items()]
    return _join(parts, "AND")


def build_order(order: str | None) -> Sql:
    """Return the ORDER BY terms for "+key" or "-key", several separated by commas."""
    terms: list[str] = []
    values: list[Any] = []
    for key in _NEXT_KEY.split(order or "+created_at"):
        direction = "DESC" if key.strip().startswith("-") else "ASC"
        name = key.strip().lstrip("+-")
        if not name:
            raise BadRequestError(f"{order!r} is no order: write +key or -key")
        sql, sql_values = _build_field(name)
        if sql.startswith("json_field("):
            sql = sql.replace("json_field(", "json_order(").removesuffix(")") + ", ?)"
            sql_values = [*sql_values, int(direction == "DESC")]
        terms.append(f"{sql} {direction} NULLS LAST")
        values += sql_values
    return ", ".join([*terms, "runs.id ASC"]), values


def _build_entry(key: str, value: Any, depth: int) -> Sql:
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, list):
            raise BadRequestError(f"{key} takes a list of filters, got {value!r}")
        joined, values = _join(
            [build_where(part, depth + 1) for part in value], "AND" if key == "$and" else "OR"
        )
        return (f"NOT {joined}" if key == "$nor" else joined), values
    if key == "$not":
        sql, values = build_where(value, depth + 1)
        return f"NOT coalesce({sql}, 0)", values
    if key.startswith("$"):
        raise BadRequestError(f"unknown operator {key!r} in a filter")
    if key == "tags" or key.startswith("tags."):
        return _build_tags(key.partition(".")[2] or value)
    field = _build_field(key)
    if isinstance(value, dict) and any(operator.startswith("$") for operator in value):
        parts = [_build_operator(field, operator, operand) for operator, operand in value.items()]
        return _join(parts, "AND")
    return _build_operator(field, "$eq", value)


def _build_field(name: str) -> Sql:
    section, _, rest = name.partition(".")
    if section in _SECTIONS and rest:
        column = _SECTIONS[section]
        paths = _list_paths(rest, in_config=section == "config")
        return f"json_field({column}, ?)", [json.dumps(paths)]
    column = _COLUMNS.get(name) or _COLUMNS.get(name.lower()) or ""
    if not column:
        known = ", ".join(sorted(_COLUMNS))
        raise BadRequestError(
            f"runs cannot be filtered or ordered by {name!r}: use config.NAME,"
            f" summary_metrics.NAME, tags, or one of {known}"
        )
    return column, []


def _list_paths(rest: str, *, in_config: bool) -> list[list[str]]:
    """Return the ways to read a dotted name: whole, or as keys of nested objects."""
    trimmed = rest.removesuffix(".value") if in_config else rest
    if in_config:
        first, *inner = trimmed.split(".")
        inner = inner[1:] if inner[:1] == ["value"] else inner
        return [[trimmed, "value"], [first, "value", *inner], [trimmed]]
    return [[trimmed], trimmed.split(".")]


def _build_operator(field: Sql, operator: str, operand: Any) -> Sql:  # noqa: PLR0911 - a table
    sql, values = field
    if sql in _TIMES:
        operand = _read_times(operand)
    if operator in ("$eq", "$ne"):
        same = "IS" if operator == "$eq" else "IS NOT"
        return f"{sql} {same} ?", [*values, _to_sql(operand)]
    if operator in _COMPARE:
        return f"{sql} {_COMPARE[operator]} ?", [*values, _to_sql(operand)]
    if operator in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise BadRequestError(f"{operator} takes a list, got {operand!r}")
        parts = [_build_operator(field, "$eq", item) for item in operand]
        joined, joined_values = _join(parts, "OR") if parts else ("0", [])
        return (joined if operator == "$in" else f"NOT {joined}"), joined_values
    if operator == "$regex":
        return f"text_matches(?, {sql})", [str(operand), *values]
    if operator == "$contains":
        return f"instr({sql}, ?) > 0", [*values, str(operand)]
    if operator == "$exists":
        return f"{sql} IS {'NOT ' if operand else ''}NULL", values
    if operator == "$not":
        inner = operand if isinstance(operand, dict) else {"$eq": operand}
        parts = [_build_operator(field, name, item) for name, item in inner.items()]
        joined, joined_values = _join(parts, "AND")
        return f"NOT coalesce({joined}, 0)", joined_values
    raise BadRequestError(f"unknown operator {operator!r} in a filter")


def _build_tags(value: Any) -> Sql:
    has = "EXISTS (SELECT 1 FROM json_each(runs.tags) WHERE json_each.value = ?)"
    if value is None:
        return "runs.tags = '[]'", []
    if isinstance(value, str):
        return has, [value]
    if isinstance(value, dict) and len(value) == 1:
        ((operator, operand),) = value.items()
        if operator == "$ne":
            return f"NOT {has}", [str(operand)]
        if operator in ("$in", "$nin", "$all") and isinstance(operand, list):
            parts: list[Sql] = [(has, [str(tag)]) for tag in operand]
            joined, values = _join(parts, "AND" if operator == "$all" else "OR")
            return (f"NOT {joined}" if operator == "$nin" else joined), values
    raise BadRequestError(f"tags are compared with a name, $in, $nin, $all or $ne, got {value!r}")


def _join(parts: list[Sql], word: str) -> Sql:
    if not parts:
        return "1", []
    sql = f" {word} ".join(f"({part})" for part, _ in parts)
    return f"({sql})", [value for _, values in parts for value in values]


def _read_times(operand: Any) -> Any:
    if isinstance(operand, str):
        return parse_time(operand)
    if isinstance(operand, list):
        return [_read_times(item) for item in operand]
    return operand


def _to_sql(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value) if isinstance(value, list | dict) else value
