"""What mattered: a bar a swept parameter, and how the top two act together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.figures import palette
from report.figures.figure import Figure, build_layout, escape_text, title_figure
from report.words import show


@dataclass(frozen=True)
class Bar:
    """The importance of one parameter.

    Args:
        name: The parameter, or two joined by " x ".
        value: Share of the metric's variance over the sweep that it explains, in [0, 1].
        low, high: Interval; None where there is none.
        sign: +1 where more of it is better, -1 where less is; 0 for neither.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    sign: int = 0


def draw_importance(
    bars: Sequence[Bar], metric: str = "accuracy", synthetic: bool = False
) -> Figure:
    """Draw importances, the largest on top, with their intervals."""
    title = title_figure(f"What mattered for {metric}", synthetic)
    ordered = sorted(bars, key=lambda bar: bar.value)
    known = [bar for bar in ordered if bar.low is not None and bar.high is not None]
    errors: dict[str, Any] = {}
    if known:
        errors["error_x"] = {
            "type": "data",
            "array": [(bar.high or bar.value) - bar.value for bar in ordered],
            "arrayminus": [
                bar.value - (bar.low or 0.0) if bar in known else 0.0 for bar in ordered
            ],
            "color": palette.GREY,
            "thickness": 2,
            "width": 5,
        }
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [bar.value for bar in ordered],
        "y": [_label(bar) for bar in ordered],
        "marker": {"color": palette.BLUE},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
        **errors,
    }
    layout = build_layout(
        title,
        150 + 46 * len(bars),
        xaxis={
            "title": {"text": "share of variance explained"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        yaxis={"type": "category", "showgrid": False},
    )
    return Figure("importance", title, describe_importance(bars, metric), (trace,), layout)


_SIGNS = {1: "more is better", -1: "less is better", 0: ""}


def _label(bar: Bar) -> str:
    sign = f"<br><i>{_SIGNS[bar.sign]}</i>" if bar.sign else ""
    return f"{escape_text(bar.name)}{sign}"


def describe_importance(bars: Sequence[Bar], metric: str = "accuracy") -> str:
    """Say in words which parameter mattered most, and how surely."""
    if not bars:
        return "Nothing was swept, so nothing can have mattered."
    first, *others = sorted(bars, key=lambda bar: -bar.value)
    words = f"{first.name} mattered most for {metric}: {_write(first)}"
    if others:
        words += "; then " + ", ".join(f"{bar.name} {_write(bar)}" for bar in others[:4])
    words += "."
    if others and first.low is not None and (others[0].high or 0.0) > first.low:
        words += (
            f" The intervals of {first.name} and {others[0].name} overlap: their order is open."
        )
    return words.replace("%", " %")


def _write(bar: Bar) -> str:
    spread = "" if bar.low is None else f" ({bar.low:.0%} to {bar.high:.0%})"
    sign = f", {_SIGNS[bar.sign]}" if bar.sign else ""
    return f"{bar.value:.0%}{spread}{sign}"


def draw_interaction(
    names: tuple[str, str],
    values: tuple[Sequence[Any], Sequence[Any]],
    means: Sequence[Sequence[float | None]],
    metric: str = "accuracy",
    synthetic: bool = False,
) -> Figure:
    """Draw the mean metric over two parameters' values.

    Args:
        names: The parameter of the rows and that of the columns.
        values: R values of the rows, C of the columns.
        means: (R, C) the metric, a share; None where no run has both values.
        metric: What it is called.
        synthetic: Whether the images are made.
    """
    title = title_figure("The two that mattered most", synthetic)
    labels = tuple([escape_text(show(value)) for value in side] for side in values)
    trace = {
        "type": "heatmap",
        "x": labels[1],
        "y": labels[0],
        "z": [list(row) for row in means],
        "text": [["" if mean is None else f"{mean:.1%}" for mean in row] for row in means],
        "texttemplate": "%{text}",
        "colorscale": palette.HEAT,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "colorbar": {"title": {"text": metric}, "tickformat": ".0%", "thickness": 12},
        "hovertemplate": "%{yaxis.title.text} %{y}, %{xaxis.title.text} %{x}: %{text}"
        "<extra></extra>",
    }
    layout = build_layout(
        title,
        200 + 48 * len(labels[0]),
        xaxis={"type": "category", "title": {"text": escape_text(names[1])}, "showgrid": False},
        yaxis={"type": "category", "title": {"text": escape_text(names[0])}, "showgrid": False},
    )
    words = describe_interaction(names, values, means, metric)
    return Figure("interaction", title, words, (trace,), layout)


def describe_interaction(
    names: tuple[str, str],
    values: tuple[Sequence[Any], Sequence[Any]],
    means: Sequence[Sequence[float | None]],
    metric: str = "accuracy",
) -> str:
    """Say in words where the two parameters together do best and worst."""
    cells = [
        (mean, values[0][r], values[1][c])
        for r, row in enumerate(means)
        for c, mean in enumerate(row)
        if mean is not None
    ]
    if not cells:
        return f"No run has a result for {names[0]} and {names[1]} yet."
    (worst, *low), (best, *high) = (
        min(cells, key=lambda cell: cell[0]),
        max(cells, key=lambda cell: cell[0]),
    )
    return (
        f"Mean {metric} by {names[0]} and {names[1]}: highest, {best:.1%}, at "
        f"{show(high[0])} and {show(high[1])}; lowest, {worst:.1%}, at "
        f"{show(low[0])} and {show(low[1])}."
    ).replace("%", " %")
