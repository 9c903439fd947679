"""Our scalars: what a client may send as JSON text or as a whole number of 64 bits."""

from typing import Any

from ariadne import ScalarType
from graphql import GraphQLError

json_string = ScalarType("JSONString")
int64 = ScalarType("Int64")


@json_string.value_parser
def parse_json_string(value: Any) -> str:
    """Return a text; whoever uses it parses it."""
    if not isinstance(value, str):
        raise GraphQLError(f"a JSONString is a text, got {type(value).__name__}")
    return value


@int64.value_parser
def parse_int64(value: Any) -> int:
    """Return a whole number; the client's JSON may write it as a float."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not -(2**63) <= value < 2**63:
        raise GraphQLError("an Int64 is a whole number of 64 bits")
    return int(value)


TYPES = (json_string, int64)
