"""K networks of one kind as one: grouped convolutions and batched products, each its own weights.

Small networks leave a GPU idle between kernels; one kernel for K of them does not (Wang et al.,
HFTA, MLSys 2021). Every member is the network that it would be alone: nothing is shared but the
images where all members see the same ones, and the statistics of their pixels.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from bpsweep.models.gpu import can_use_kernels, load_gpu_step
from bpsweep.models.lenet import LeNet5
from bpsweep.models.mlp import MLP

Weights = Mapping[str, torch.Tensor]
"""Every parameter by name, with the member as first axis; statistics of pixels without it."""


class Stack:
    """Some LeNet-5s or some MLPs, all of one size.

    Args:
        models: The members, with their initial weights; they are copied.

    Raises:
        TypeError: Members that are neither, or not all of one kind.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        kinds = {type(model) for model in models}
        if len(kinds) != 1 or not kinds <= set(_FORWARD):
            names = sorted(kind.__name__ for kind in kinds)
            raise TypeError(f"a stack is made of LeNet5s or of MLPs alone, not of {names}")
        self._forward = _FORWARD[kinds.pop()]
        members = [dict(model.named_parameters()) for model in models]
        self.weights = {
            name: torch.stack([member[name].detach() for member in members]).requires_grad_()
            for name in members[0]
        }
        self.buffers = {name: value.clone() for name, value in models[0].named_buffers()}

    def __len__(self) -> int:
        """Members."""
        return len(next(iter(self.weights.values())))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Map images to logits (K, B, L).

        Args:
            images: (1, B, 1, S, S) for all members alike, or (K, B, 1, S, S), each its own.
        """
        assert len(images) in (1, len(self))
        return self._forward({**self.weights, **self.buffers}, images)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Stack":
        """Move weights and statistics, in place."""
        for name, value in self.weights.items():
            self.weights[name] = value.detach().to(device, dtype).requires_grad_()
        self.buffers = {name: value.to(device, dtype) for name, value in self.buffers.items()}
        return self

    def keep(self, members: Sequence[int]) -> None:
        """Leave out all members but these, which stay as they are."""
        for name, value in self.weights.items():
            self.weights[name] = value.detach()[list(members)].clone().requires_grad_()

    @torch.no_grad()
    def restore(self, index: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Give a member other weights, by name; statistics among them are those of all already."""
        for name, value in self.weights.items():
            value[index].copy_(weights[name])

    def member(self, index: int) -> dict[str, torch.Tensor]:
        """Return one member's weights and statistics by name; views, not copies."""
        own = {name: value.detach()[index] for name, value in self.weights.items()}
        return {**own, **self.buffers}


def _forward_lenet(weights: Weights, images: torch.Tensor) -> torch.Tensor:
    """As LeNet5.forward; pooling before ReLU is the same function on a quarter of the values."""
    n_models = len(weights["conv1.weight"])
    if can_use_kernels(images) and (kernels := load_gpu_step().kernels) is not None:
        for name in ("conv1", "conv2"):
            pair = weights[f"{name}.weight"], weights[f"{name}.bias"]
            images = kernels.conv_pool_relu(images, *pair)  # (K, B, channels, Y, X)
        return _classify(weights, images.flatten(2))
    is_shared = len(images) == 1
    x = images[0] if is_shared else images[:, :, 0].transpose(0, 1)  # (B, 1 or K, S, S)
    x = x.contiguous(memory_format=torch.channels_last)
    for name, n_groups in (("conv1", 1 if is_shared else n_models), ("conv2", n_models)):
        kernel = weights[f"{name}.weight"].flatten(0, 1)
        x = functional.conv2d(x, kernel, weights[f"{name}.bias"].flatten(), groups=n_groups)
        x = functional.relu(functional.max_pool2d(x, 2))  # (B, K * channels, Y, X)
    return _classify(weights, x.reshape(len(x), n_models, -1).transpose(0, 1))


def _classify(weights: Weights, features: torch.Tensor) -> torch.Tensor:
    """Map features (K, B, F) to logits (K, B, L) by LeNet-5's linear layers."""
    x = functional.relu(_multiply(weights, "fc1", features))
    x = functional.relu(_multiply(weights, "fc2", x))
    return _multiply(weights, "fc3", x)


def _forward_mlp(weights: Weights, images: torch.Tensor) -> torch.Tensor:
    """As MLP.forward."""
    x = (images.flatten(2) - weights["pixel_mean"]) / weights["pixel_scale"]  # (1 or K, B, S*S)
    names = sorted({name.rpartition(".")[0] for name in weights if name.startswith("layers.")})
    for name in names[:-1]:
        x = functional.relu(_multiply(weights, name, x))
    return _multiply(weights, names[-1], x)


def _multiply(weights: Weights, name: str, inputs: torch.Tensor) -> torch.Tensor:
    """Map inputs (1 or K, B, I) through K linear layers to (K, B, O)."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if len(inputs) == len(weight):
        return torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))
    n_models, n_out, _ = weight.shape
    outputs = functional.linear(inputs[0], weight.flatten(0, 1), bias.flatten())  # (B, K * O)
    return outputs.view(-1, n_models, n_out).transpose(0, 1)


_FORWARD: dict[type[nn.Module], Callable[[Weights, torch.Tensor], torch.Tensor]] = {
    LeNet5: _forward_lenet,
    MLP: _forward_mlp,
}
