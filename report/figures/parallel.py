"""Parallel coordinates: every configuration as a line through its settings to its result.

Drawn as plain lines on shared axes, not by plotly's own parallel coordinates: those need WebGL
and compiled code, which a printer, a strict Content-Security-Policy and many a remote desktop
lack.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import (
    Figure,
    Trace,
    build_layout,
    describe_settings,
    escape_text,
    join_lines,
    title_figure,
    write_target,
)
from bpsweep.report.statistics.scores import ACCURACY, Metric
from bpsweep.report.text.numbers import show, show_value

_MOST_TICKS: Final = 8
_LOG_RATIO: Final = 30.0
"""From this ratio of largest to smallest on, an axis of positive numbers is logarithmic."""
MISSING: Final = "none"


@dataclass(frozen=True)
class Axis:
    """One axis, its values scaled to the height of the figure.

    Args:
        name: The setting or metric.
        positions: One a line, in [0, 1]; None where the value is missing.
        ticks: Position in [0, 1] and text.
    """

    name: str
    positions: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]


def scale_axis(name: str, values: Sequence[Any], spec: str = "") -> Axis:
    """Scale the values of one axis.

    A few distinct values are spread evenly, in order; many numbers lie on a linear or logarithmic
    scale; many texts are spread evenly.

    Args:
        name: What it is.
        values: One a line; None where it is missing.
        spec: How numbers are written (".1%"), for a linear scale even of few; by default by kind.
    """
    known = [value for value in values if value is not None]
    numeric = all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in known
    )
    distinct = list({_key(value): value for value in known}.values())
    if numeric and (spec or len(distinct) > _MOST_TICKS):
        return _scale_numbers(name, [None if v is None else float(v) for v in values], spec)
    ordered = sorted(distinct) if numeric else sorted(distinct, key=str)
    place = {_key(value): _spread(i, len(ordered)) for i, value in enumerate(ordered)}
    every = max(1, math.ceil(len(ordered) / 12))  # more labels than that overlap
    return Axis(
        name=name,
        positions=tuple(None if value is None else place[_key(value)] for value in values),
        ticks=tuple((place[_key(value)], show(value)) for value in ordered[::every]),
    )


def _key(value: Any) -> tuple[str, Any]:
    """Tell values apart as their author does: 1 is 1.0, but not True."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", value
    return type(value).__name__, repr(value)


def _spread(index: int, n: int) -> float:
    return 0.5 if n < 2 else index / (n - 1)


def _scale_numbers(name: str, values: Sequence[float | None], spec: str) -> Axis:
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    log = not spec and low > 0 and high / low >= _LOG_RATIO

    def place(value: float) -> float:
        return math.log(value / low, high / low) if log else (value - low) / (high - low)

    marks = [low + (high - low) * i / 4 for i in range(5)]
    if log:
        marks = [low * (high / low) ** (i / 4) for i in range(5)]
    return Axis(
        name=name,
        positions=tuple(None if value is None else place(value) for value in values),
        ticks=tuple((place(mark), format(mark, spec or ".3g")) for mark in marks),
    )


def draw_parallel(
    settings: Sequence[Mapping[str, Any]],
    results: Sequence[float | None],
    metric: Metric = ACCURACY,
    target: float | None = None,
    synthetic: bool = False,
    best: int | None = None,
) -> Figure:
    """Draw one line a configuration through its settings to its result.

    `layout.meta` holds the axes (name, and a position in [0, 1] a line) for scripts that brush:
    axis number i stands at x = i.

    Args:
        settings: The swept values by name; the same names in each.
        results: The metric of each; None before the first epoch.
        metric: What they are of.
        target: Where to mark the last axis.
        synthetic: Whether the images are made.
        best: Number of the line to stress; by default that with the best result.
    """
    names = list(settings[0]) if settings else []
    axes = [scale_axis(name, [row.get(name) for row in settings]) for name in names]
    with_target = [*results, target] if target is not None else list(results)
    scaled = scale_axis(metric.words, with_target, ".1%" if metric is ACCURACY else ".3f")
    last = Axis(metric.words, scaled.positions[: len(results)], scaled.ticks)
    axes.append(last)
    best = _find_best(results, metric) if best is None else best
    title = title_figure(f"Settings and {metric.words}", synthetic)
    layout = build_layout(
        title,
        440,
        margin={"l": 40, "r": 48, "t": 92, "b": 16},
        xaxis={"visible": False, "range": [-0.25, len(axes) - 0.85], "fixedrange": True},
        yaxis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
        shapes=[_draw_axis(i) for i in range(len(axes))],
        annotations=[note for i, axis in enumerate(axes) for note in _label_axis(i, axis)],
        meta={"axes": [{"name": axis.name, "positions": list(axis.positions)} for axis in axes]},
    )
    if target is not None:
        position = scaled.positions[-1]
        layout["shapes"].append(_draw_mark(len(axes) - 1, position))
        layout["annotations"].append(
            _label_mark(len(axes) - 1, position, f"target {write_target(target, metric)}")
        )
    traces = [
        *_draw_lines(axes, best),
        _draw_ends(axes, settings, [_write(result, metric) for result in results]),
    ]
    words = describe_parallel(settings, results, metric, best)
    width = 75 * len(axes)
    return Figure("parallel", title, words, tuple(traces), layout, wide=True, min_width=width)


