"""A sweep at work, as a picture for the terminal."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent.sweepfile import SweepFile
from agent.tracking import SweepProgress
from report import metrics
from report.table import show


def draw_progress(progress: SweepProgress, file: SweepFile) -> RenderableType:
    """Draw how many runs are done, and each running one with its epoch and accuracy."""
    total = file.n_runs
    head = Table.grid(padding=(0, 1))
    of = f"of {total}" if total else "(no end set)"
    head.add_row(
        Text(f"{progress.n_done} {of} runs done"),
        ProgressBar(total=total, completed=progress.n_done, width=40),
        Text(progress.state.lower(), style="dim"),
    )
    running = Table(box=None, padding=(0, 2))
    for name in ("run", "settings", "epoch", "val acc."):
        running.add_column(name, justify="left", style="dim" if name == "run" else None)
    for run in progress.running:
        settings = ", ".join(f"{name} {show(value)}" for name, value in run.swept.items())
        accuracy = run.latest.get(metrics.VAL_ACCURACY)
        epoch = run.latest.get(metrics.EPOCH)
        running.add_row(
            run.name,
            settings,
            "starting" if epoch is None else str(int(epoch)),
            "" if accuracy is None else f"{accuracy:.1%}",
        )
    return Group(head, running) if progress.running else head
