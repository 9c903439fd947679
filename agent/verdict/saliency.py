"""What a trained model looks at: pixels that make its answer on a cell differ from the average.

The gradient of the answer with respect to the pixels, averaged over noisy copies of the image
(SmoothGrad, which leaves what the noise does not shake), times how far each pixel is from the mean
of the cells shown. The gradient alone would point at pixels that are the same in every cell.

References:
    D. Smilkov et al., SmoothGrad: removing noise by adding noise, 2017, arXiv:1706.03825.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.protocol import Weights
from bpsweep.models import ModelConfig, build_model
from bpsweep.models.lenet import LeNet5
from bpsweep.models.mlp import MLP

Forward = Callable[[torch.Tensor], torch.Tensor]

_N_COPIES: Final = 16
_NOISE: Final = 0.1  # standard deviation, in [0, 1] of the images
_BLUR: Final = 1 / 64  # of the side


def map_saliency(
    config: RunConfig,
    weights: Weights,
    images: NDArray[np.float32],
    decided: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """Measure how much each pixel contributes to what a model takes each image for.

    Args:
        config: The run's settings.
        weights: What it learnt.
        images: (N, 1, S, S) float32 in [0, 1], normalised as in training; their mean is what
            each is compared with.
        decided: (N, L) the labels that the model decided for.

    Returns:
        (N, S, S) float32 in [0, 1], each image's greatest 1; 0 all over where no pixel matters:
        the images are all the same, or the model answers the same to all.
    """
    # In double: float32 holds the answers of a model with huge weights, and not their gradient.
    forward = build_forward(config, decided.shape[1], weights, torch.float64)
    chosen = torch.from_numpy(decided.astype(np.float64))
    generator = torch.Generator().manual_seed(config.seed)
    total = torch.zeros(images.shape, dtype=torch.float64)
    for _ in range(_N_COPIES):
        noise = _NOISE * torch.randn(images.shape, generator=generator)
        noisy = (torch.from_numpy(images) + noise).double()
        noisy.requires_grad_()
        (forward(noisy) * chosen).sum().backward()  # type: ignore[no-untyped-call]
        assert noisy.grad is not None
        total += noisy.grad
    apart = images - images.mean(axis=0)
    shares = np.abs(total.numpy() * apart)[:, 0]
    maps = np.stack([gaussian_filter(one, _BLUR * images.shape[-1]) for one in shares])
    greatest = maps.max(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = (maps / np.maximum(greatest, 1e-12)).astype(np.float32)
    return scaled


def build_forward(
    config: RunConfig, n_labels: int, weights: Weights, dtype: torch.dtype = torch.float32
) -> Forward:
    """Build the function from images (N, 1, S, S) to logits (N, L) out of torch's own parts.

    Training's compiled step gives no gradient for the pixels.
    """
    name = "mlp" if config.model == "sklearn-mlp" else config.model
    n_outputs = n_labels
    if config.model == "sklearn-mlp":
        weights = _name_as_torch(weights)
        n_outputs = len(weights["layers.2.bias"])  # one where two labels exclude each other
    model = build_model(ModelConfig(name, config.image_size, n_outputs, config.seed))
    assert isinstance(model, nn.Module)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    model.to(dtype).eval()
    if isinstance(model, LeNet5):
        return _compute_lenet(model)
    assert isinstance(model, MLP)
    if n_outputs == n_labels:
        return model
    return lambda images: torch.cat([-model(images), model(images)], dim=1)


def _compute_lenet(model: LeNet5) -> Forward:
    def forward(images: torch.Tensor) -> torch.Tensor:
        x = functional.relu(functional.max_pool2d(model.conv1(images), 2))
        x = functional.relu(functional.max_pool2d(model.conv2(x), 2))
        x = functional.relu(model.fc1(x.flatten(1)))
        x = functional.relu(model.fc2(x))
        logits: torch.Tensor = model.fc3(x)
        return logits

    return forward


def _name_as_torch(weights: Weights) -> Weights:
    """scikit-learn's matrices (in, out) as torch has them."""
    return {
        name: np.ascontiguousarray(value.T) if name.endswith("weight") else value
        for name, value in weights.items()
    }