def _find_best(results: Sequence[float | None], metric: Metric) -> int | None:
    known = [i for i, value in enumerate(results) if value is not None]
    return max(known, key=lambda i: metric.rank(results[i] or 0.0), default=None)


def _write(result: float | None, metric: Metric) -> str:
    return "" if result is None else show_value(result, metric)


def _draw_lines(axes: Sequence[Axis], best: int | None) -> list[Trace]:
    """Draw the lines: one trace a colour, so that a thousand draw fast; the best on top."""
    n_lines = len(axes[-1].positions)
    groups: dict[int | None, list[int]] = {}
    for line in range(n_lines):
        position = axes[-1].positions[line]
        step = None if position is None else min(int(position * len(palette.RAMP)), 4)
        groups.setdefault(step, []).append(line)
    order = sorted(groups, key=lambda step: -1 if step is None else step)
    traces = [
        _draw_group(
            axes,
            groups[step],
            {"color": palette.GREY if step is None else palette.RAMP[step], "width": 1.5},
            f"step {step}",
        )
        for step in order
    ]
    if best is not None:
        traces.append(_draw_group(axes, [best], {"color": palette.BEST, "width": 4}, "best"))
    return traces


def _draw_group(
    axes: Sequence[Axis], lines: Sequence[int], line: Mapping[str, Any], name: str
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": join_lines([range(len(axes))] * len(lines)),
        "y": join_lines([[axis.positions[i] for axis in axes] for i in lines]),
        "line": dict(line),
        "opacity": 0.85,
        "connectgaps": False,
        "hoverinfo": "skip",
    }


def _draw_ends(
    axes: Sequence[Axis], settings: Sequence[Mapping[str, Any]], results: Sequence[str]
) -> Trace:
    """Draw a dot where each line ends; on hovering it names the line."""
    shown = [i for i, value in enumerate(results) if value]
    positions = [axes[-1].positions[i] or 0.0 for i in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "configurations",
        "x": [len(axes) - 1] * len(shown),
        "y": positions,
        "marker": {
            "size": 7,
            "color": [palette.RAMP[min(int(position * 5), 4)] for position in positions],
        },
        "text": [
            "<br>".join(
                [
                    *(f"{escape_text(name)} {escape_text(v)}" for name, v in settings[i].items()),
                    results[i],
                ]
            )
            for i in shown
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _draw_axis(index: int) -> dict[str, Any]:
    ends = {"x0": index, "x1": index, "y0": 0, "y1": 1}
    return {"type": "line", "xref": "x", "yref": "y", "layer": "below", **ends}


def _label_axis(index: int, axis: Axis) -> list[dict[str, Any]]:
    title = {
        "x": index,
        "y": 1,
        "yshift": 14,
        "text": f"<b>{escape_text(axis.name).replace('_', '_<br>')}</b>",
        "showarrow": False,
        "yanchor": "bottom",
    }
    ticks = [
        {
            "x": index,
            "y": position,
            "xshift": -5,
            "text": escape_text(text),
            "showarrow": False,
            "xanchor": "right",
            "font": {"size": 11},
        }
        for position, text in axis.ticks
    ]
    return [title, *ticks]


def _draw_mark(index: int, position: float | None) -> dict[str, Any]:
    ends = {"x0": index - 0.08, "x1": index + 0.08, "y0": position, "y1": position}
    return {"type": "line", "xref": "x", "yref": "y", "line": {"width": 3}, **ends}


def _label_mark(index: int, position: float | None, text: str) -> dict[str, Any]:
    return {
        "x": index,
        "y": position,
        "xshift": 8,
        "text": text.replace(" ", "<br>", 1),
        "showarrow": False,
        "xanchor": "left",
        "align": "left",
        "font": {"size": 11},
    }


def describe_parallel(
    settings: Sequence[Mapping[str, Any]],
    results: Sequence[float | None],
    metric: Metric,
    best: int | None,
) -> str:
    """Say in words what the lines show."""
    known = [value for value in results if value is not None]
    if best is None:
        return "No configuration has a result yet."
    return (
        f"One line a configuration, {len(known)} with a result, through its settings to its "
        f"{metric.words}, which runs from {show_value(min(known), metric)} to "
        f"{show_value(max(known), metric)}. "
        f"The thick line is the best: {describe_settings(settings[best]) or 'the only one'}, "
        f"{_write(results[best], metric)}."
    )
