"""Calibration: whether cells given 80 % are right in 80 of 100 cases."""

from collections.abc import Sequence
from dataclasses import dataclass

from report.figures import palette
from report.figures.figure import Figure, build_layout, title_figure


@dataclass(frozen=True)
class Bin:
    """Cells whose confidence is about the same.

    Args:
        confidence: Their mean confidence, in [0, 1].
        right: Share of them that is right.
        n: How many.
        low, high: Interval of `right`; None where there is none.
    """

    confidence: float
    right: float
    n: int
    low: float | None = None
    high: float | None = None


def draw_reliability(bins: Sequence[Bin], ece: float | None, synthetic: bool = False) -> Figure:
    """Draw how often cells are right against how sure the network is.

    Args:
        bins: Cells by confidence; empty ones are left out.
        ece: Expected calibration error, a share.
        synthetic: Whether the images are made.
    """
    title = title_figure("Confidence and truth", synthetic)
    shown = [one for one in bins if one.n]
    largest = max((one.n for one in shown), default=1)
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": palette.GREY, "dash": "dash", "width": 1.5},
        "hoverinfo": "skip",
        "name": "perfectly calibrated",
    }
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "cells by confidence",
        "x": [one.confidence for one in shown],
        "y": [one.right for one in shown],
        "line": {"color": palette.BLUE, "width": 2},
        # area by number of cells, and never too small to see
        "marker": {"size": [round(7 + 15 * (one.n / largest) ** 0.5, 1) for one in shown]},
        "error_y": {
            "type": "data",
            "array": [0.0 if one.high is None else one.high - one.right for one in shown],
            "arrayminus": [0.0 if one.low is None else one.right - one.low for one in shown],
            "color": palette.GREY,
            "thickness": 2,
            "width": 4,
        },
        "text": [f"{one.n:,} cells" for one in shown],
        "hovertemplate": "%{text}: confidence %{x:.0%}, right %{y:.0%}<extra></extra>",
    }
    low = min((min(one.confidence, one.right, one.low or 1) for one in shown), default=0.0)
    span = [max(0.0, low - 0.05), 1.03]
    layout = build_layout(
        title,
        420,
        xaxis={"title": {"text": "confidence of the network"}, "tickformat": ".0%", "range": span},
        yaxis={"title": {"text": "share that is right"}, "tickformat": ".0%", "range": span},
        showlegend=True,
    )
    words = describe_reliability(bins, ece)
    return Figure("reliability", title, words, (diagonal, trace), layout)


def describe_reliability(bins: Sequence[Bin], ece: float | None) -> str:
    """Say in words how far confidence and truth are apart, and on which side."""
    shown = [one for one in bins if one.n]
    if not shown:
        return "No cell has a probability."
    n = sum(one.n for one in shown)
    gap = sum(one.n * (one.confidence - one.right) for one in shown) / n
    side = "too sure of itself" if gap > 0 else "too unsure of itself"
    words = (
        f"{n:,} cells by how sure the network is; larger dots are more cells. "
        f"On average it is {side} by {abs(gap):.1%}"
    )
    words += "." if ece is None else f"; the expected calibration error is {ece:.1%}."
    return words.replace("%", " %")
