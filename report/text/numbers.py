"""How values, settings and shares are written in tables, sentences, figures and logs."""

from collections.abc import Mapping
from typing import Any, Final

from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, Metric

_SURE: Final = 0.99


def list_values(values: Mapping[str, Any]) -> str:
    """List settings: "batch_size 16, model lenet5"."""
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def name_share(share: float) -> str:
    """Write a share as people do: "80 %", "99.5 %"."""
    return f"{100 * share:.4g} %"


def show_chance(probability: float) -> str:
    """Write a probability for a table, without claiming certainty: "97%", ">99%", "<1%"."""
    if probability > _SURE:
        return f">{_SURE:.0%}"
    return f"<{1 - _SURE:.0%}" if probability < 1 - _SURE else f"{probability:.0%}"


def name_chance(probability: float) -> str:
    """Write a probability for a sentence, as `show_chance`: "97 %", "above 99 %", "below 1 %"."""
    shown = show_chance(probability).replace("%", " %")
    return shown.replace(">", "above ").replace("<", "below ")


def show_value(value: float, metric: Metric) -> str:
    """Write a metric's value: accuracy in per cent, the others as they are."""
    return f"{value:.1%}" if metric is ACCURACY else f"{value:.3f}"


def show_spread(spread: float, metric: Metric) -> str:
    """Write a standard deviation, which is small, with a digit more than a value."""
    return f"{spread:.2%}" if metric is ACCURACY else f"{spread:.4f}"


def show_ends(interval: Interval, metric: Metric) -> tuple[str, str]:
    """Write an interval's ends as the values are, without the sign of per cent."""
    low, high = (show_value(end, metric).removesuffix("%") for end in (interval.low, interval.high))
    return low, high


def show(value: Any) -> str:
    """Write a setting as its author would: 0.0003, not 0.00030000000000000003."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
