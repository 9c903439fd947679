"""The one number of a summary entry: `define_metric(summary="max")` makes it {"max": 3.0}."""

import math
from typing import Any

_HIGHEST_FIRST = ("best", "max", "last", "mean", "min", "first", "copy")
_LOWEST_FIRST = ("best", "min", "last", "mean", "max", "first", "copy")
# Texts that clients write for numbers that JSON does not have; no run is best by them.
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def pick_value(value: Any, *, largest: bool) -> Any:
    """Return the value of a summary of several kinds that counts for a goal; others as they are."""
    if isinstance(value, dict) and "_type" not in value:
        kinds = _HIGHEST_FIRST if largest else _LOWEST_FIRST
        return next((value[kind] for kind in kinds if kind in value), value)
    return value


def pick_orderable(value: Any, *, largest: bool) -> Any:
    """Return a value to sort by, None for one that is no result: no number, or not finite."""
    value = pick_value(value, largest=largest)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return None if value in NOT_FINITE else value
    return value if isinstance(value, int | float | None) else str(value)
