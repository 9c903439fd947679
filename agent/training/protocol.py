"""What every engine, the model of a run with its optimiser, can do."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.loader import Batch

Weights = dict[str, NDArray[np.float32]]
"""Everything learnt, float32 arrays by name."""
State = dict[str, NDArray[Any]]
"""All that the next epoch goes on from, arrays by name: weights, both Adam moments, step count."""


class Engine(Protocol):
    """A model with its optimiser."""

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""

    def weights(self) -> Weights:
        """Return a copy of everything learnt, float32 arrays by name."""


@runtime_checkable
class ResumableEngine(Engine, Protocol):
    """An engine that can go on where another one of the same run has stopped."""

    def state(self) -> State:
        """Return a copy of all that the next epoch goes on from."""

    def restore(self, state: State) -> None:
        """Go on from a state.

        Raises:
            KeyError, ValueError, RuntimeError: It is not of this model.
        """
