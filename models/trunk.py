"""LeNet-5 up to its first linear layer, as one step where both parts are compiled.

The linear layer holds nearly all weights, the convolutions nearly all values between the layers.
One after the other, their gradients need the memory of either, not of both: at 200 pixels 17 MB
less for each of the workers that share a machine.
"""

import ctypes
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from bpsweep.models.convpool import (
    can_compile,
    conv_pool_relu_twice,
    load_step,
    run_backward,
    run_forward,
)
from bpsweep.models.linear import apply_linear, can_use_onednn, multiply


def apply_trunk(
    images: torch.Tensor, first: nn.Conv2d, second: nn.Conv2d, linear: nn.Linear
) -> torch.Tensor:
    """Map images (B, 1, S, S) to what the linear layer makes of their features, (B, O)."""
    assert first.bias is not None
    assert second.bias is not None
    pairs = (first.weight, first.bias, second.weight, second.bias)
    is_learning = torch.is_grad_enabled() and linear.weight.requires_grad
    if is_learning and can_compile(images, pairs) and can_use_onednn(images.flatten(1), linear):
        library = load_step().library
        if library is not None:
            weights = (*pairs, linear.weight, linear.bias)
            outputs: torch.Tensor = _Trunk.apply(library, images, *weights)  # type: ignore[no-untyped-call]
            return outputs
    return apply_linear(conv_pool_relu_twice(images, first, second).flatten(1), linear)


class _Trunk(torch.autograd.Function):
    """Both pairs and the linear layer; its gradients can be had once."""

    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, images: torch.Tensor, *weights: torch.Tensor
    ) -> torch.Tensor:
        *pairs, weight, bias = weights
        features, kept = run_forward(library, images, tuple(pairs), keeps=True)
        ctx.library, ctx.kept, ctx.shape = library, kept, features.shape
        features = features.flatten(1)
        ctx.save_for_backward(images, pairs[2], weight, features)
        return multiply(features, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, second, weight, features = ctx.saved_tensors
        kept, ctx.kept = ctx.kept, None  # torch would hold what it has saved to the end
        assert kept is not None, "the gradients of one forward pass can be computed once"
        to_features = multiply(gradient, weight.t()).view(ctx.shape)
        of_pairs = run_backward(ctx.library, images, second, kept, to_features)
        del kept, to_features
        of_weight = multiply(gradient.t(), features.t())  # (O, I)
        return None, None, *of_pairs, of_weight, gradient.sum(0)
