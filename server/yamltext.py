"""YAML as clients send it, bounded: a short text can stand for more than any memory holds."""

import math
from collections.abc import Iterator
from typing import Any

import yaml

from bpsweep.server.errors import BadRequestError

MAX_TEXT = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 40
MAX_NUMBER = 2**62
_N_SHOWN = 5

_Size = tuple[int, int]


def load_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text of bounded size that JSON can hold too.

    Raises:
        BadRequestError: It is no YAML, too long, nested too deep, refers to itself, or holds what
            JSON does not have: dates, numbers that are not finite, names that are not texts.
    """
    if len(text) > MAX_TEXT:
        raise BadRequestError(f"{name} has at most {MAX_TEXT:,} characters, got {len(text):,}")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _measure(node, name, {})
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise BadRequestError(f"{name} is not YAML: {error}") from error
    except RecursionError as error:
        raise BadRequestError(f"{name} is nested deeper than {MAX_DEPTH} levels") from error
    except (ValueError, TypeError, OverflowError) as error:  # a date of month 13, say
        raise BadRequestError(f"{name} holds a value that cannot be: {error}") from error
    odd = list(_find_odd_values(value, ""))
    if odd:
        raise BadRequestError(f"{name} holds what no run can be given: {'; '.join(odd[:_N_SHOWN])}")
    return value


def _find_odd_values(value: Any, path: str) -> Iterator[str]:
    """Say of each value that JSON does not have where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                yield f"{place} has a name that is not a text ({type(key).__name__}), quote it"
            yield from _find_odd_values(inner, place)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _find_odd_values(inner, f"{path}[{number}]")
    elif isinstance(value, int | float):
        if abs(value) >= MAX_NUMBER if isinstance(value, int) else not math.isfinite(value):
            yield f"{path} is {str(value)[:30]}: a number is finite and whole ones are below 2^62"
    elif value is not None and not isinstance(value, str):
        yield f"{path} is a {type(value).__name__}, quote it to have a text"


def _measure(node: Any, name: str, known: dict[int, _Size | None]) -> _Size:
    """Return how many nodes a node stands for and how deep it is, its aliases unfolded.

    Raises:
        BadRequestError: It is beyond the limits.
    """
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise BadRequestError(f"{name} has an alias that refers to itself")
        return size
    known[id(node)] = None
    inner: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    sizes = [_measure(part, name, known) for part in inner]
    count = 1 + sum(size[0] for size in sizes)
    depth = 1 + max((size[1] for size in sizes), default=0)
    if count > MAX_NODES:
        raise BadRequestError(f"{name} stands for more than {MAX_NODES:,} values")
    if depth > MAX_DEPTH:
        raise BadRequestError(f"{name} is nested deeper than {MAX_DEPTH} levels")
    known[id(node)] = (count, depth)
    return count, depth
