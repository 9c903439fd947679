"""What makes two configurations the same: equal values, however their numbers are written."""

import json
from collections.abc import Mapping
from typing import Any

_EXACT = 2.0**53
"""Whole numbers up to here are exact as floating point numbers."""


def normalize(value: Any) -> Any:
    """Return a value in the one form that equal values share: 1.0 and numpy's 1 are 1."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: normalize(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [normalize(inner) for inner in value]
    return value


def name_configuration(values: Any) -> str:
    """Return the identity of a configuration, or of one value: equal ones give equal text."""
    return json.dumps(normalize(values), sort_keys=True, separators=(",", ":"), default=str)
