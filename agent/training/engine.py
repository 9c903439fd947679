"""One epoch of learning and one of prediction, the same calls for every model."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.lru import LruCache
from bpsweep.agent.training.protocol import Engine, State, Weights
from bpsweep.data.ahead import make_ahead
from bpsweep.data.loader import Batch, Loader
from bpsweep.models import ModelConfig, build_model
from bpsweep.models.adam import FusedAdam
from bpsweep.models.mlp import MLP

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]
_MEASURED = LruCache[Statistics](n_kept=4)


def build_engine(config: RunConfig, n_labels: int, training: Loader) -> Engine:
    """Build the model and optimiser of a run.

    Args:
        config: The run's settings.
        n_labels: Number of labels L of the task.
        training: The training part; the MLPs standardise pixels by its statistics.
    """
    model = build_network(config, n_labels, training)
    if isinstance(model, nn.Module):
        return TorchEngine(model, config)
    from bpsweep.agent.training.sklearn_engine import SklearnEngine  # noqa: PLC0415  # half a second to load

    return SklearnEngine(model, *measure_pixels(training), exclusive=is_exclusive(config))


def build_network(
    config: RunConfig, n_labels: int, training: Loader
) -> "nn.Module | MLPClassifier":
    """Build the untrained model of a run, torch's MLP with the statistics of its pixels."""
    model = build_model(
        ModelConfig(
            model=config.model,
            image_size=config.image_size,
            n_labels=n_labels,
            seed=config.seed,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
    )
    if isinstance(model, MLP):
        mean, scale = measure_pixels(training)
        model.standardize(torch.from_numpy(mean), torch.from_numpy(scale))
    return model


def is_exclusive(config: RunConfig) -> bool:
    """Tell whether exactly one label holds for each image of the run's task."""
    return config.task == "single-label"


def measure_pixels(training: Loader) -> Statistics:
    """Return mean and standard deviation (S*S,) of every pixel over the training part.

    They are those of the images as they are, before augmentation, and measured once for all runs
    of a process. A pixel that never changes gets scale 1, as in scikit-learn's StandardScaler.
    """
    return _MEASURED.get(training.key, lambda: _measure_pixels(training.plain()))


def _measure_pixels(training: Loader) -> Statistics:
    """Measure in one pass, about the first batch's mean so that squares keep their digits."""
    center: NDArray[np.float32] | None = None
    sums: list[NDArray[np.float32]] = []
    squares: list[NDArray[np.float32]] = []
    n_images = 0
    for batch in make_ahead(training.epoch(0)):
        pixels = batch.images.reshape(len(batch.images), -1)  # (B, S*S)
        if center is None:
            center = pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
        pixels = pixels - center
        sums.append(pixels.sum(axis=0))
        squares.append(np.square(pixels, out=pixels).sum(axis=0))
        n_images += len(pixels)
    assert center is not None
    drift = np.sum(sums, axis=0, dtype=np.float64) / n_images
    variance = np.sum(squares, axis=0, dtype=np.float64) / n_images - drift**2
    scale = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    scale[scale < 1e-6] = 1
    return (center + drift).astype(np.float32), scale


class TorchEngine:
    """A torch network under Adam: cross-entropy for one label, binary cross-entropy for many."""

    def __init__(self, model: nn.Module, config: RunConfig) -> None:
        self._model = model
        self._exclusive = is_exclusive(config)
        self._optimizer = FusedAdam(model.parameters(), config.learning_rate, config.weight_decay)

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""
        self._model.train()
        loss_sum, n_images = 0.0, 0
        for batch in batches:
            loss = self._loss(torch.from_numpy(batch.images), torch.from_numpy(batch.labels))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            self._optimizer.step()
            self._optimizer.zero_grad()  # at once: the next step has use for their memory
            loss_sum += loss.item() * len(batch.images)
            n_images += len(batch.images)
            del batch  # its memory is the next one's
        return loss_sum / n_images

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = self._model(images)  # (B, L)
        if self._exclusive:
            return functional.cross_entropy(logits, labels)
        return functional.binary_cross_entropy_with_logits(logits, labels)

    @torch.no_grad()
    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""
        self._model.eval()
        outputs = [self._model(torch.from_numpy(batch.images)) for batch in batches]
        logits = torch.cat(outputs)
        probabilities = logits.softmax(dim=1) if self._exclusive else logits.sigmoid()
        return probabilities.numpy()

    def weights(self) -> Weights:
        """Return a copy of every parameter and buffer by name."""
        return {name: value.numpy().copy() for name, value in self._model.state_dict().items()}

    def state(self) -> State:
        """Return a copy of all that the next epoch goes on from."""
        weights = {f"weights/{name}": value for name, value in self.weights().items()}
        moments = {f"adam/{name}": value for name, value in self._optimizer.state().items()}
        return {**weights, **moments, "generator": torch.get_rng_state().numpy().copy()}

    def restore(self, state: State) -> None:
        """Go on from a state.

        Raises:
            KeyError, RuntimeError: It is not of this model.
        """
        parts = split_state(state)
        weights = {name: torch.from_numpy(value) for name, value in parts["weights"].items()}
        self._model.load_state_dict(weights)
        self._optimizer.restore(parts["adam"])
        torch.set_rng_state(torch.from_numpy(state["generator"]))


def split_state(state: State) -> dict[str, State]:
    """Return the arrays of a state by what stands before the first slash of their names."""
    parts: dict[str, State] = {}
    for name, value in state.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    return parts
