"""What every engine, the model of a run with its optimiser, can do."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.loader import Batch

Weights = dict[str, NDArray[np.float32]]
"""Everything learnt, float32 arrays by name."""


class Engine(Protocol):
    """A model with its optimiser."""

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""

    def weights(self) -> Weights:
        """Return a copy of everything learnt, float32 arrays by name."""
