"""The training loop: epochs, what each is worth, and the best of them. Knows nothing of wandb."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import DivergedError
from bpsweep.agent.training.control_engines import build_control_engine
from bpsweep.agent.training.engine import build_engine, is_exclusive
from bpsweep.agent.training.inputs import Inputs
from bpsweep.agent.training.protocol import Engine, Weights
from bpsweep.data.loader import Batch
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
class TrainResult:
    """What a training gave.

    Args:
        best: The epoch with the best validation accuracy, the earliest of equals.
        best_weights: Its weights.
        interrupted: Whether it was told to stop before its last epoch.
    """

    best: EpochResult
    best_weights: Weights
    interrupted: bool


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


def train(
    config: RunConfig, inputs: Inputs, listen: Listener, must_stop: Question = never
) -> TrainResult:
    """Train one configuration once; told to stop, return what there is by then.

    Args:
        config: The run's settings.
        inputs: Training and validation batches.
        listen: Called after every epoch.
        must_stop: Asked before every batch; by default nobody tells it to stop.

    Raises:
        KeyboardInterrupt: Told to stop before the first epoch ended.
        DivergedError: The training or validation loss became infinite or NaN.
    """
    engine = build_control_engine(config, inputs) or build_engine(
        config, inputs.n_labels, inputs.training
    )
    tally = Tally()
    started_s = time.perf_counter()
    try:
        for epoch in range(1, config.epochs + 1):
            latest = run_epoch(config, engine, inputs, epoch, started_s, must_stop)
            tally.add(latest, engine.weights)
            listen(latest)
    except KeyboardInterrupt:
        return tally.end(interrupted=True)
    return tally.end(interrupted=False)


def run_epoch(
    config: RunConfig,
    engine: Engine,
    inputs: Inputs,
    epoch: int,
    started_s: float,
    must_stop: Question = never,
) -> EpochResult:
    """Learn from the training part once and measure the validation part.

    Raises:
        DivergedError: A loss is not finite.
        KeyboardInterrupt: Told to stop.
    """
    before_s = time.perf_counter()
    train_loss = engine.fit_epoch(until_told(inputs.training.epoch(epoch), must_stop))
    fit_s = time.perf_counter() - before_s
    probabilities = engine.predict(inputs.validation.epoch(0))
    elapsed_s = time.perf_counter() - started_s
    return judge_epoch(
        config, inputs, FittedEpoch(epoch, train_loss, probabilities, fit_s, elapsed_s)
    )


@dataclass(frozen=True)
class FittedEpoch:
    """What an engine says of an epoch, before it is judged.

    Args:
        epoch: Its number, from 1.
        train_loss: The mean over the training images.
        probabilities: (N, L) float32 over the validation part.
        fit_s, elapsed_s: Seconds that its learning took, and since the run's first epoch began.
    """

    epoch: int
    train_loss: float
    probabilities: NDArray[np.float32]
    fit_s: float
    elapsed_s: float


def judge_epoch(config: RunConfig, inputs: Inputs, fitted: FittedEpoch) -> EpochResult:
    """Measure what an epoch is worth on the validation part.

    Raises:
        DivergedError: A loss is not finite.
    """
    probabilities = fitted.probabilities
    if not (np.isfinite(fitted.train_loss) and np.isfinite(probabilities).all()):
        raise DivergedError(
            f"training diverged in epoch {fitted.epoch}: train/loss is {fitted.train_loss!r}. "
            f"learning_rate={config.learning_rate!r} is likely too high for this model."
        )
    truth = inputs.validation_labels
    exclusive = is_exclusive(config)
    predicted = metrics.decide(probabilities, exclusive)
    values = {
        metrics.EPOCH: fitted.epoch,
        metrics.TRAIN_LOSS: fitted.train_loss,
        metrics.VAL_LOSS: metrics.log_loss(truth, probabilities, exclusive),
        metrics.VAL_ACCURACY: metrics.accuracy(truth, predicted),
        metrics.VAL_JACCARD: metrics.jaccard(truth, predicted),
        metrics.VAL_HAMMING: metrics.hamming(truth, predicted),
        metrics.IMAGES_PER_S: inputs.n_training / fitted.fit_s,
        metrics.ELAPSED_S: fitted.elapsed_s,
    }
    return EpochResult(fitted.epoch, values, probabilities)


class Tally:
    """The best epoch of a run so far, with its weights."""

    def __init__(self) -> None:
        self._best: EpochResult | None = None
        self._weights: Weights = {}

    @property
    def has_begun(self) -> bool:
        """Whether an epoch has ended."""
        return self._best is not None

    def add(self, latest: EpochResult, weights: Callable[[], Weights]) -> None:
        """Note an epoch; weights are asked for if it is the best so far."""
        if self._best is None or _accuracy(latest) > _accuracy(self._best):
            self._best, self._weights = latest, weights()

    def end(self, interrupted: bool) -> TrainResult:
        """Return what there is.

        Raises:
            KeyboardInterrupt: It was interrupted before the first epoch ended.
        """
        if self._best is None:
            raise KeyboardInterrupt
        return TrainResult(self._best, self._weights, interrupted)


def until_told(batches: Iterable[Batch], must_stop: Question) -> Iterator[Batch]:
    """Give batches on; told to stop, raise KeyboardInterrupt, as Ctrl-C would."""
    for batch in batches:
        if must_stop():
            raise KeyboardInterrupt
        yield batch
        del batch  # its memory is the next one's


def _accuracy(result: EpochResult) -> float:
    return result.values[metrics.VAL_ACCURACY]
