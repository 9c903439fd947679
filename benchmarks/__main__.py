"""All comparisons one after the other, and their table in benchmarks/RESULTS.md.

    python benchmarks [--turns 5] [--quick] [--only step published ...]

Each benchmark is a command of its own, see `python benchmarks/step.py --help`. Images and caches
are made once, in a temporary place. With --only, the other lines of an older table are kept; with
--quick nothing is written. What a CUDA GPU does is measured where there is one, with --only gpu.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from compare import HEADER, N_TURNS, Row, read_rows, show
from machine import describe_machine

NAMES = (
    "step",
    "published",
    "sweep",
    "trajectories",
    "run_cost",
    "sklearn_mlp",
    "scaling",
    "memory",
    "verdicts",
)
ON_GPU = "gpu"
"""Measured when it is named, on a machine with a CUDA GPU."""
PACKAGES = ("torch", "numpy", "scikit-learn", "wandb", "optuna", "ray")
HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
_INTRODUCTION = """\
# Results of the benchmarks

Written by `make bench`. All images are synthetic, or random numbers where only the step counts;
these are times and memory, nothing is said about real cells. Both sides of a ratio were measured
in turn on the same machine; a line gives the median of the ratios of all turns and their range.
`benchmarks/NAME.py --help` says what exactly either side does.
"""


def run_benchmark(name: str, arguments: argparse.Namespace, work_dir: Path) -> list[Row] | None:
    """Run one as a process; None if it failed."""
    path = work_dir / f"{name}.json"
    command = [sys.executable, str(HERE / f"{name}.py"), "--turns", str(arguments.turns)]
    command += ["--work-dir", str(work_dir), "--json", str(path)]
    if arguments.quick:
        command.append("--quick")
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return None if done.returncode else read_rows(path)


def format_section(name: str, rows: list[Row], machine: str, turns: int) -> str:
    """The part of the page for one benchmark."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"## {name}", "", f"{machine}; {when}; `python benchmarks/{name}.py --turns {turns}`"]
    return "\n".join([*lines, "", HEADER, *[row.describe() for row in rows], ""])


def read_sections() -> dict[str, str]:
    """The parts of the page as it is, by benchmark."""
    if not RESULTS.exists():
        return {}
    parts = RESULTS.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def main() -> int:
    """Run all, or some; the status is 1 if one failed to run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=N_TURNS, help="of either side")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works")
    parser.add_argument("--only", nargs="+", choices=(*NAMES, ON_GPU), default=NAMES)
    arguments = parser.parse_args()
    sections, failed, before_s = read_sections(), [], time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bpsweep-bench-") as temporary:
        for name in arguments.only:
            show(f"== {name}, {(time.perf_counter() - before_s) / 60:.1f} minutes so far")
            machine = describe_machine(*PACKAGES)
            rows = run_benchmark(name, arguments, Path(temporary))
            if rows is None:
                failed.append(name)
                continue
            sections[name] = format_section(name, rows, machine, arguments.turns)
            if not arguments.quick:  # after each, so that an interruption keeps what there is
                kept = [sections[known] for known in (*NAMES, ON_GPU) if known in sections]
                RESULTS.write_text("\n".join([_INTRODUCTION, *kept]), encoding="utf-8")
    if failed:
        show(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
