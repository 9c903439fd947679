"""From settings to a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from bpsweep.models.errors import ModelError
from bpsweep.models.lenet import LeNet5
from bpsweep.models.mlp import HIDDEN_UNITS, MLP

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

MODEL_NAMES = ("lenet5", "mlp", "sklearn-mlp")


@dataclass(frozen=True)
class ModelConfig:
    """What a model is built from.

    Args:
        model: One of MODEL_NAMES.
        image_size: Side of the square input in pixels.
        n_labels: Number of outputs.
        seed: Seed of the initial weights.
        batch_size, learning_rate, weight_decay: Needed by scikit-learn's model alone, which
            holds its own optimiser; weight_decay is the L2 coefficient in the gradient.
    """

    model: str
    image_size: int
    n_labels: int
    seed: int
    batch_size: int = 64
    learning_rate: float = 3e-4
    weight_decay: float = 0.0


def build_model(config: ModelConfig) -> "nn.Module | MLPClassifier":
    """Build an untrained model; the same settings give the same initial weights.

    Raises:
        ModelError: An unknown model name, or an image size that the model cannot take.
    """
    if config.model == "sklearn-mlp":
        return _build_sklearn_mlp(config)
    torch.manual_seed(config.seed)
    if config.model == "lenet5":
        return LeNet5(config.image_size, config.n_labels)
    if config.model == "mlp":
        return MLP(config.image_size, config.n_labels)
    raise ModelError(f"model={config.model!r} is unknown; choose one of {', '.join(MODEL_NAMES)}.")


def _build_sklearn_mlp(config: ModelConfig) -> "MLPClassifier":
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415  # half a second to load

    return MLPClassifier(
        hidden_layer_sizes=HIDDEN_UNITS,
        batch_size=config.batch_size,
        learning_rate_init=config.learning_rate,
        # scikit-learn divides alpha by the batch's number of images
        alpha=config.weight_decay * config.batch_size,
        shuffle=False,  # batches come shuffled; within one it would only copy the pixels
        random_state=config.seed,
    )
