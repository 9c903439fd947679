"""Learning curves: one metric by epoch, step or time, the target, a band over replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final, Literal

from bpsweep.report import metrics
from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import (
    Figure,
    Trace,
    build_layout,
    describe_settings,
    draw_level,
    escape_text,
    join_lines,
    title_figure,
)
from bpsweep.report.records import RunRecord, SweepRecord, is_number
from bpsweep.report.statistics.configurations import Configuration, group_runs
from bpsweep.report.text.numbers import show

Role = Literal["best", "reached", "other"]

X_TITLES: Final = {
    metrics.EPOCH: "epoch",
    metrics.ELAPSED_S: "training time (s)",
}
"""What curves can be drawn over, by history key, with the axis's title."""
Y_TITLES: Final = {
    metrics.VAL_ACCURACY: "validation accuracy",
    metrics.VAL_JACCARD: "validation Jaccard index",
    metrics.VAL_HAMMING: "validation Hamming loss",
    metrics.VAL_LOSS: "validation loss (nats)",
    metrics.TRAIN_LOSS: "training loss (nats)",
    metrics.IMAGES_PER_S: "training speed (images/s)",
}
SHARES: Final = (metrics.VAL_ACCURACY,)
"""What is written in per cent."""
_MOST_TEXTS: Final = 5000  # hover texts repeat a name at every point


@dataclass(frozen=True)
class Curve:
    """One configuration's line.

    Args:
        name: What it is called on hovering and in the legend.
        x, y: Its points; the mean where there are replicates.
        low, high: The lowest and highest replicate at each point; empty without replicates.
        role: "best" (thick), "reached" or "other" (thin, grey).
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    role: Role = "other"


def collect_curves(
    sweep: SweepRecord,
    key: str = metrics.VAL_ACCURACY,
    x: str = metrics.EPOCH,
    roles: Mapping[str, Role] | None = None,
) -> list[Curve]:
    """Read one curve a configuration out of its runs' histories.

    Args:
        sweep: The sweep with its runs and replicates.
        key: The metric.
        x: What it is drawn over, a key of X_TITLES.
        roles: Run id of a configuration's first run to its role; "other" where it is not named.
    """
    curves = [
        _collect_one(one, key, x, (roles or {}).get(one.runs[0].id, "other"))
        for one in group_runs(sweep)
    ]
    return [curve for curve in curves if curve.x]


def _collect_one(one: Configuration, key: str, x: str, role: Role) -> Curve:
    first = one.runs[0]
    name = describe_settings(one.swept) or first.name
    lines = [line for line in (_read_line(run, key, x) for run in one.runs) if line]
    if len(lines) < 2:
        line = lines[0] if lines else {}
        return Curve(name, tuple(line), tuple(line.values()), role=role)
    # by position, not by value: two runs have no second in common
    n_points = min(len(line) for line in lines)
    rows = [[list(line.values())[i] for line in lines] for i in range(n_points)]
    return Curve(
        name=f"{name} (mean of {len(lines)} seeds)",
        x=tuple(fmean(list(line)[i] for line in lines) for i in range(n_points)),
        y=tuple(fmean(row) for row in rows),
        low=tuple(min(row) for row in rows),
        high=tuple(max(row) for row in rows),
        role=role,
    )


def _read_line(run: RunRecord, key: str, x: str) -> dict[float, float]:
    return {
        float(row[x]): float(row[key])
        for row in run.history
        if is_number(row.get(x)) and is_number(row.get(key))
    }


def draw_curves(
    curves: Sequence[Curve],
    key: str = metrics.VAL_ACCURACY,
    x: str = metrics.EPOCH,
    target: float | None = None,
    synthetic: bool = False,
) -> Figure:
    """Draw learning curves, the others behind, the best in front.

    Lines of one role are one trace, so that a thousand runs draw as fast as ten.

    Args:
        curves: What `collect_curves` read.
        key: The metric, as it was given there.
        x: What it is drawn over, as it was given there.
        target: Where to draw a dashed line; None for a metric without a target.
        synthetic: Whether the images are made.
    """
    y_title = Y_TITLES.get(key, escape_text(key))
    what = y_title.split(" (")[0]
    over = X_TITLES[x].removeprefix("training ").split(" (")[0]
    title = title_figure(f"{what[0].upper()}{what[1:]} by {over}", synthetic)
    by_role: dict[Role, list[Curve]] = {"other": [], "reached": [], "best": []}
    for curve in curves:
        by_role[curve.role].append(curve)
    traces = [trace for curve in curves for trace in _draw_band(curve)]
    style = _Style(texts=sum(len(curve.x) for curve in curves) <= _MOST_TEXTS, share=key in SHARES)
    for role in ("other", "reached", "best"):
        if by_role[role]:
            traces.append(_draw_group(by_role[role], role, style))
    layout = build_layout(
        title,
        420,
        xaxis={"title": {"text": X_TITLES[x]}, "rangemode": "tozero"},
        yaxis={"title": {"text": y_title}, **({"tickformat": ".0%"} if style.share else {})},
        showlegend=len(traces) > 1,
    )
    if x != metrics.ELAPSED_S:
        layout["xaxis"]["tickformat"] = "d"
    if target is not None:
        layout |= draw_level(target, "y", f"target {_write_target(target, key)}")
    words = describe_curves(curves, key, x, target)
    return Figure(f"curves-{_slug(key)}", title, words, tuple(traces), layout)


@dataclass(frozen=True)
class _Style:
    texts: bool
    share: bool

    @property
    def hover(self) -> str:
        """What a point says."""
        value = "%{y:.1%}" if self.share else "%{y:.4g}"
        name = "%{text}<br>" if self.texts else ""
        return f"{name}%{{xaxis.title.text}} %{{x:.4~g}}: {value}<extra></extra>"


_LINES: Final[Mapping[Role, Mapping[str, Any]]] = {
    "other": {"color": palette.OTHER, "width": 1},
    "reached": {"color": palette.REACHED, "width": 1.5},
    "best": {"color": palette.BEST, "width": 3},
}
_NAMES: Final[Mapping[Role, str]] = {
    "other": "not at target",
    "reached": "at target",
    "best": "best",
}


def _draw_group(curves: Sequence[Curve], role: Role, style: _Style) -> Trace:
    texts = [[escape_text(curve.name)] * len(curve.x) for curve in curves] if style.texts else []
    # a single epoch has no line: it needs its marker
    lonely = all(len(curve.x) == 1 for curve in curves)
    return {
        "type": "scatter",
        "mode": "lines+markers" if lonely or role == "best" else "lines",
        "x": join_lines([curve.x for curve in curves]),
        "y": join_lines([curve.y for curve in curves]),
        "name": _NAMES[role],
        "line": dict(_LINES[role]),
        "marker": {"size": 7 if role == "best" else 5, "color": _LINES[role]["color"]},
        "connectgaps": False,
        "hovertemplate": style.hover,
        **({"text": join_lines(texts)} if style.texts else {}),
    }


def _draw_band(curve: Curve) -> list[Trace]:
    """Draw the span of a curve's replicates as a filled outline."""
    if not curve.low or curve.role == "other":
        return []
    colour = _LINES[curve.role]["color"]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [*curve.x, *reversed(curve.x)],
            "y": [*curve.high, *reversed(curve.low)],
            "fill": "toself",
            "fillcolor": f"rgba({red},{green},{blue},0.18)",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
            "name": "lowest to highest seed",
        }
    ]


