"""A fixed list of runs trained by a pool of warm processes, with their progress shown.

Controls and replicates are such lists: they stand beside a sweep, and no server hands them out.
What has been trained is at the server, so an interrupted list goes on when it is made again.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bpsweep.agent.errors import ClientServiceError, WorkersError
from bpsweep.agent.orphan import end_in_order
from bpsweep.agent.runs.agents import PATIENCE_S
from bpsweep.agent.runs.log import log_to
from bpsweep.agent.runs.trial import InputsLoader, Trial
from bpsweep.agent.tracking.run import RunSpec
from bpsweep.agent.tracking.trouble import renew_service
from bpsweep.agent.tracking.variables import adopt
from bpsweep.agent.training.epochs import EpochResult, Question
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.agent.training.warm_inputs import WarmInputs
from bpsweep.data.folders import count_cpus
from bpsweep.report import metrics

POLL_S = 0.5
MAX_RESTARTS = 10
"""How often processes are started again, in one list, after one of them was killed."""
MAX_SERVICES = 5
"""How often a run is begun again because the client's service died under it."""
SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the locks of running threads


@dataclass(frozen=True)
class RunUpdate:
    """What a process says of the run it is at.

    Args:
        number: Its place in the list.
        name: Its name, for people.
        epoch: The last one done; 0 at the start.
        accuracy: Of validation, at that epoch; at the end the best one.
        is_over: Whether the run has ended.
        error: Why it failed.
    """

    number: int
    name: str
    epoch: int = 0
    accuracy: float | None = None
    is_over: bool = False
    error: str | None = None


@dataclass(frozen=True)
class PoolSettings:
    """Where and by how many processes the runs are trained.

    Args:
        environment: Variables for the wandb client and for finding data and caches.
        log_dir: Folder for one log file a process.
        n_workers: Processes at once.
    """

    environment: Mapping[str, str]
    log_dir: Path
    n_workers: int


def train_in_pool(
    specs: Sequence[RunSpec], settings: PoolSettings, console: Console, label: str
) -> int:
    """Train some runs; return how many finished.

    Where a process is killed, all start anew with what is left: one that dies as it speaks can
    leave the channels to the others locked. An interruption ends the processes, with what they
    have, before it goes on to the caller.

    Raises:
        WorkersError: Processes died again and again; the folder of their logs is named.
    """
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    ended: dict[int, bool] = {}  # place of a run that is over -> whether it finished
    n_restarts = 0
    while left := {i: spec for i, spec in enumerate(specs) if i not in ended}:
        pool = _Pool(left, settings)
        try:
            _show(pool, ended, len(specs), console, label)
        except WorkersError as error:
            n_restarts += 1
            if n_restarts > MAX_RESTARTS:
                raise
            console.print(f"{error} It is started again.", highlight=False, soft_wrap=True)
        finally:
            pool.stop()
        for update in pool.read_rest():  # a run that ended as we stopped is not trained twice
            if update.is_over and update.error is None:
                ended[update.number] = True
    return sum(ended.values())


