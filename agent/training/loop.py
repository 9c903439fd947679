"""The training loop: epochs, what each is worth, and the best of them. Knows nothing of wandb."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import DivergedError
from bpsweep.agent.training.control_engines import build_control_engine
from bpsweep.agent.training.course import Course
from bpsweep.agent.training.engine import build_engine, is_exclusive
from bpsweep.agent.training.epochs import EpochResult, Listener, Question, TrainResult, never
from bpsweep.agent.training.inputs import Inputs
from bpsweep.agent.training.protocol import Engine, ResumableEngine
from bpsweep.data.loader import Batch
from bpsweep.report import metrics


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
    return train_course(config, inputs, Course(config.epochs, listen, must_stop))


def train_course(
    config: RunConfig,
    inputs: Inputs,
    course: Course,
    at_work: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> TrainResult:
    """Train what is not kept of a run's course.

    Args:
        config: The run's settings.
        inputs: Training and validation batches.
        course: Its epochs; it is closed.
        at_work: Entered while it trains.

    Raises:
        As `train`.
    """
    try:
        if not course.take_over():
            with at_work():
                _train_rest(config, inputs, course)
    except KeyboardInterrupt:
        return course.end(interrupted=True)
    finally:
        course.close()
    return course.end(interrupted=False)


def _train_rest(config: RunConfig, inputs: Inputs, course: Course) -> None:
    def build() -> Engine:
        return build_control_engine(config, inputs) or build_engine(
            config, inputs.n_labels, inputs.training
        )

    engine, first = course.start(build)
    state = engine.state if isinstance(engine, ResumableEngine) else None
    started_s = course.find_start_s(first)
    for epoch in range(first, config.epochs + 1):
        latest = run_epoch(config, engine, inputs, epoch, started_s, course.must_stop)
        course.add(latest, engine.weights, state)


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


def until_told(batches: Iterable[Batch], must_stop: Question) -> Iterator[Batch]:
    """Give batches on; told to stop, raise KeyboardInterrupt, as Ctrl-C would."""
    for batch in batches:
        if must_stop():
            raise KeyboardInterrupt
        yield batch
        del batch  # its memory is the next one's
