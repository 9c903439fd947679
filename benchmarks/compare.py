"""Two ways to do the same, timed in turn: each in a process of its own, a ratio for every turn."""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic

N_TURNS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table of results.

    Args:
        what: Ours.
        against: What it is measured against.
        wanted: What the ratio should be, as ">= 6" or "< 1.5".
        ratios: One for each turn, how many times better ours is (or as `wanted` reads).
        numbers: What was measured of either, in words.
        load: Load average of the machine before.
    """

    what: str
    against: str
    wanted: str
    ratios: tuple[float, ...]
    numbers: str
    load: float

    @property
    def median(self) -> float:
        """Of the ratios."""
        return float(np.median(self.ratios))

    @property
    def reached(self) -> bool:
        """Whether the median is as wanted."""
        sign, limit = self.wanted.split()
        return self.median >= float(limit) if sign == ">=" else self.median < float(limit)

    def describe(self) -> str:
        """The line as Markdown."""
        low, high, n = min(self.ratios), max(self.ratios), len(self.ratios)
        spread = f" ({low:.3g} to {high:.3g}, n = {n})" if n > 1 else " (n = 1)"
        return (
            f"| {self.what} | {self.against} | {self.wanted.replace('>=', '≥')} "
            f"| **{self.median:.3g}**{spread} | {'yes' if self.reached else 'no'} "
            f"| {self.numbers} | {self.load:.1f} |"
        )


HEADER = (
    "| what | against | wanted | measured: median (range, turns) | reached | numbers | load |\n"
    "|---|---|---|---|---|---|---|"
)


class Side:
    """A process that does one of the two, so that neither has the other's memory or settings.

    Args:
        prepare: Called once in it, before anything is measured.
        variables: Environment variables of it alone.
    """

    def __init__(
        self, prepare: Callable[..., None], *arguments: Any, variables: Mapping[str, str] = {}
    ) -> None:
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(dict(variables), prepare, arguments),
        )

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of a module there, wait, return what it returns."""
        return self._pool.submit(function, *arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _prepare(
    variables: dict[str, str], prepare: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(variables)
    prepare(*arguments)


def take_turns(sides: Mapping[str, Callable[[], float]], n_turns: int) -> dict[str, list[float]]:
    """Measure every side once a turn, in an order that turns around; return all by side."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(n_turns):
        names = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in names:
            measured[name].append(sides[name]())
    return measured


def divide(theirs: list[float], ours: list[float]) -> tuple[float, ...]:
    """The ratio of every turn."""
    return tuple(a / b for a, b in zip(theirs, ours, strict=True))


def time_call(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    before_s = time.perf_counter()
    function()
    return time.perf_counter() - before_s


def show(text: str) -> None:
    """Say how far it is, without a part in what is printed as result."""
    print(text, file=sys.stderr, flush=True)


def run_benchmark(
    doc: str | None, measure: Callable[[argparse.Namespace], list[Row]], *packages: str
) -> None:
    """The command line of a benchmark: measure, print the machine and the table."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=N_TURNS, help="of either side")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works")
    parser.add_argument("--work-dir", type=Path, help="keep images and caches; else temporary")
    parser.add_argument("--json", type=Path, help="a file for the rows, beside what is printed")
    arguments = parser.parse_args()
    print(describe_machine(*packages), flush=True)
    with tempfile.TemporaryDirectory(prefix="bpsweep-bench-") as temporary:
        arguments.work_dir = arguments.work_dir or Path(temporary)
        rows = measure(arguments)
    print("\n".join(["Synthetic images or random numbers.", "", HEADER]))
    print("\n".join(row.describe() for row in rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


def make_images(work_dir: Path, n_images: int) -> Path:
    """A folder with a synthetic set of 4 h cells, rendered if it is not there yet."""
    folder = work_dir / f"images-{n_images}"
    if not folder.exists():
        show(f"rendering {n_images:,} synthetic images")
        make_synthetic(folder, SyntheticSettings(n_images))
    return folder


def read_rows(path: Path) -> list[Row]:
    """The rows that a benchmark wrote with --json."""
    listed = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**{**row, "ratios": tuple(row["ratios"])}) for row in listed]


def current_load() -> float:
    """The machine's load average over the last minute."""
    return os.getloadavg()[0]
