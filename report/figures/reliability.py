"""Calibration: whether cells given 80 % are right in 80 of 100 cases."""

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import Figure, build_layout, title_figure
from bpsweep.report.statistics.calibration import Bin, Calibration
from bpsweep.report.statistics.intervals import wilson_interval


def draw_reliability(calibration: Calibration, synthetic: bool = False) -> Figure:
    """Draw how often statements are right against how sure the network is of them.

    Bars are Wilson's 95 % intervals, statements taken as independent.

    Args:
        calibration: Statements by confidence.
        synthetic: Whether the images are made.
    """
    title = title_figure("Confidence and truth", synthetic)
    shown = [(one, *_read_bin(one)) for one in calibration.bins if one.n]
    largest = max((one.n for one, _, _ in shown), default=1)
    ends = [wilson_interval(right, one.n) for one, _, right in shown]
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
        "name": "by confidence",
        "x": [confidence for _, confidence, _ in shown],
        "y": [right for _, _, right in shown],
        "line": {"color": palette.BLUE, "width": 2},
        # area by number, and never too small to see
        "marker": {"size": [round(7 + 15 * (one.n / largest) ** 0.5, 1) for one, _, _ in shown]},
        "error_y": {
            "type": "data",
            "array": [end.high - right for end, (_, _, right) in zip(ends, shown, strict=True)],
            "arrayminus": [right - end.low for end, (_, _, right) in zip(ends, shown, strict=True)],
            "color": palette.GREY,
            "thickness": 2,
            "width": 4,
        },
        "text": [f"{one.n:,}" for one, _, _ in shown],
        "hovertemplate": "%{text}: confidence %{x:.0%}, right %{y:.0%}<extra></extra>",
    }
    lowest = [min(confidence, end.low) for end, (_, confidence, _) in zip(ends, shown, strict=True)]
    span = [max(0.0, min(lowest, default=0.0) - 0.05), 1.03]
    layout = build_layout(
        title,
        420,
        xaxis={"title": {"text": "confidence of the network"}, "tickformat": ".0%", "range": span},
        yaxis={"title": {"text": "share that is right"}, "tickformat": ".0%", "range": span},
        showlegend=True,
    )
    words = describe_reliability(calibration)
    return Figure("reliability", title, words, (diagonal, trace), layout)


def _read_bin(one: Bin) -> tuple[float, float]:
    assert one.confidence is not None and one.right is not None  # it has statements
    return one.confidence, one.right


def describe_reliability(calibration: Calibration) -> str:
    """Say in words how far confidence and truth are apart, and on which side."""
    n = sum(one.n for one in calibration.bins)
    gap = abs(calibration.confidence - calibration.right)
    side = "too sure of itself" if calibration.is_overconfident else "less sure than it could be"
    return (
        f"{n:,} statements by how sure the network is; larger dots are more of them. On average "
        f"it is {side}, by {gap:.1%}; its expected calibration error is {calibration.error:.1%}. "
        "On the dashed line it would be right as often as it says."
    ).replace("%", " %")
