"""Confusion matrices: which conditions are taken for which."""

from typing import Any

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import Figure, build_layout, escape_text, title_figure
from bpsweep.report.statistics.confusion import Confusion


def draw_confusion(
    confusion: Confusion,
    of: str = "",
    synthetic: bool = False,
    name: str = "confusion",
    title: str = "True against predicted",
) -> Figure:
    """Draw true conditions (rows) against predicted ones: the share of each row, and the count.

    Args:
        confusion: The counts.
        of: Whose it is, "best configuration" say.
        synthetic: Whether the images are made.
        name: Slug of the figure, where a page has several.
        title: Its title.
    """
    full_title = title_figure(title, synthetic)
    counts = confusion.counts
    totals = counts.sum(axis=1, keepdims=True).clip(min=1)
    shares = counts / totals
    texts = [
        [f"{share:.0%}<br>{count:,}" for share, count in zip(*row, strict=True)]
        for row in zip(shares.tolist(), counts.tolist(), strict=True)
    ]
    trace = {
        "type": "heatmap",
        "z": [[round(share, 4) for share in row] for row in shares.tolist()],
        "x": [_label(column) for column in confusion.columns],
        "y": [_label(row) for row in confusion.rows],
        "text": texts,
        "texttemplate": "%{text}",
        "colorscale": palette.HEAT,
        "zmin": 0,
        "zmax": 1,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "true %{y}, predicted %{x}: %{text}<extra></extra>",
        "showscale": False,
    }
    axis: dict[str, Any] = {"type": "category", "showgrid": False}
    layout = build_layout(
        full_title,
        180 + 68 * len(confusion.rows),
        xaxis={**axis, "title": {"text": "predicted"}, "tickangle": 0, "tickfont": {"size": 11}},
        yaxis={**axis, "title": {"text": "true"}, "autorange": "reversed"},
    )
    words, width = describe_confusion(confusion, of), 110 + 50 * len(confusion.columns)
    return Figure(name, full_title, words, (trace,), layout, min_width=width)


def _label(condition: str) -> str:
    return escape_text(condition).replace(", ", "<br>")


def describe_confusion(confusion: Confusion, of: str = "") -> str:
    """Say in words how often each condition is right, and what the commonest mistake is."""
    counts = confusion.counts
    totals = counts.sum(axis=1)
    right = [
        f"{name} {counts[i, i] / totals[i]:.0%}"
        for i, name in enumerate(confusion.rows)
        if totals[i]
    ]
    who = f"{of[0].upper()}{of[1:]}: share" if of else "Share"
    words = f"{who} of each condition's cells that is right: {'; '.join(right)}."
    wrong = counts.copy()
    wrong[range(len(wrong)), range(len(wrong))] = 0
    if wrong.any():
        row, column = divmod(int(wrong.argmax()), wrong.shape[1])
        words += (
            f" The commonest mistake is {confusion.rows[row]} taken for "
            f"{confusion.columns[column]}: {wrong[row, column]:,} of {totals[row]:,} cells."
        )
    return words.replace("%", " %")
