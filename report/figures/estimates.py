"""Values with intervals as dots and bars: by plate, well, dose or foci, or controls and winner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from report.figures import palette
from report.figures.figure import Figure, build_layout, draw_level, escape_text, title_figure

_MOST_ROOMY: Final = 12
"""More dots than these stand closer and want a page's width."""


@dataclass(frozen=True)
class Dot:
    """One value with its interval.

    Args:
        name: What it is of.
        value: A share in [0, 1].
        low, high: Its interval; None where there is none.
        n: Number of cells; None where it does not matter.
        stressed: Whether it is the one that the others are compared with.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    stressed: bool = False


@dataclass(frozen=True)
class Level:
    """A line to compare with: its value, and what it is, "target 80 %" say."""

    value: float
    text: str


def draw_estimates(
    dots: Sequence[Dot],
    title: str,
    levels: Sequence[Level] = (),
    name: str = "estimates",
    x_title: str = "accuracy",
    synthetic: bool = False,
) -> Figure:
    """Draw values with intervals, one under the other in the order given.

    Args:
        dots: The values.
        title: What they are.
        levels: Lines to compare with.
        name: Slug of the figure.
        x_title: What is measured.
        synthetic: Whether the images are made.
    """
    full_title = title_figure(title, synthetic)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [dot.value for dot in dots],
        "y": [_label(dot) for dot in dots],
        "marker": {
            "size": [12 if dot.stressed else 10 for dot in dots],
            "symbol": ["diamond" if dot.stressed else "circle" for dot in dots],
            "color": [palette.BEST if dot.stressed else palette.BLUE for dot in dots],
        },
        "error_x": {
            "type": "data",
            "array": [0.0 if dot.high is None else dot.high - dot.value for dot in dots],
            "arrayminus": [0.0 if dot.low is None else dot.value - dot.low for dot in dots],
            "color": palette.GREY,
            "thickness": 2,
            "width": 5,
        },
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = build_layout(
        full_title,
        150 + (34 if len(dots) <= _MOST_ROOMY else 20) * len(dots),
        xaxis={"title": {"text": x_title}, "tickformat": ".0%", "range": _find_span(dots, levels)},
        yaxis={"type": "category", "autorange": "reversed"},
        shapes=[],
        annotations=[],
    )
    layout["margin"]["t"] = 72 + 16 * max(0, len(levels) - 1)
    for i, level in enumerate(levels):
        drawn = draw_level(level.value, "x", level.text)
        drawn["annotations"][0]["yshift"] = 16 * i  # two near each other would overlap
        layout["shapes"] += drawn["shapes"]
        layout["annotations"] += drawn["annotations"]
    words = describe_estimates(dots, x_title)
    return Figure(name, full_title, words, (trace,), layout, wide=len(dots) > _MOST_ROOMY)


def _find_span(dots: Sequence[Dot], levels: Sequence[Level]) -> list[float]:
    """Return an axis that holds all; plotly's own makes room for the writing instead."""
    values = [level.value for level in levels]
    for dot in dots:
        values += [value for value in (dot.value, dot.low, dot.high) if value is not None]
    room = 0.04 * (max(values) - min(values)) or 0.05
    return [min(values) - room, max(values) + room]


def _label(dot: Dot) -> str:
    name = escape_text(dot.name).replace(" (", "<br>(")
    return name + ("" if dot.n is None else f" (n {dot.n:,})")


def describe_estimates(dots: Sequence[Dot], measured: str = "accuracy") -> str:
    """Say in words which is lowest and which is highest."""
    if not dots:
        return f"No {measured} is known here."
    if len(dots) <= 8:
        listed = ", ".join(f"{dot.name} {_write(dot)}" for dot in dots)
        return f"{measured[0].upper()}{measured[1:]}: {listed}.".replace("%", " %")
    low, high = min(dots, key=lambda dot: dot.value), max(dots, key=lambda dot: dot.value)
    return (
        f"{measured[0].upper()}{measured[1:]} of {len(dots)} groups, from {low.name} "
        f"{_write(low)} to {high.name} {_write(high)}."
    ).replace("%", " %")


def _write(dot: Dot) -> str:
    spread = "" if dot.low is None else f" ({100 * dot.low:.1f} to {dot.high:.1%})"
    return f"{dot.value:.1%}{spread}"