def describe_curves(
    curves: Sequence[Curve],
    key: str = metrics.VAL_ACCURACY,
    x: str = metrics.EPOCH,
    target: float | None = None,
) -> str:
    """Say in words what the curves show."""
    if not curves:
        return "No run has logged an epoch yet."
    ends = [curve.y[-1] for curve in curves]
    what, over = Y_TITLES.get(key, key), X_TITLES[x]
    words = (
        f"{len(curves)} learning curve{'s' * (len(curves) != 1)} of {what}; "
        f"at their last point they lie between {_write(min(ends), key)} "
        f"and {_write(max(ends), key)}."
    )
    best = next((curve for curve in curves if curve.role == "best"), None)
    if best is not None:
        is_low = key in metrics.MINIMIZED
        pick, extreme = (min, "lowest") if is_low else (max, "highest")
        peak = pick(range(len(best.y)), key=lambda i: best.y[i])
        words += (
            f" The thick line is the best configuration, {best.name}: its {extreme} is "
            f"{_write(best.y[peak], key)} at {over} {best.x[peak]:.4g}."
        )
    if target is not None:
        words += f" The dashed line is the target, {_write_target(target, key)}."
    if any(curve.low and curve.role != "other" for curve in curves):
        words += " A band spans the lowest to the highest seed."
    return words


def _write(value: float, key: str) -> str:
    return f"{value:.1%}".replace("%", " %") if key in SHARES else show(value)


def _write_target(value: float, key: str) -> str:
    return f"{100 * value:.4g} %" if key in SHARES else show(value)


def _slug(key: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in key.lower())