def _show(pool: "_Pool", ended: dict[int, bool], n_runs: int, console: Console, label: str) -> None:
    """Show the runs at work until all are over, and note in `ended` how each has ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    at_work = dict[int, str]()
    hidden = not console.is_terminal  # a log wants lines, not bars
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(label, total=n_runs, completed=len(ended), now="starting")
        while len(ended) < n_runs:
            update = pool.listen()
            if update is None:
                continue
            if update.is_over:
                ended[update.number] = update.error is None
                at_work.pop(update.number, None)
                console.print(_describe_end(update), highlight=False, soft_wrap=True)
            else:
                at_work[update.number] = f"{update.name}: epoch {update.epoch}"
            bar.update(task, completed=len(ended), now="; ".join(at_work.values()))


def _describe_end(update: RunUpdate) -> str:
    if update.error is not None:
        return f"{update.name} failed: {update.error}"
    return (
        f"{update.name}: accuracy {update.accuracy:.1%}"
        if update.accuracy is not None
        else update.name
    )


class _Pool:
    """The processes, what they are to do, and what they say."""

    def __init__(self, specs: Mapping[int, RunSpec], settings: PoolSettings) -> None:
        self._tasks: Any = SPAWN.Queue()
        self._updates: Any = SPAWN.Queue()
        n_workers = min(settings.n_workers, len(specs))
        for task in (*specs.items(), *[None] * n_workers):
            self._tasks.put(task)
        n_threads = max(1, count_cpus() // n_workers)
        self._processes: list[BaseProcess] = [
            SPAWN.Process(
                target=_work,
                args=(self._tasks, self._updates, dict(settings.environment), n_threads, log),
                daemon=True,
            )
            for log in (settings.log_dir / f"beside-{i + 1}.log" for i in range(n_workers))
        ]
        self._log_dir = settings.log_dir
        for process in self._processes:
            process.start()

    def listen(self) -> RunUpdate | None:
        """Wait a moment for an update.

        Raises:
            WorkersError: A process was killed.
        """
        try:
            update: RunUpdate = self._updates.get(timeout=POLL_S)
        except queue.Empty:
            if any(process.exitcode for process in self._processes):
                raise WorkersError(
                    "A process that trained runs beside the sweep has died (killed, or no memory "
                    f"left); what it said is in {self._log_dir}."
                ) from None
            return None
        return update

    def read_rest(self) -> Iterator[RunUpdate]:
        """Give the updates that nobody has listened to."""
        while True:
            try:
                yield self._updates.get(timeout=0.1)
            except queue.Empty:
                return

    def stop(self) -> None:
        """End the processes; kill what takes over PATIENCE_S."""
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        for process in self._processes:
            process.join(PATIENCE_S)
            if process.is_alive():
                process.kill()
        for channel in (self._tasks, self._updates):
            channel.cancel_join_thread()


def _work(
    tasks: Any, updates: Any, environment: Mapping[str, str], n_threads: int, log_path: Path
) -> None:
    """Train run after run, in a process of its own."""
    os.setsid()  # Ctrl-C reaches the parent alone, and it ends us in order
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    _end_with_parent()
    log_to(log_path)
    adopt(os.environ, environment)
    import torch  # noqa: PLC0415  # after the environment, which names its threads

    torch.set_num_threads(n_threads)
    keep_freed_memory()
    load = WarmInputs().load
    while not leaving.is_set() and (task := tasks.get()) is not None:
        number, spec = task
        updates.put(RunUpdate(number, str(spec.name)))
        make_trial = partial(_ReportingTrial, number, spec, load, leaving.is_set, updates.put)
        updates.put(_train_one(make_trial))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        end_in_order()

    threading.Thread(target=wait, daemon=True).start()


class _ReportingTrial(Trial):
    """A trial whose epochs are told to the parent process."""

    def __init__(
        self,
        number: int,
        spec: RunSpec,
        load: InputsLoader,
        is_leaving: Question,
        tell: Callable[[RunUpdate], None],
    ) -> None:
        super().__init__(spec, load, is_leaving)
        self.number, self.name = number, str(spec.name)
        self.best: float | None = None
        self._tell = tell

    def listen(self, epoch: EpochResult) -> None:
        """Log an epoch, say it, and tell it."""
        super().listen(epoch)
        accuracy = epoch.values[metrics.VAL_ACCURACY]
        self.best = max(self.best or 0.0, accuracy)
        self._tell(RunUpdate(self.number, self.name, epoch.epoch, accuracy))


def _train_one(make_trial: Callable[[], _ReportingTrial]) -> RunUpdate:
    """Train a run; begin it again where the client's service, and nothing of its own, has died."""
    n_services = 0
    while True:
        trial = make_trial()
        try:
            trial.open()
            trial.close(trial.train())
        except ClientServiceError as error:
            print(f"bpsweep: {error}", flush=True)
            renew_service()
            n_services += 1
            if n_services >= MAX_SERVICES:
                return RunUpdate(trial.number, trial.name, is_over=True, error=str(error))
        except (Exception, KeyboardInterrupt) as error:
            said = f"{type(error).__name__}: {error}"
            return RunUpdate(trial.number, trial.name, is_over=True, error=said)
        else:
            return RunUpdate(trial.number, trial.name, accuracy=trial.best, is_over=True)
