"""A warm worker: one process that trains run after run of a sweep.

It stands for a stock `wandb agent` and the process that one starts for every run. Imports, opened
caches, pixel statistics and the compiled step stay from run to run; pictures, uploads and the end
of a run are dealt with beside the training of the next.
"""

import os
import signal
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

from bpsweep.agent.errors import DivergedError, NoRoomError, TrackingError
from bpsweep.agent.interrupt import SIGNALS
from bpsweep.agent.runs.trial import Trial
from bpsweep.agent.tracking.queue import Job, SweepQueue
from bpsweep.agent.tracking.room import wait_for_room
from bpsweep.agent.tracking.run import RunSpec
from bpsweep.agent.training.device import choose_device
from bpsweep.agent.training.epochs import Outcome
from bpsweep.agent.training.group import train_group
from bpsweep.agent.training.member import group_runs
from bpsweep.agent.training.memory import give_back_memory, keep_freed_memory
from bpsweep.agent.training.warm_inputs import WarmInputs

MAX_FAILURES = 5
"""Runs that may fail one after the other; as for a stock agent, more say that all would."""
MAX_CLOSING = 2
"""Ended runs whose results may wait to be kept; each holds its weights in memory."""
GPU_STACK, GPU_STACK_LEARNING = 16, 4
"""Runs to take at once on a GPU; fewer for a search that learns from results."""
RENEW_AFTER = 25
"""Runs after which the client's service starts anew: wandb-core 0.31 keeps 4 MB of each."""
MAX_CLOSERS = 4
"""Threads that end the runs of a stack."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""How long to wait after W&B has not answered: twice as long each time."""
EXIT_DONE, EXIT_GAVE_UP, EXIT_INTERRUPTED = 0, 1, 130


