"""JSON as clients send and read it: parsed with a clear error, and made strict for answers."""

import json
import math
from typing import Any

from server.errors import BadRequestError


def parse_json(text: str | None, name: str, kind: type) -> Any:
    """Return the content of a JSON text, checked; nothing counts as an empty one.

    Raises:
        BadRequestError: It is no JSON or not of this kind.
    """
    if not text:
        return kind()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
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
