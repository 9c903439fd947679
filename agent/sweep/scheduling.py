"""The local scheduler of a sweep: `wandb sweep-scheduler`, for as long as we work on it."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.sweep.work import SweepJob

POLL_S = 2.0
"""How often it looks at the runs."""
_MAX_STARTS = 3
_PATIENCE_S = 10.0
_TAIL = 1500


@contextmanager
def run_scheduler(
    job: SweepJob, path: str, console: Console, give_up: Callable[[], None]
) -> Iterator[None]:
    """Have a sweep's scheduler suggest its runs for the length of the block, where it has one.

    Args:
        job: The sweep's file and server.
        path: The sweep's path.
        console: Where it is said that the scheduler cannot go on.
        give_up: Called then; without a scheduler the agents would wait for ever.
    """
    if "scheduler" not in job.file.config:
        yield
        return
    keeper = _Keeper(job, path, console, give_up)
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper:
    """Keeps the scheduler's process, and starts it again when it has died; it goes on by itself."""

    def __init__(
        self, job: SweepJob, path: str, console: Console, give_up: Callable[[], None]
    ) -> None:
        self._path, self._console, self._give_up = path, console, give_up
        self._folder = job.file.path.resolve().parent  # where `source` lies
        self._environment = job.scheduler_environment
        self._log = home.home() / "logs" / path.replace("/", "-") / "scheduler.log"
        # One more than there are agents, so that none waits for the next look.
        self._n_ahead = job.n_agents + 1
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start the process."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process; what it has queued stays queued."""
        self._ending.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join(_PATIENCE_S)

    def _keep(self) -> None:
        for _ in range(_MAX_STARTS):
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "bpsweep.agent.orphan"),  # it ends with us
                        *(sys.executable, "-P", "-m", "wandb", "sweep-scheduler"),
                        *("--batch-size", str(self._n_ahead)),
                        *("--poll-interval", str(POLL_S), self._path),
                    ],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C reaches us alone, and we end it
                )
            if self._ending.is_set():
                self._process.terminate()
            if self._process.wait() == 0 or self._ending.is_set():
                return
        said = self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        self._console.print(f"[red]The scheduler cannot go on[/red]; it said in {self._log}:")
        self._console.print(said, markup=False, highlight=False)
        self._give_up()