class Worker:
    """Trains runs of a sweep until none is left.

    Args:
        queue: Hands the runs out.
        n_runs: How many to train at most.
        n_stacked: How many to take at once; those that differ in learning rate, weight decay,
            seed and epochs alone are trained as one network where that is faster.
        inputs: What is loaded already.
    """

    def __init__(
        self,
        queue: SweepQueue,
        n_runs: int | None = None,
        n_stacked: int = 1,
        inputs: WarmInputs | None = None,
    ) -> None:
        self._queue = queue
        self._n_left = n_runs
        self._n_stacked = n_stacked
        self._load = (inputs or WarmInputs()).load
        self._closing: deque[Future[None]] = deque()
        self._n_failed = 0  # in a row
        self._n_since_renewal = 0
        self._pause_s = FIRST_PAUSE_S
        self._is_leaving = False

    def leave(self) -> None:
        """End the run at work with what it has, and take no other; safe in a signal handler."""
        self._is_leaving = True

    def work(self) -> int:
        """Train run after run; return the exit status."""
        try:
            with ThreadPoolExecutor(min(self._n_stacked, MAX_CLOSERS), "closing") as pool:
                while jobs := self._take_some():
                    self._work_on(jobs, pool)
                self._settle(0)
        except NoRoomError as error:
            print(f"bpsweep: {error}", flush=True)
            return EXIT_GAVE_UP
        finally:
            self._queue.close()
        if self._n_failed >= MAX_FAILURES:
            print(f"{MAX_FAILURES} runs failed one after the other; no further one is tried.")
            return EXIT_GAVE_UP
        return EXIT_INTERRUPTED if self._is_leaving else EXIT_DONE

    def _take_some(self) -> list[Job]:
        """Return the next runs; a search that learns from results gets the last ones first."""
        self._settle(MAX_CLOSING * self._n_stacked if self._queue.is_orderly else 0)
        if self._n_since_renewal >= RENEW_AFTER and not self._is_over():
            self._settle(0)
            self._reconnect()
            self._n_since_renewal = 0
        wait_for_room(lambda: self._is_leaving)
        jobs: list[Job] = []
        while len(jobs) < self._n_stacked and not self._is_over():
            try:
                job = self._queue.take(lambda: self._is_leaving, wait=not jobs)
            except TrackingError as error:
                if jobs:
                    break
                self._recover(error)
                continue
            if job is None:
                break
            jobs.append(job)
            self._n_since_renewal += 1
            if self._n_left is not None:
                self._n_left -= 1
        return jobs

    def _is_over(self) -> bool:
        return self._is_leaving or self._n_left == 0 or self._n_failed >= MAX_FAILURES

    def _work_on(self, jobs: list[Job], pool: ThreadPoolExecutor) -> None:
        """Open and train runs; the pool deals with the end of each."""
        opened = [(job, trial) for job in jobs if (trial := self._open(job)) is not None]
        for group in group_runs([trial.config for _, trial in opened]):
            some = [opened[i] for i in group]
            for i, outcome in train_group([trial.member() for _, trial in some]):
                give_back_memory()
                self._closing.append(pool.submit(self._close, *some[i], outcome))

    def _open(self, job: Job) -> Trial | None:
        spec = RunSpec(
            values=job.values,
            run_id=job.run_id,
            sweep_id=self._queue.sweep_id,
            entity=self._queue.entity,
            project=self._queue.project,
        )
        trial = Trial(spec, self._load, lambda: self._is_leaving)
        self._queue.obey(job, trial.tracked.stop)
        try:
            trial.open()
        except Exception as error:
            self._queue.give_back(job)
            self._note(error)
            return None
        return trial

    def _close(self, job: Job, trial: Trial, outcome: Outcome) -> None:
        try:
            trial.close(outcome)
        finally:
            self._queue.give_back(job)

    def _settle(self, n_waiting: int) -> None:
        """Wait until no more than so many ended runs are still to be kept."""
        while len(self._closing) > n_waiting or (self._closing and self._closing[0].done()):
            self._note(self._closing.popleft().exception())

    def _note(self, error: BaseException | None) -> None:
        """Count runs that fail one after the other; one that diverges is a result."""
        if isinstance(error, NoRoomError):  # nobody's failure
            print(f"bpsweep: {error}", flush=True)
            wait_for_room(lambda: self._is_leaving)
        elif isinstance(error, TrackingError):
            self._recover(error)
        elif isinstance(error, Exception) and not isinstance(error, DivergedError):
            self._n_failed += 1
        else:
            self._n_failed = 0
            self._pause_s = FIRST_PAUSE_S

    def _recover(self, error: TrackingError) -> None:
        """Wait a while for W&B, and speak to it anew."""
        print(f"bpsweep: {error}\nTrying again in {self._pause_s:.0f} s.", flush=True)
        self._settle(0)
        until = time.monotonic() + self._pause_s
        while not self._is_leaving and time.monotonic() < until:
            time.sleep(0.2)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._reconnect()

    def _reconnect(self) -> None:
        """Speak to W&B anew, as often as it takes."""
        while not self._is_leaving:
            try:
                self._queue.reconnect(lambda: self._is_leaving)
                return
            except TrackingError as error:
                print(f"bpsweep: {error}", flush=True)
                time.sleep(FIRST_PAUSE_S)


def choose_stack(queue: SweepQueue) -> int:
    """Return how many runs to take at once: several where a GPU trains them in the time of one."""
    if choose_device().type == "cpu":
        return 1
    return GPU_STACK if queue.is_orderly else GPU_STACK_LEARNING


def run_worker(
    sweep: str,
    n_runs: int | None = None,
    n_stacked: int | None = None,
    inputs: WarmInputs | None = None,
) -> int:
    """Train runs of a sweep in this process until none is left; return the exit status.

    The arguments are those of Worker; without `n_stacked` the device decides.

    SIGINT and SIGTERM end the run at work with what it has; the second one ends all at once.

    Raises:
        TrackingError: No such sweep, no key, or the server does not answer.
    """
    keep_freed_memory()
    queue = SweepQueue(sweep)
    worker = Worker(queue, n_runs, n_stacked or choose_stack(queue), inputs)

    def leave(signum: int, frame: FrameType | None) -> None:
        worker.leave()
        os.write(2, b"bpsweep: ending with what the runs have; once more, and it ends at once.\n")
        signal.signal(signum, signal.SIG_DFL)

    for sent in SIGNALS:
        signal.signal(sent, leave)
    return worker.work()
