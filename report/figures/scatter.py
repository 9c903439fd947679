"""A scatter of any two columns of the table of configurations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scipy.stats import spearmanr

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import (
    Figure,
    build_layout,
    draw_level,
    escape_text,
    title_figure,
)
from bpsweep.report.text.numbers import name_share, show

_LOG_RATIO: Final = 30.0


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Args:
        name: Its header.
        values: One a configuration; None where it has none.
        unit: "s" say, or "%" for shares in [0, 1], written in per cent; empty for settings.
        low, high: Interval of each value; empty where there is none.
    """

    name: str
    values: tuple[Any, ...]
    unit: str = ""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()

    @property
    def title(self) -> str:
        """Its name and unit, as an axis has it."""
        name = escape_text(self.name)
        return f"{name} ({self.unit})" if self.unit and self.unit != "%" else name


def draw_scatter(
    x: Column,
    y: Column,
    names: Sequence[str],
    best: int | None = None,
    target: float | None = None,
    synthetic: bool = False,
) -> Figure:
    """Draw y over x, one dot a configuration.

    Args:
        x: The one across.
        y: The one upwards, equally long.
        names: What each dot says on hovering.
        best: Number of the configuration to stress.
        target: Where to draw a dashed line on y.
        synthetic: Whether the images are made.
    """
    title = title_figure(f"{y.name[0].upper()}{y.name[1:]} against {x.name}", synthetic)
    shown = [i for i in range(len(names)) if x.values[i] is not None and y.values[i] is not None]
    marker = {
        "size": [13 if i == best else 9 for i in shown],
        "color": [palette.BEST if i == best else palette.BLUE for i in shown],
        "symbol": ["star" if i == best else "circle" for i in shown],
        "opacity": 0.85,
    }
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [x.values[i] for i in shown],
        "y": [y.values[i] for i in shown],
        "text": [escape_text(names[i]) for i in shown],
        "marker": marker,
        "hovertemplate": "%{text}<br>%{x}, %{y}<extra></extra>",
        **_draw_errors(y, shown),
    }
    layout = build_layout(title, 360, xaxis=_build_axis(x), yaxis=_build_axis(y))
    if target is not None:
        layout |= draw_level(
            target, "y", f"target {name_share(target) if y.unit == '%' else show(target)}"
        )
    return Figure("scatter", title, describe_scatter(x, y), (trace,), layout, wide=True)


def _draw_errors(y: Column, shown: Sequence[int]) -> dict[str, Any]:
    if not y.low or not y.high:
        return {}
    up = [(y.high[i] or y.values[i]) - y.values[i] for i in shown]
    down = [y.values[i] - (y.low[i] or y.values[i]) for i in shown]
    style = {"thickness": 1, "width": 2, "color": palette.GREY}
    return {"error_y": {"type": "data", "array": up, "arrayminus": down, **style}}


def _build_axis(column: Column) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": column.title}}
    known = [value for value in column.values if value is not None]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return {**axis, "type": "category"}
    if column.unit == "%":
        return {**axis, "tickformat": ".0%"}
    if known and min(known) > 0 and max(known) / min(known) >= _LOG_RATIO:
        return {**axis, "type": "log", "dtick": 1, "tickformat": "~g"}
    distinct = sorted(set(known))
    if len(distinct) <= 6:
        return {**axis, "tickvals": distinct, "ticktext": [show(value) for value in distinct]}
    return axis


def describe_scatter(x: Column, y: Column) -> str:
    """Say in words how y goes with x: by Spearman's rank correlation where both are numbers."""
    pairs = [
        (a, b) for a, b in zip(x.values, y.values, strict=True) if a is not None and b is not None
    ]
    words = f"{y.name[0].upper()}{y.name[1:]} of {len(pairs)} configurations against {x.name}."
    numeric = all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for pair in pairs
        for value in pair
    )
    if not numeric or len({a for a, _ in pairs}) < 2 or len({b for _, b in pairs}) < 2:
        return words
    rho = float(spearmanr([a for a, _ in pairs], [b for _, b in pairs]).statistic)
    way = "hardly goes with" if abs(rho) < 0.2 else "rises with" if rho > 0 else "falls with"
    return f"{words} It {way} it (Spearman's rank correlation {rho:+.2f})."
