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
from bpsweep.agent.errors import TrackingError, WorkersError
from bpsweep.agent.presence import take_turn
from bpsweep.agent.runs.agents import AgentGroup, Order
from bpsweep.agent.sweep.file import SweepFile
from bpsweep.agent.sweep.local_server import ServerAddress
from bpsweep.agent.sweep.progress import describe_end, draw_progress
from bpsweep.agent.sweep.room_watch import RoomWatch
from bpsweep.agent.sweep.server_calls import retry_sweep
from bpsweep.agent.tracking.address import wait_for_server
from bpsweep.agent.tracking.sweeps import (
    SweepProgress,
    create_sweep,
    find_sweep,
    watch_sweep,
)
from bpsweep.agent.tracking.variables import adopt
from bpsweep.agent.training.inputs import MAX_REJECTED
from bpsweep.agent.training.warm_inputs import N_KEPT, OF_INPUTS
from bpsweep.data.folders import write_whole

POLL_S = 2.0
SERVER_S = 60.0
"""How long to wait for a server that is being started again, before the end is looked at."""
MAX_STARTS = 20
"""How often workers are started for one sweep: once, and again after each interruption."""
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

    @property
    def scheduler_environment(self) -> dict[str, str]:
        """All variables for a local scheduler, which has a helper of the client's of its own."""
        kept = dict(os.environ)
        adopt(kept, self.environment)
        return kept


def open_sweep(job: SweepJob, console: Console) -> tuple[str, SweepProgress]:
    """Return the path of the sweep to work on, and how far it is.

    It is the one of before, if that is unfinished or its command ended before the verdict, else a
    new one. Of two commands that start at once one
    creates it, and the other joins.
    """
    with take_turn(job.memo.with_suffix(".lock")):
        return _open_sweep(job, console)


def _open_sweep(job: SweepJob, console: Console) -> tuple[str, SweepProgress]:
    if job.memo.exists():
        memo = json.loads(job.memo.read_text(encoding="utf-8"))
        path, is_judged = str(memo["sweep"]), bool(memo.get("is_judged", True))
        progress = find_sweep(path)  # None: deleted, or another account; a new one is right
        if progress is not None and not (is_judged and is_over(progress)):
            n_retried = len(retry_sweep(job.server, path)["retried"]) if job.server.embedded else 0
            again = f", {n_retried} interrupted to be run again" if n_retried else ""
            console.print(
                f"Continuing sweep {path}: {len(progress.finished)} finished{again}.",
                soft_wrap=True,
            )
            return path, progress
    path = create_sweep(job.file.config)
    note_sweep(job, path, is_judged=False)
    console.print(f"Created sweep {path}", soft_wrap=True)
    return path, SweepProgress("PENDING", ())


def note_sweep(job: SweepJob, path: str, *, is_judged: bool) -> None:
    """Remember what this YAML became, and whether its verdict was given."""
    job.memo.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"sweep": path, "is_judged": is_judged})
    write_whole(job.memo, f"{text}\n".encode())


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


@dataclass(frozen=True)
class WorkScene:
    """Who works on a sweep, where that is shown, and who looks at the disks meanwhile."""

    agents: AgentGroup
    console: Console
    room: RoomWatch


def work_off(job: SweepJob, path: str, before: SweepProgress, scene: WorkScene) -> None:
    """Have agents work on a sweep and show their progress until nothing of it is left.

    What was interrupted is run again, and workers whose foreman was killed are started again, as
    soon as there is room on the disks. An interruption ends agents and runs before it goes on to
    the caller.

    Args:
        job: The sweep's file, its images, its server.
        path: The sweep's path.
        before: How far it was before they began.
        scene: The agents, which have begun, and where to show it.

    Raises:
        NoRoomError: A disk takes nothing more, and waiting is of no use.
        WorkersError: The workers died, and the sweep is not over.
    """
    agents, console = scene.agents, scene.console
    for n_left in reversed(range(MAX_STARTS)):
        try:
            before = _watch_agents(job, path, before, scene)
        finally:
            agents.stop()
        scene.room.wait()
        wait_for_server(timeout_s=SERVER_S)
        last = watch_sweep(path)
        _print_ended(before, last, console)
        before = last
        died = agents.died
        n_again = _retry_interrupted(job, path)
        if not n_again and last.state in OVER:
            return
        if not n_left or (died is not None and not _has_moved(last)):
            break
        if died is not None:
            console.print(
                f"The process that the workers belong to {died}; they are started again.",
                highlight=False,
            )
        elif n_again:
            console.print(
                f"{n_again} interrupted runs are run again.", highlight=False, soft_wrap=True
            )
        else:
            break
        agents.start_again()
        begin_work(job, path, agents)
    raise WorkersError(_explain_end(last, agents))


def _has_moved(progress: SweepProgress) -> bool:
    """Tell whether any run of a sweep has begun: its workers can work."""
    return any(run.state != "pending" for run in progress.runs)


def _retry_interrupted(job: SweepJob, path: str) -> int:
    """Have the server queue what was interrupted, by nobody's wish; return how many."""
    if not job.server.embedded:
        return 0
    return len(retry_sweep(job.server, path, only_interrupted=True)["retried"])


def _explain_end(last: SweepProgress, agents: AgentGroup) -> str:
    logs = ", ".join(str(path) for path in agents.log_paths)
    ended = agents.died or "ended"
    return (
        f"the workers died before the sweep was over (it is {last.state.lower()}, "
        f"{len(last.finished)} runs finished; the process that they belong to {ended}). "
        f"Logs: {logs}. They said last:\n{agents.read_last_words() or '(nothing)'}\n"
        "`bpsweep doctor` looks at the installation; the same command goes on with what is left."
    )


def _watch_agents(
    job: SweepJob, path: str, before: SweepProgress, scene: WorkScene
) -> SweepProgress:
    """Show the progress of agents until none is left; return how far the sweep was at last."""
    with Live(console=scene.console, transient=True) as live:
        while scene.agents.wait(POLL_S):
            scene.room.require()
            now = _watch(path, before)
            _print_ended(before, now, scene.console)
            live.update(draw_progress(now, job.file.n_runs))
            before = now
    return before


def _print_ended(before: SweepProgress, now: SweepProgress, console: Console) -> None:
    """Print a line for each run that has ended since."""
    known = {run.name for run in (*before.finished, *before.interrupted)}
    for run in (*now.finished, *now.interrupted):
        if run.name not in known:
            console.print(describe_end(run), highlight=False, soft_wrap=True)


def _watch(path: str, last: SweepProgress) -> SweepProgress:
    """Look again; a server that does not answer for a moment changes nothing."""
    try:
        return watch_sweep(path)
    except TrackingError:
        return last
