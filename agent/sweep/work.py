"""One sweep worked off: created or taken up again, agents started, watched, and judged."""

import hashlib
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from bpsweep.agent import home
from bpsweep.agent.errors import TrackingError
from bpsweep.agent.runs.agents import AgentGroup, Order
from bpsweep.agent.sweep.file import SweepFile
from bpsweep.agent.sweep.local_server import ServerAddress
from bpsweep.agent.sweep.progress import describe_end, draw_progress
from bpsweep.agent.sweep.server_calls import retry_sweep
from bpsweep.agent.tracking.sweeps import SweepProgress, create_sweep, watch_sweep
from bpsweep.agent.training.inputs import MAX_REJECTED
from bpsweep.agent.training.warm_inputs import N_KEPT, OF_INPUTS

POLL_S = 2.0
OVER = ("FINISHED", "CANCELED", "STOPPED", "CRASHED", "FAILED")


@dataclass(frozen=True)
class SweepJob:
    """A sweep to work off, and with what.

    Args:
        file: The checked YAML.
        data_dir: The image folder.
        server: Where the sweep lives.
        n_agents: Number of agents at once.
    """

    file: SweepFile
    data_dir: Path
    server: ServerAddress
    n_agents: int

    @property
    def memo(self) -> Path:
        """The file that remembers which sweep this YAML on this data became at this server."""
        where = str(home.store_dir()) if self.server.embedded else self.server.url
        key = json.dumps([where, self.file.text, str(self.data_dir.resolve())])
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        return home.home() / "sweeps" / f"{self.file.path.stem}-{digest}.json"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for agents and runs."""
        return {
            **self.server.environment,
            "BPSWEEP_HOME": str(home.home()),
            "BPSWEEP_DATA_DIR": str(self.data_dir.resolve()),
            "WANDB_DIR": str(home.home()),
            MAX_REJECTED: os.environ.get(MAX_REJECTED, "0"),
        }


def open_sweep(job: SweepJob, console: Console) -> tuple[str, SweepProgress]:
    """Return the path of the sweep to work on, and how far it is.

    It is the unfinished one of before, else a new one.
    """
    if job.memo.exists():
        path = str(json.loads(job.memo.read_text(encoding="utf-8"))["sweep"])
        try:
            progress = watch_sweep(path)
        except TrackingError:
            progress = None  # deleted, or another account: a new sweep is right
        if progress is not None and not is_over(progress):
            n_retried = len(retry_sweep(job.server, path)["retried"]) if job.server.embedded else 0
            again = f", {n_retried} interrupted to be run again" if n_retried else ""
            console.print(f"Continuing sweep {path}: {len(progress.finished)} finished{again}.")
            return path, progress
    path = create_sweep(job.file.config)
    job.memo.parent.mkdir(parents=True, exist_ok=True)
    temporary = job.memo.with_suffix(".tmp")
    temporary.write_text(json.dumps({"sweep": path}) + "\n", encoding="utf-8")
    temporary.replace(job.memo)
    console.print(f"Created sweep {path}")
    return path, SweepProgress("PENDING", ())


def is_over(progress: SweepProgress) -> bool:
    """Tell whether a sweep has ended with nothing left to run again."""
    return progress.state in OVER and not progress.interrupted


def begin_work(job: SweepJob, path: str, agents: AgentGroup) -> None:
    """Have agents work on a sweep from now on."""
    log_dir = home.home() / "logs" / path.replace("/", "-")
    agents.begin(
        Order(
            sweep=path,
            environment=job.environment,
            log_paths=[str(log_dir / f"agent-{i + 1}.log") for i in range(job.n_agents)],
            inputs=list(itertools.islice(job.file.combinations(OF_INPUTS), N_KEPT)),
            models=[chosen["model"] for chosen in job.file.combinations(("model",))],
        )
    )


def work_off(
    path: str, before: SweepProgress, n_runs: int | None, agents: AgentGroup, console: Console
) -> None:
    """Show the progress of agents until nothing of their sweep is left.

    An interruption ends agents and runs before it goes on to the caller.

    Args:
        path: The sweep's path.
        before: How far it was before they began.
        n_runs: How many runs there will be; None for a sweep without an end.
        agents: Those at work on it.
        console: Where to show it.
    """
    try:
        with Live(console=console, transient=True) as live:
            while agents.wait(POLL_S):
                now = _watch(path, before)
                _print_ended(before, now, console)
                live.update(draw_progress(now, n_runs))
                before = now
    finally:
        agents.stop()
    last = watch_sweep(path)
    _print_ended(before, last, console)
    if last.state not in OVER:
        logs = ", ".join(str(path) for path in agents.log_paths)
        console.print(
            f"[yellow]The agents ended before the sweep did[/yellow] (it is {last.state}); "
            f"what they said is in {logs}"
        )


def _print_ended(before: SweepProgress, now: SweepProgress, console: Console) -> None:
    """Print a line for each run that has ended since."""
    known = {run.name for run in (*before.finished, *before.interrupted)}
    for run in (*now.finished, *now.interrupted):
        if run.name not in known:
            console.print(describe_end(run), highlight=False)


def _watch(path: str, last: SweepProgress) -> SweepProgress:
    """Look again; a server that does not answer for a moment changes nothing."""
    try:
        return watch_sweep(path)
    except TrackingError:
        return last
