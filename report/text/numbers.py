"""How values, settings and shares are written in tables, sentences, figures and logs."""

from collections.abc import Mapping
from typing import Any

from bpsweep.report.statistics.scores import ACCURACY, Metric


def list_values(values: Mapping[str, Any]) -> str:
    """List settings: "batch_size 16, model lenet5"."""
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def name_share(share: float) -> str:
    """Write a share as people do: "80 %", "99.5 %"."""
    return f"{100 * share:.4g} %"


def name_chance(probability: float) -> str:
    """Write a probability without claiming certainty: "97 %", "above 99 %", "below 1 %"."""
    if probability > 0.99:
        return "above 99 %"
    return "below 1 %" if probability < 0.01 else f"{probability:.0%}".replace("%", " %")


def show_value(value: float, metric: Metric, digits: int = 1) -> str:
    """Write a metric's value: accuracy in per cent, the others as they are."""
    return f"{value:.{digits}%}" if metric is ACCURACY else f"{value:.{digits + 2}f}"


def show(value: Any) -> str:
    """Write a setting as its author would: 0.0003, not 0.00030000000000000003."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
