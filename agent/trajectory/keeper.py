"""Writes a training's epochs beside the training, and lets go of what cannot be written."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpsweep.agent.trajectory.arrays import Arrays
from bpsweep.agent.trajectory.store import TrajectoryStore
from bpsweep.agent.trajectory.trajectory import KeptEpoch, Trajectory


@dataclass
class _Waiting:
    """What is still to be written: every epoch, and of the states the newest."""

    epochs: list[KeptEpoch]
    state: tuple[int, Arrays] | None = None


class Keeper:
    """Writes to a trajectory in a thread of its own, as long as that works.

    Args:
        store: Which is told what was written, and keeps its size.
        trajectory: Where to.
    """

    def __init__(self, store: TrajectoryStore, trajectory: Trajectory) -> None:
        self._store, self._trajectory = store, trajectory
        self._waiting = _Waiting([])
        self._turn = threading.Condition()
        self._is_busy = False
        self.error: Exception | None = None
        """Why nothing is written any more."""

    def keep(self, epoch: KeptEpoch, state: Mapping[str, Any]) -> None:
        """Have an epoch written and what goes on from there; return at once.

        Args:
            epoch: What it gave.
            state: A copy, which is not changed any more.
        """
        with self._turn:
            if self.error is not None:
                return
            self._waiting.epochs.append(epoch)
            self._waiting.state = (epoch.number, state)
            if not self._is_busy:
                self._is_busy = True
                threading.Thread(target=self._write_on, name="trajectory", daemon=True).start()

    def finish(self) -> None:
        """Wait until all is written."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_busy)

    def _write_on(self) -> None:
        while True:
            with self._turn:
                some, self._waiting = self._waiting, _Waiting([])
                if not some.epochs or self.error is not None:
                    self._is_busy = False
                    self._turn.notify_all()
                    return
            try:
                self._write(some)
            except Exception as error:  # whatever it is: a run must not wait for a dead thread
                self.error = error

    def _write(self, some: _Waiting) -> None:
        n_bytes = sum(self._trajectory.write_epoch(epoch) for epoch in some.epochs)
        if some.state is not None:
            n_bytes += self._trajectory.write_state(*some.state)
        self._store.note_written(n_bytes)
