"""Small line charts as SVG path data, drawn on the server so that pages need no script."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 280, 90
_SKIPPED = ("_step", "_runtime", "_timestamp", "_wandb")


@dataclass(frozen=True)
class Chart:
    """One metric of one run, scaled into WIDTH x HEIGHT."""

    name: str
    points: str
    first_step: int
    last_step: int
    lowest: float
    highest: float
    latest: float


def build_charts(lines: Sequence[str], limit: int = 60) -> list[Chart]:
    """Return a chart per numeric metric in logged lines (JSON texts)."""
    series: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(lines):
        point = json.loads(line)
        step = point.get("_step", number)
        for name, value in point.items():
            if (
                name not in _SKIPPED
                and isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
            ):
                series.setdefault(name, []).append((step, float(value)))
    return [_draw(name, series[name]) for name in sorted(series)[:limit]]


def _draw(name: str, pairs: list[tuple[int, float]]) -> Chart:
    steps = [step for step, _ in pairs]
    values = [value for _, value in pairs]
    low, high = min(values), max(values)
    width = max(steps[-1] - steps[0], 1)
    height = (high - low) or 1.0
    points = " ".join(
        f"{(step - steps[0]) / width * WIDTH:.1f},{HEIGHT - (value - low) / height * HEIGHT:.1f}"
        for step, value in pairs
    )
    return Chart(name, points, steps[0], steps[-1], low, high, values[-1])
