"""A sweep read from the server and judged; the verdict printed, and written to files."""

from pathlib import Path

from rich.console import Console

from bpsweep.agent.tracking.sweeps import read_sweep
from bpsweep.report.statistics.assessment import Assessment, assess
from bpsweep.report.statistics.scores import ACCURACY, DEFAULT_LEVEL
from bpsweep.report.statistics.verdict import Verdict, judge
from bpsweep.report.text.summary import summarize
from bpsweep.report.text.table import draw_table


def judge_sweep(
    path: str, target: float | None, metric: str = ACCURACY.name, level: float = DEFAULT_LEVEL
) -> Verdict:
    """Read a sweep from the server and judge it."""
    return judge(read_sweep(path), target, metric, level)


def print_assessment(assessment: Assessment, console: Console) -> None:
    """Print the table of configurations and what is to be said of it."""
    console.print(draw_table(assessment.verdict, console.width))
    for line in summarize(assessment):
        console.print(line, highlight=False)


def print_verdict(path: str, target: float | None, console: Console) -> None:
    """Read a sweep from the server and print what it is worth."""
    print_assessment(assess(judge_sweep(path, target)), console)


def write_files(console: Console, *pairs: tuple[Path | None, str | None]) -> None:
    """Write each text to its file, where one was named."""
    for file, text in pairs:
        if file is not None and text is not None:
            file.write_text(text, encoding="utf-8")
            console.print(f"Written: {file}", highlight=False)
