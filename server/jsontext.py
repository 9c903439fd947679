"""JSON as clients send and read it: parsed with a clear error, and made strict for answers."""

import json
import math
from typing import Any

from bpsweep.server.errors import BadRequestError

# Deeper texts could be stored, and then break everything of ours that walks through them.
MAX_DEPTH = 100


def load_json(text: str | bytes) -> Any:
    """Return the content of a JSON text of bounded depth.

    Raises:
        ValueError: It is no JSON, or nested deeper.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from error
    marks: tuple[Any, Any] = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if text.count(marks[0]) + text.count(marks[1]) > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    return bool(level)


def parse_json(text: str | None, name: str, kind: type) -> Any:
    """Return the content of a JSON text, checked; nothing counts as an empty one.

    Raises:
        BadRequestError: It is no JSON or not of this kind.
    """
    if not text:
        return kind()
    try:
        value = load_json(text)
    except ValueError as error:
        raise BadRequestError(f"{name} is not JSON: {error}") from error
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise BadRequestError(f"{name} is a JSON {kind.__name__}, got {type(value).__name__}")
    return value


def make_strict(value: Any) -> Any:
    """Return a value as strict JSON can hold it: NaN and infinities as W&B's texts for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: make_strict(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [make_strict(inner) for inner in value]
    return value
