"""The multi-layer perceptron of the published baseline, in torch."""

import itertools

import torch
from torch import nn
from torch.nn import functional

from bpsweep.models.linear import apply_linear

HIDDEN_UNITS = (25, 25)


class MLP(nn.Module):
    """Standardised pixels, two hidden layers of 25 ReLU units, one linear output layer.

    The same network as scikit-learn's `MLPClassifier(hidden_layer_sizes=(25, 25))` on
    standardised pixels: weights Glorot-uniform for ReLU, as there.

    Args:
        image_size: Side of the square input in pixels.
        n_labels: Number of outputs.
    """

    pixel_mean: torch.Tensor
    pixel_scale: torch.Tensor

    def __init__(self, image_size: int, n_labels: int) -> None:
        super().__init__()
        n_pixels = image_size * image_size
        self.register_buffer("pixel_mean", torch.zeros(n_pixels))
        self.register_buffer("pixel_scale", torch.ones(n_pixels))
        sizes = (n_pixels, *HIDDEN_UNITS, n_labels)
        layers = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)]
        for layer in layers:
            bound = (6.0 / (layer.in_features + layer.out_features)) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.uniform_(layer.bias, -bound, bound)
        self.layers = nn.ModuleList(layers)

    def standardize(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        """Set the statistics of the training part: mean and scale (S*S,) float32 by pixel."""
        self.pixel_mean.copy_(mean)
        self.pixel_scale.copy_(scale)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, S, S) float32 to logits (B, n_labels)."""
        x = (images.flatten(1) - self.pixel_mean) / self.pixel_scale  # (B, S*S)
        *hidden, last = self.layers
        for layer in hidden:
            assert isinstance(layer, nn.Linear)
            x = functional.relu(apply_linear(x, layer))
        return last(x)  # type: ignore[no-any-return]  # Module.__call__ is untyped
