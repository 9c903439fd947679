"""Runs GraphQL operations against our schema, within limits, with errors the client can show."""

import json
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ariadne import load_schema_from_path, make_executable_schema
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
    get_named_type,
    parse,
    type_from_ast,
    validate,
)

from bpsweep.server.errors import BadRequestError, ServerError
from bpsweep.server.graphql import (
    artifact_drafts,
    artifact_fields,
    artifacts,
    charts,
    collection_fields,
    collections,
    files,
    projects,
    run_fields,
    runs,
    scalars,
    schedulers,
    sweeps,
    viewer,
)
from bpsweep.server.graphql.common import Operation

logger = logging.getLogger(__name__)

SCHEMA_FILE = Path(__file__).parent.parent / "schema.graphql"
MAX_QUERY = 100_000
MAX_TOKENS = 5_000
MAX_DEPTH = 20
MAX_FIELDS = 2_000
_MODULES = (
    artifact_drafts,
    artifact_fields,
    artifacts,
    charts,
    collection_fields,
    collections,
    files,
    projects,
    run_fields,
    runs,
    scalars,
    schedulers,
    sweeps,
    viewer,
)

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

Answer = tuple[int, dict[str, Any]]


@lru_cache(maxsize=1)
def build_schema() -> GraphQLSchema:
    """Return the executable schema."""
    bindables = [bindable for module in _MODULES for bindable in module.TYPES]
    return make_executable_schema(
        load_schema_from_path(str(SCHEMA_FILE)), *bindables, convert_names_case=_to_snake_case
    )


def _to_snake_case(name: str, *_: Any) -> str:
    """Return a GraphQL name as a column name; unlike ariadne's own, "md5" stays "md5"."""
    return _WORD_START.sub("_", name).lower()


def execute(operation: Operation, body: dict[str, Any]) -> Answer:
    """Run one operation and return the HTTP status and the answer.

    A document that cannot be understood is 400; an error in a mutation has its own status, since
    the client acts on it (an agent leaves a sweep that is gone when told 404).
    """
    try:
        document = load_document(*_read_request(body))
    except (BadRequestError, GraphQLError) as problem:
        return 400, {"errors": [_format_error(problem)]}
    result = execute_sync(
        build_schema(),
        document,
        context_value=operation,
        variable_values=drop_unknown_fields(document, body.get("variables") or {}),
        operation_name=body.get("operationName") or None,
    )
    if not result.errors:
        return 200, {"data": result.data}
    for error in result.errors:
        if error.original_error is not None and not isinstance(
            error.original_error, ServerError | GraphQLError
        ):
            logger.error("a resolver failed", exc_info=error.original_error)
    statuses = [_find_status(error) for error in result.errors]
    answer = {"data": result.data, "errors": [_format_error(error) for error in result.errors]}
    return max(statuses), answer


def _read_request(body: dict[str, Any]) -> tuple[str, str | None]:
    query, variables, name = body.get("query"), body.get("variables"), body.get("operationName")
    if not isinstance(query, str):
        raise BadRequestError(f"'query' is a GraphQL text, got {type(query).__name__}")
    if len(query) > MAX_QUERY:
        raise BadRequestError(f"a query has at most {MAX_QUERY:,} characters, got {len(query):,}")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequestError(f"'variables' is an object, got {type(variables).__name__}")
    if name is not None and not isinstance(name, str):
        raise BadRequestError(f"'operationName' is a text, got {type(name).__name__}")
    return query, name


@lru_cache(maxsize=512)
def load_document(query: str, _: str | None = None) -> DocumentNode:
    """Return a parsed and validated document; the client sends the same few again and again.

    Raises:
        GraphQLError: It is no GraphQL, or asks for what the schema does not have.
        BadRequestError: It is beyond the limits.
    """
    document = parse(query, max_tokens=MAX_TOKENS)
    errors = validate(build_schema(), document, max_errors=10)
    if errors:
        raise errors[0]
    _check_size(document)
    return document


def drop_unknown_fields(document: DocumentNode, variables: dict[str, Any]) -> dict[str, Any]:
    """Return variables without the input fields that our schema lacks.

    Every version of the client sends some new optional field, as null, in the inputs it knows.
    """
    types = {
        node.variable.name.value: type_from_ast(build_schema(), node.type)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for node in definition.variable_definitions or ()
    }
    return {name: _prune(value, types.get(name)) for name, value in variables.items()}


def _prune(value: Any, expected: Any) -> Any:
    if isinstance(value, list):
        return [_prune(item, expected) for item in value]
    named = get_named_type(expected) if expected is not None else None
    if isinstance(value, dict) and isinstance(named, GraphQLInputObjectType):
        return {
            key: _prune(inner, named.fields[key].type)
            for key, inner in value.items()
            if key in named.fields
        }
    return value


def _check_size(document: DocumentNode) -> None:
    """Refuse documents that are too deep or, their fragments unfolded, too wide."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    budget = [MAX_FIELDS]

    def walk(selections: SelectionSetNode | None, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadRequestError(f"the query is nested deeper than {MAX_DEPTH} levels")
        for node in selections.selections if selections else ():
            budget[0] -= 1
            if budget[0] < 0:
                raise BadRequestError(f"the query asks for more than {MAX_FIELDS:,} fields")
            if isinstance(node, FragmentSpreadNode):
                walk(fragments[node.name.value].selection_set, depth + 1)
            elif isinstance(node, FieldNode):
                walk(node.selection_set, depth + 1)
            else:
                walk(getattr(node, "selection_set", None), depth + 1)

    for definition in document.definitions:
        if not isinstance(definition, FragmentDefinitionNode):
            walk(getattr(definition, "selection_set", None), 0)


def _find_status(error: GraphQLError) -> int:
    cause = error.original_error
    if isinstance(cause, ServerError):
        return cause.status
    return 400


def _format_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, GraphQLError):
        cause = error.original_error
        if cause is not None and not isinstance(cause, ServerError | GraphQLError):
            return {"message": "the server could not work this out; its log says more"}
        formatted: dict[str, Any] = json.loads(json.dumps(error.formatted, default=str))
        return formatted
    return {"message": str(error)}
