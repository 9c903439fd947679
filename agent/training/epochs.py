"""What an epoch gives, what a training gives, and the best of its epochs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.training.protocol import Weights
from bpsweep.report import metrics


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Args:
        epoch: Its number, from 1.
        values: Every metric of report.metrics.LOGGED by name.
        probabilities: (N, L) float32 in [0, 1] over the validation part.
    """

    epoch: int
    values: dict[str, float]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class TakenOver:
    """What a run has of a training that was kept.

    Args:
        n_epochs: How many of its epochs; 0 where it trained all of them.
        runs: The runs that trained them, each once.
    """

    n_epochs: int = 0
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Args:
        best: The epoch with the best validation accuracy, the earliest of equals.
        best_weights: Its weights.
        interrupted: Whether it was told to stop before its last epoch.
        taken_over: What of it was kept before.
    """

    best: EpochResult
    best_weights: Weights
    interrupted: bool
    taken_over: TakenOver = field(default_factory=TakenOver)


@dataclass(frozen=True)
class Outcome:
    """What came of a training: a result, or an error."""

    result: TrainResult | None = None
    error: BaseException | None = None


Listener = Callable[[EpochResult], None]
Question = Callable[[], bool]


def never() -> bool:
    """Answer the question whether to stop for those whom nobody can reach."""
    return False


class Tally:
    """The best epoch of a run so far, with its weights."""

    def __init__(self) -> None:
        self.best: EpochResult | None = None
        self.weights: Weights = {}

    def is_better(self, latest: EpochResult) -> bool:
        """Tell whether an epoch is the best so far."""
        return self.best is None or _accuracy(latest) > _accuracy(self.best)

    def note(self, best: EpochResult, weights: Weights) -> None:
        """Note the best epoch so far."""
        self.best, self.weights = best, weights


def _accuracy(result: EpochResult) -> float:
    return result.values[metrics.VAL_ACCURACY]
