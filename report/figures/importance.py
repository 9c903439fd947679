"""What mattered: a bar a swept setting, and how the top two act together."""

import math
from collections.abc import Sequence
from typing import Any

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import Figure, build_layout, escape_text, title_figure
from bpsweep.report.statistics.importance import Factor, Importance, Interaction
from bpsweep.report.statistics.scores import METRICS
from bpsweep.report.text.numbers import name_share, show, show_value


def draw_importance(importance: Importance, synthetic: bool = False) -> Figure:
    """Draw the share of each setting, the largest on top, and its interval."""
    words = METRICS[importance.metric].words
    title = title_figure(f"What mattered for {words}", synthetic)
    ordered = list(reversed(importance.factors))
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "share",
        "x": [factor.share for factor in ordered],
        "y": [_label(factor) for factor in ordered],
        "marker": {"color": palette.BLUE},
        "error_x": {
            "type": "data",
            "array": [factor.interval.high - factor.share for factor in ordered],
            "arrayminus": [factor.share - factor.interval.low for factor in ordered],
            "color": palette.GREY,
            "thickness": 2,
            "width": 5,
        },
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    layout = build_layout(
        title,
        130 + 52 * len(ordered),
        xaxis={
            "title": {"text": "share of the variance"},
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
        yaxis={"type": "category", "showgrid": False},
    )
    return Figure("importance", title, describe_importance(importance), (bars,), layout)


def _label(factor: Factor) -> str:
    name = escape_text(factor.name)
    return name if factor.direction is None else f"{name}<br><i>{factor.direction}</i>"


def describe_importance(importance: Importance) -> str:
    """Say in words which settings mattered, and how surely."""
    words = METRICS[importance.metric].words
    first, *others = importance.factors
    shares = "; ".join(_describe_factor(factor) for factor in (first, *others[:4]))
    text = f"Share of the variance of {words} over {importance.n_runs} runs: {shares}."
    if importance.explained <= 0:
        text += " None of them foretells runs held out: it may all be chance."
    elif others and others[0].interval.high > first.interval.low:
        text += (
            f" The intervals of {first.name} and {others[0].name} overlap; {first.name} mattered "
            f"most in {first.first:.0%} of resamplings."
        )
    if importance.explained > 0:
        text += f" Together they foretell {importance.explained:.0%} of it for runs held out."
    return text.replace("%", " %")


def _describe_factor(factor: Factor) -> str:
    ends = factor.interval
    text = f"{factor.name} {factor.share:.0%} ({ends.low:.0%} to {ends.high:.0%})"
    if factor.direction in ("higher is better", "higher is worse"):
        text += f", {factor.direction}"
    return text


def draw_interaction(interaction: Interaction, metric: str, synthetic: bool = False) -> Figure:
    """Draw the mean metric over the values of two settings.

    Args:
        interaction: The two settings.
        metric: Name of the metric.
        synthetic: Whether the images are made.
    """
    title = title_figure("The two that mattered most", synthetic)
    means = interaction.means.tolist()
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": [_break_range(value) for value in interaction.column_values],
        "y": [escape_text(value) for value in interaction.row_values],
        "z": [[None if math.isnan(mean) else mean for mean in row] for row in means],
        "text": [
            ["" if math.isnan(mean) else show_value(mean, METRICS[metric]) for mean in row]
            for row in means
        ],
        "texttemplate": "%{text}",
        "colorscale": palette.HEAT,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "showscale": False,
        "hovertemplate": "%{yaxis.title.text} %{y}, %{xaxis.title.text} %{x}: %{text}"
        "<extra></extra>",
    }
    axis: dict[str, Any] = {"type": "category", "showgrid": False}
    layout = build_layout(
        title,
        200 + 48 * len(interaction.row_values),
        xaxis={**axis, "title": {"text": escape_text(interaction.columns)}},
        yaxis={**axis, "title": {"text": escape_text(interaction.rows)}},
    )
    return Figure("interaction", title, describe_interaction(interaction, metric), (trace,), layout)


def _break_range(value: str) -> str:
    return escape_text(value).replace(" to ", "<br>to ")


def describe_interaction(interaction: Interaction, metric: str) -> str:
    """Say in words where the two settings together do best and worst."""
    cells = [
        (mean, interaction.row_values[r], interaction.column_values[c])
        for r, row in enumerate(interaction.means.tolist())
        for c, mean in enumerate(row)
        if not math.isnan(mean)
    ]
    rows, columns = interaction.rows, interaction.columns
    measured = METRICS[metric]
    (high, *at_high), (low, *at_low) = max(cells), min(cells)
    return (
        f"Mean {measured.words} by {rows} and {columns}: highest, {show_value(high, measured)}, "
        f"at {_name(interaction, at_high)}; lowest, {show_value(low, measured)}, "
        f"at {_name(interaction, at_low)}. {name_share(round(interaction.share, 2))} of the "
        "variance is explained by the two only together."
    )


def _name(interaction: Interaction, values: Sequence[Any]) -> str:
    return f"{interaction.rows} {show(values[0])} and {interaction.columns} {show(values[1])}"
