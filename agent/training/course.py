"""The course of one training: epochs that are kept are taken over, new ones are told and kept."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bpsweep.agent.training.epochs import (
    EpochResult,
    Listener,
    Question,
    TakenOver,
    Tally,
    TrainResult,
    never,
)
from bpsweep.agent.training.protocol import Engine, ResumableEngine, State, Weights
from bpsweep.agent.trajectory.keeper import Keeper
from bpsweep.agent.trajectory.store import TrajectoryStore
from bpsweep.agent.trajectory.trajectory import KeptEpoch, Trajectory
from bpsweep.report import metrics

POLL_S = 0.1
"""How often a run that goes behind another process looks for its next epoch."""
STANDSTILL_S = 120.0
"""How long no epoch may come before a run trains by itself."""


def say_nothing(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept, and for whom.

    Args:
        store: All that are kept.
        trajectory: This one.
        run: The id of the run that trains it.
        say: Takes a line for the user.
    """

    store: TrajectoryStore
    trajectory: Trajectory
    run: str = "?"
    say: Callable[[str], None] = say_nothing


class Course:
    """A run's epochs one after the other, each told once, wherever it comes from.

    Args:
        n_epochs: How many there are to be.
        listen: Told every epoch.
        must_stop: Asked whether the run is to end with what it has.
        keeping: Where it is kept; None where it is not.
    """

    def __init__(
        self,
        n_epochs: int,
        listen: Listener,
        must_stop: Question = never,
        keeping: Keeping | None = None,
    ) -> None:
        self.n_epochs, self.must_stop = n_epochs, must_stop
        self.n_told = 0
        self.has_trained = False
        self._listen, self._keeping = listen, keeping
        self._tally = Tally()
        self._elapsed_s = [0.0]  # by epoch
        self._n_taken = 0
        self._runs: dict[str, None] = {}  # whose epochs were taken, in order
        self._keeper = Keeper(keeping.store, keeping.trajectory) if keeping else None

    @property
    def is_whole(self) -> bool:
        """Whether every epoch was told."""
        return self.n_told >= self.n_epochs

    def take_over(self, *, wait: bool = True) -> bool:
        """Tell the epochs that are kept; return whether those were all.

        Args:
            wait: Whether to go behind another process that is at the same training, epoch by
                epoch; it is left when none comes for STANDSTILL_S.

        Raises:
            KeyboardInterrupt: The run was told to stop.
        """
        if self._keeping is None:
            return False
        self._tell_kept()
        if not self.is_whole and not self._keeping.trajectory.try_lock() and wait:
            self._keeping.say("Another process trains the same: its epochs are taken over.")
            self._go_behind()
        self._tell_kept()  # what came before the lock
        if self._n_taken:
            self._keeping.say(self._describe_taken())
        return self.is_whole

    def _tell_kept(self) -> None:
        assert self._keeping is not None
        while not self.is_whole:
            kept = self._keeping.trajectory.read_epoch(self.n_told + 1)
            if kept is None:
                return
            result = EpochResult(kept.number, dict(kept.values), kept.probabilities)
            if kept.weights is None and self._tally.is_better(result):
                return  # not whole: it would be a best epoch without its weights
            if self.must_stop():
                raise KeyboardInterrupt
            self._n_taken += 1
            self._runs[str(kept.origin.get("run"))] = None
            is_best = kept.weights is not None and self._tally.is_better(result)
            self._hear(result, dict(kept.weights or {}) if is_best else None)

    def _go_behind(self) -> None:
        """Tell the epochs of another process as they come, until it ends or stands still."""
        assert self._keeping is not None
        n_told, since_s = self.n_told, time.monotonic()
        while not self.is_whole and time.monotonic() - since_s < STANDSTILL_S:
            if self.must_stop():
                raise KeyboardInterrupt
            if self._keeping.trajectory.try_lock():
                return
            time.sleep(POLL_S)
            self._tell_kept()
            if self.n_told > n_told:
                n_told, since_s = self.n_told, time.monotonic()

    def find_state(self) -> tuple[int, State] | None:
        """Return after which epoch this run can go on, and from what; None: from its beginning."""
        if self._keeping is None or self.n_told == 0:
            return None
        return self._keeping.trajectory.read_state(self.n_told)

    def start(self, build: Callable[[], Engine]) -> tuple[Engine, int]:
        """Build an engine that goes on from what is kept; return it with its next epoch."""
        engine = build()
        found = self.find_state()
        if found is None or not isinstance(engine, ResumableEngine):
            return engine, 1
        try:
            engine.restore(found[1])
        except (KeyError, ValueError, RuntimeError):  # broken: begin at the beginning
            return build(), 1
        return engine, found[0] + 1

    def find_start_s(self, epoch: int) -> float:
        """Return at which time on the clock the first epoch began, or would have, see `add`."""
        return time.perf_counter() - self._elapsed_s[epoch - 1]

    def add(
        self, latest: EpochResult, weights: Callable[[], Weights], state: Callable[[], State] | None
    ) -> None:
        """Note a new epoch, keep it, and tell it; one that was told already is only gone over.

        Args:
            latest: What it gave.
            weights: Gives a copy of the weights after it.
            state: Gives a copy of all that the next one goes on from.
        """
        self.has_trained = True
        if latest.epoch <= self.n_told:
            return
        best = weights() if self._tally.is_better(latest) else None
        if self._keeper is not None and state is not None and self._keeper.error is None:
            self._keeper.keep(self._describe(latest, best), state())
        self._hear(latest, best)

    def _hear(self, latest: EpochResult, best: Weights | None) -> None:
        if best is not None:
            self._tally.note(latest, best)
        self.n_told = latest.epoch
        self._elapsed_s.append(latest.values[metrics.ELAPSED_S])
        self._listen(latest)

    def _describe(self, latest: EpochResult, best: Weights | None) -> KeptEpoch:
        assert self._keeping is not None
        origin = {
            "run": self._keeping.run,
            "host": platform.node(),
            "threads": torch.get_num_threads(),
        }
        return KeptEpoch(latest.epoch, latest.values, latest.probabilities, best, origin)

    def _describe_taken(self) -> str:
        left = self.n_epochs - self.n_told
        return (
            f"{self._n_taken} of {self.n_epochs} epochs are those that "
            f"{' and '.join(self._runs)} trained with the same settings; "
            + (f"{left} are left to train." if left else "none is left to train.")
        )

    def close(self) -> None:
        """Wait until all is kept, and let others go on; say once what cannot be kept."""
        if self._keeping is None or self._keeper is None:
            return
        self._keeper.finish()
        self._keeping.trajectory.unlock()
        if self._keeper.error is not None and not self._keeping.store.is_refused:
            self._keeping.store.is_refused = True
            self._keeping.say(
                f"What runs train is not kept for others to go on from: {self._keeper.error}. "
                f"Make space in {str(self._keeping.store.folder)!r}; no result is lost by it."
            )

    def end(self, *, interrupted: bool) -> TrainResult:
        """Return what there is.

        Raises:
            KeyboardInterrupt: It was interrupted before the first epoch ended.
        """
        if self._tally.best is None:
            raise KeyboardInterrupt
        taken = TakenOver(self._n_taken, tuple(self._runs))
        return TrainResult(self._tally.best, self._tally.weights, interrupted, taken)
