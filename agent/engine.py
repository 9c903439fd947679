"""One epoch of learning and one of prediction, the same calls for torch and scikit-learn."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.nn import functional

from agent.config import RunConfig
from agent.shelf import Shelf
from data.ahead import make_ahead
from data.loader import Batch, Loader
from models import ModelConfig, build_model
from models.adam import FusedAdam
from models.mlp import MLP

Weights = dict[str, NDArray[np.float32]]
Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]
_MEASURED = Shelf[Statistics](n_kept=4)


class Engine(Protocol):
    """A model with its optimiser."""

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""

    def weights(self) -> Weights:
        """Return a copy of everything learnt, float32 arrays by name."""


def build_engine(config: RunConfig, n_labels: int, training: Loader) -> Engine:
    """Build the model and optimiser of a run.

    Args:
        config: The run's settings.
        n_labels: Number of labels L of the task.
        training: The training part; the MLPs standardise pixels by its statistics.
    """
    model = build_network(config, n_labels, training)
    if isinstance(model, MLPClassifier):
        return SklearnEngine(model, *measure_pixels(training), exclusive=is_exclusive(config))
    return TorchEngine(model, config)


def build_network(config: RunConfig, n_labels: int, training: Loader) -> nn.Module | MLPClassifier:
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


class SklearnEngine:
    """scikit-learn's MLPClassifier on standardised pixels, one `partial_fit` a batch.

    A `partial_fit` of one batch is one step of its Adam, so that batches come as they do for
    torch and no epoch is ever held in memory as a whole.
    """

    def __init__(
        self,
        model: MLPClassifier,
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        exclusive: bool,
    ) -> None:
        self._model = model
        self._mean = mean
        self._scale = scale
        self._exclusive = exclusive

    def fit_epoch(self, batches: Iterable[Batch]) -> float:
        """Learn from every batch once; return the mean training loss over the images."""
        # Our pixels are finite and our settings checked: scikit-learn need not look each step.
        with config_context(assume_finite=True, skip_parameter_validation=True):
            return self._fit_epoch(batches)

    def _fit_epoch(self, batches: Iterable[Batch]) -> float:
        loss_sum, n_images = 0.0, 0
        for pixels, labels in make_ahead(self._standardize(batch) for batch in batches):
            classes = np.arange(labels.shape[1])
            # class numbers (B,) where one label holds, else the matrix (B, L)
            targets = labels.argmax(axis=1) if self._exclusive else labels.astype(int)
            self._model.set_params(batch_size=len(pixels))  # the last one can be shorter
            self._model.partial_fit(pixels, targets, classes=classes)
            loss_sum += float(self._model.loss_) * len(pixels)
            n_images += len(pixels)
        # scikit-learn sums the loss over labels; torch, and our validation loss, take the mean
        n_outputs = 1 if self._exclusive else labels.shape[1]
        return loss_sum / n_images / n_outputs

    def _standardize(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give standardised pixels (B, S*S) and labels (B, L) of a batch."""
        pixels = batch.images.reshape(len(batch.images), -1) - self._mean
        pixels /= self._scale
        return pixels, batch.labels

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""
        with config_context(assume_finite=True):
            standard = make_ahead(self._standardize(batch) for batch in batches)
            outputs = [self._model.predict_proba(pixels) for pixels, _ in standard]
        return np.concatenate(outputs).astype(np.float32)

    def weights(self) -> Weights:
        """Return a copy of every weight matrix (in, out), bias, and the pixel statistics."""
        arrays: Weights = {"pixel_mean": self._mean, "pixel_scale": self._scale}
        for i, (matrix, bias) in enumerate(
            zip(self._model.coefs_, self._model.intercepts_, strict=True)
        ):
            arrays[f"layers.{i}.weight"] = matrix.astype(np.float32)
            arrays[f"layers.{i}.bias"] = bias.astype(np.float32)
        return arrays
