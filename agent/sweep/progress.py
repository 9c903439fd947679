"""A sweep at work, as a picture for the terminal and as lines for a log."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bpsweep.agent.tracking.run import ERROR
from bpsweep.agent.tracking.sweeps import RunProgress, SweepProgress
from bpsweep.report import metrics
from bpsweep.report.records import DIAGNOSIS, TAKEN_EPOCHS
from bpsweep.report.text.numbers import list_values


def draw_progress(progress: SweepProgress, n_runs: int | None) -> RenderableType:
    """Draw how many runs are done, and each running one with its epoch and accuracy.

    Args:
        progress: The sweep as it is now.
        n_runs: How many runs there will be; None for a sweep without an end.
    """
    n_done = len(progress.finished)
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(f"{n_done} of {n_runs} runs finished" if n_runs else f"{n_done} runs finished"),
        ProgressBar(total=n_runs, completed=n_done, width=30),
        Text(progress.state.lower(), style="dim"),
    )
    if not progress.running:
        return head
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("run", "settings", "epoch", "accuracy"):
        table.add_column(name)
    for run in progress.running:
        epoch, accuracy = run.latest.get(metrics.EPOCH), run.latest.get(metrics.VAL_ACCURACY)
        table.add_row(
            run.name,
            list_values(run.swept),
            "starting" if epoch is None else str(int(epoch)),
            "" if accuracy is None else f"{accuracy:.1%}",
        )
    return Group(head, table)


def describe_end(run: RunProgress) -> str:
    """Return the line that a run leaves when it ends."""
    best = run.latest.get(f"best/{metrics.VAL_ACCURACY}")
    error = run.latest.get(ERROR)
    result = f": {error}" if error else "" if best is None else f": accuracy {best:.1%}"
    if taken := run.latest.get(TAKEN_EPOCHS):
        result += f", {taken} epochs taken over"
    diagnosis = run.latest.get(DIAGNOSIS)
    if diagnosis and not error:
        result += f", but it {diagnosis}"
    return f"{run.name} ({list_values(run.swept)}) {run.state}{result}"
