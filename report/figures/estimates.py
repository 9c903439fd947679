"""Values with intervals as dots and bars: by plate, well, dose or foci, or controls and winner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import (
    Figure,
    build_layout,
    draw_level,
    escape_text,
    title_figure,
)

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


@dataclass(frozen=True)
class Measure:
    """What is measured, and whether it is written in per cent."""

    words: str
    percent: bool


ACCURACY: Final = Measure("accuracy", True)


def draw_estimates(
    dots: Sequence[Dot],
    title: str,
    levels: Sequence[Level] = (),
    name: str = "estimates",
    measure: Measure = ACCURACY,
    synthetic: bool = False,
) -> Figure:
    """Draw values with intervals, one under the other in the order given.

    Args:
        dots: The values.
        title: What they are.
        levels: Lines to compare with.
        name: Slug of the figure.
        measure: What is measured.
        synthetic: Whether the images are made.
    """
    full_title = title_figure(title, synthetic)
    trace = _draw_dots(dots, measure)
    layout = build_layout(
        full_title,
        150 + (34 if len(dots) <= _MOST_ROOMY else 20) * len(dots),
        xaxis={
            "title": {"text": measure.words},
            "tickformat": ".0%" if measure.percent else ".2f",
            "range": _find_span(dots, levels),
            "nticks": 6,
            "tickangle": 0,
        },
        yaxis={"type": "category", "autorange": "reversed", "dtick": 1},
        shapes=[],
        annotations=[],
    )
    layout["margin"]["t"] = 72 + 16 * max(0, len(levels) - 1)
    low, high = layout["xaxis"]["range"]
    for i, level in enumerate(levels):
        side = "right" if level.value > (low + high) / 2 else "left"
        drawn = draw_level(level.value, "x", level.text, side)
        drawn["annotations"][0]["yshift"] = 16 * i  # two near each other would overlap
        layout["shapes"] += drawn["shapes"]
        layout["annotations"] += drawn["annotations"]
    words = describe_estimates(dots, measure)
    return Figure(name, full_title, words, (trace,), layout, wide=len(dots) > _MOST_ROOMY)


def _find_span(dots: Sequence[Dot], levels: Sequence[Level]) -> list[float]:
    """Return an axis that holds all; plotly's own makes room for the writing instead."""
    values = [level.value for level in levels]
    for dot in dots:
        values += [value for value in (dot.value, dot.low, dot.high) if value is not None]
    room = 0.04 * (max(values) - min(values)) or 0.05
    return [min(values) - room, max(values) + room]


def _draw_dots(dots: Sequence[Dot], measure: Measure) -> dict[str, Any]:
    """Draw a dot with its bar for each value; the stressed one as a diamond."""
    return {
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
        "hovertemplate": f"%{{y}}: %{{x:{'.1%' if measure.percent else '.3f'}}}<extra></extra>",
    }


def _label(dot: Dot) -> str:
    name = escape_text(dot.name).replace(" (", "<br>(")
    return name + ("" if dot.n is None else f" (n {dot.n:,})")


def describe_estimates(dots: Sequence[Dot], measure: Measure = ACCURACY) -> str:
    """Say in words which is lowest and which is highest."""
    measured, percent = measure.words, measure.percent
    if not dots:
        return f"No {measured} is known here."
    if len(dots) <= 8:
        listed = ", ".join(f"{dot.name} {_write(dot, percent)}" for dot in dots)
        return f"{measured[0].upper()}{measured[1:]}: {listed}.".replace("%", " %")
    low, high = min(dots, key=lambda dot: dot.value), max(dots, key=lambda dot: dot.value)
    return (
        f"{measured[0].upper()}{measured[1:]} of {len(dots)} groups, from {low.name} "
        f"{_write(low, percent)} to {high.name} {_write(high, percent)}."
    ).replace("%", " %")


def _write(dot: Dot, percent: bool) -> str:
    if not percent:
        ends = "" if dot.low is None else f" ({dot.low:.2f} to {dot.high:.2f})"
        return f"{dot.value:.2f}{ends}"
    spread = "" if dot.low is None else f" ({100 * dot.low:.1f} to {dot.high:.1%})"
    return f"{dot.value:.1%}{spread}"
