"""A trained model from its weights, to predict with: nothing is trained again."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.training.engine import TorchEngine, is_exclusive
from bpsweep.agent.training.protocol import Weights
from bpsweep.agent.training.sklearn_engine import SklearnEngine, lay_out
from bpsweep.data.loader import Batch
from bpsweep.models import ModelConfig, build_model


class Predictor(Protocol):
    """A trained model."""

    def predict(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Return probabilities (N, L) in [0, 1], in the order of the batches."""


def restore_model(config: RunConfig, n_labels: int, weights: Weights) -> Predictor:
    """Build a run's model and give it the weights that the run kept.

    Args:
        config: The run's settings.
        n_labels: Number of labels L of the task.
        weights: Float32 arrays by name, as `Engine.weights` returns them.

    Raises:
        ConfigError: The weights are of another model.
    """
    model = build_model(ModelConfig(config.model, config.image_size, n_labels, config.seed))
    try:
        if isinstance(model, MLPClassifier):
            return _restore_sklearn(model, config, n_labels, weights)
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"the weights kept are not of {config.model} at {config.image_size} px with "
            f"{n_labels} labels: {error}"
        ) from error
    return TorchEngine(model, config)


def _restore_sklearn(
    model: MLPClassifier, config: RunConfig, n_labels: int, weights: Weights
) -> SklearnEngine:
    exclusive = is_exclusive(config)
    mean, scale = weights["pixel_mean"], weights["pixel_scale"]
    lay_out(model, mean.size, n_labels, exclusive)
    for i, (matrix, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        kept = weights[f"layers.{i}.weight"], weights[f"layers.{i}.bias"]
        if (kept[0].shape, kept[1].shape) != (matrix.shape, bias.shape):
            raise ValueError(f"layer {i} is {kept[0].shape}, {matrix.shape} is needed")
        model.coefs_[i], model.intercepts_[i] = kept
    return SklearnEngine(model, mean, scale, exclusive)
