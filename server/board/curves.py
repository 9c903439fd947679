"""One run's numeric history by column, kept up line by line."""

import json
import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from bpsweep.report import metrics
from bpsweep.server.store import Connection
from bpsweep.server.store.watch import read_history_text

_CHUNK_LINES = 20_000
_MAX_COLUMNS = 500
AXES = {
    "step": ("_step",),
    "epoch": (metrics.EPOCH,),
    "time": (metrics.ELAPSED_S, "_runtime"),
}
"""What the pages offer as x, and the logged columns that hold it, the first that is there."""


class RunCurves:
    """The numbers that a run has logged; a line without a value has NaN there."""

    def __init__(self) -> None:
        self.columns: dict[str, array[float]] = {}
        self.n_lines = 0
        self._next_line = 0
        self._last: Any = None

    def update(self, db: Connection, run_id: int) -> None:
        """Read the lines logged since the last time; all of them where a run has begun anew."""
        first = max(self._next_line - 1, 0)  # the last known line again: it tells a new beginning
        last, text = read_history_text(db, run_id, first, _CHUNK_LINES)
        points = json.loads(text)
        if self._next_line and (not points or points[0] != self._last):
            self.columns, self.n_lines, self._next_line = {}, 0, 0
            self.update(db, run_id)
            return
        for point in points[1:] if self._next_line else points:
            self.append(point)
        if last is not None:
            self._next_line, self._last = last + 1, points[-1]
        if len(points) == _CHUNK_LINES:
            self.update(db, run_id)

    def append(self, point: Mapping[str, Any]) -> None:
        for name, value in flatten_numbers(point):
            column = self.columns.get(name)
            if column is None:
                if len(self.columns) >= _MAX_COLUMNS:
                    continue
                column = self.columns[name] = array("d")
            if len(column) < self.n_lines:
                column.extend([math.nan] * (self.n_lines - len(column)))
            column.append(value)
        self.n_lines += 1

    def values(self, name: str) -> "array[float]":
        """Return a column with one value a line."""
        column = self.columns.get(name, array("d"))
        return column + array("d", [math.nan] * (self.n_lines - len(column)))

    def names(self) -> list[str]:
        """Return the logged columns that are not W&B's own."""
        return [name for name in self.columns if not name.startswith("_")]

    def find_best(self, name: str | None, *, largest: bool) -> int | None:
        """Return the line with a metric's best value, the earliest of equals."""
        column = self.columns.get(name or "")
        best: int | None = None
        top = math.nan
        for line, value in enumerate(column or ()):
            if math.isnan(value):
                continue
            if best is None or (value > top if largest else value < top):
                best, top = line, value
        return best

    def read_at(self, line: int) -> dict[str, float]:
        """Return what holds at a line: values logged there, else the latest before, else next."""
        found = {}
        for name in self.names():
            column = self.columns[name]
            nearby = (*range(min(line, len(column) - 1), -1, -1), *range(line + 1, len(column)))
            value = next((column[i] for i in nearby if column[i] == column[i]), None)
            if value is not None:
                found[name] = value
        return found

    def read_series(self, name: str, axis: str, limit: int) -> tuple[list[float], list[float]]:
        """Return x and y of a metric, at most about `limit` points, extremes of each part kept."""
        y = self.columns.get(name, array("d"))
        x = self._read_axis(axis, len(y))
        pairs = [(a, b) for a, b in zip(x, y, strict=True) if not (math.isnan(a) or math.isnan(b))]
        if len(pairs) > limit:
            pairs = list(_thin_out(pairs, limit))
        return [a for a, _ in pairs], [b for _, b in pairs]

    def _read_axis(self, axis: str, length: int) -> "array[float]":
        for name in AXES[axis]:
            if name in self.columns:
                return self._fill_forward(self.values(name))[:length]
        return self._fill_forward(self.values("_step"))[:length]

    def _fill_forward(self, column: "array[float]") -> "array[float]":
        """Give a line without an epoch that of the line before it."""
        known = math.nan
        for line, value in enumerate(column):
            if math.isnan(value):
                column[line] = known
            else:
                known = value
        return column


def flatten_numbers(point: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield every finite number of a logged point; a dot leads into an object, as W&B writes it."""
    for name, value in point.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            number = float(value)
            if math.isfinite(number):
                yield prefix + name, number
        elif isinstance(value, dict) and "_type" not in value and prefix.count(".") < 4:
            yield from flatten_numbers(value, f"{prefix}{name}.")


def _thin_out(pairs: list[tuple[float, float]], limit: int) -> Iterator[tuple[float, float]]:
    """Yield the lowest and highest point of each of limit/2 parts, in their order."""
    n_parts = max(limit // 2, 1)
    for part in range(n_parts):
        piece = pairs[part * len(pairs) // n_parts : (part + 1) * len(pairs) // n_parts]
        low, high = min(piece, key=lambda p: p[1]), max(piece, key=lambda p: p[1])
        yield from sorted({low, high})
