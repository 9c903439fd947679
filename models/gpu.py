"""Which kernels a CUDA GPU computes stacks with: ours in Triton, or torch where they fail."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from bpsweep.models.compiled import SWITCH, is_switched_on

if TYPE_CHECKING:
    from bpsweep.models.gpu_adam import StackedAdam

MAX_ERROR = 1e-5
"""Relative error of values and gradients beyond which our kernels are not used."""
_SHAPES = ((2, 6, 1, 5, 5), (2, 6), (2, 16, 6, 5, 5), (2, 16))

ConvPoolReLU = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Kernels:
    """Ours: see `bpsweep.models.gpu_convpool` and `bpsweep.models.gpu_adam`."""

    conv_pool_relu: ConvPoolReLU
    adam: "type[StackedAdam]"


@dataclass(frozen=True)
class GPUStep:
    """Our kernels, or None; and what is in use, in words."""

    kernels: Kernels | None
    description: str


def can_use_kernels(values: torch.Tensor) -> bool:
    """Tell whether our kernels are made for such values: float32 on a CUDA GPU."""
    return values.is_cuda and values.dtype == torch.float32


@cache
def load_gpu_step() -> GPUStep:
    """Load our kernels and try them once: what disagrees with torch is not used.

    Whatever stands in the way is told in the description, never raised: torch takes over. It takes
    some seconds where Triton has not compiled them on this machine before.
    """
    if not is_switched_on():
        return GPUStep(None, f"torch ({SWITCH}=0)")
    try:
        from bpsweep.models.gpu_adam import StackedAdam  # noqa: PLC0415  # a CPU's torch has no Triton
        from bpsweep.models.gpu_convpool import conv_pool_relu  # noqa: PLC0415

        name = f"Triton {metadata.version('triton')}"
        error = measure_error(conv_pool_relu, torch.device("cuda"))
    except Exception as problem:  # compilers, drivers and GPUs fail in their own ways
        said = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        return GPUStep(None, f"torch (no kernels by Triton: {said})")
    if not error < MAX_ERROR:
        return GPUStep(None, f"torch ({name} is wrong by {error:.1g} here)")
    return GPUStep(Kernels(conv_pool_relu, StackedAdam), f"compiled ({name})")


def measure_error(conv_pool_relu: ConvPoolReLU, device: torch.device) -> float:
    """Return the greatest relative error of values and gradients against torch in float64."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 1, 33, 33, generator=generator)
    weights = [torch.rand(shape, generator=generator).sub_(0.5) for shape in _SHAPES]
    results = []
    for apply, place, dtype in (
        (conv_pool_relu, device, torch.float32),
        (apply_torch, torch.device("cpu"), torch.float64),
    ):
        learnt = [one.to(place, dtype).requires_grad_() for one in weights]
        with torch.enable_grad():
            x = apply(apply(images.to(place, dtype), *learnt[:2]), *learnt[2:])
            gradients = torch.autograd.grad((x * x.detach()).sum(), learnt)
        results.append([one.detach().cpu().double() for one in (x, *gradients)])
    ours, theirs = results
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)
    )


def apply_torch(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """As our kernel, model by model by torch."""
    shown = images.expand(len(weight), *images.shape[1:])
    return torch.stack(
        [
            functional.relu(functional.max_pool2d(functional.conv2d(*one), 2))
            for one in zip(shown, weight, bias, strict=True)
        ]
    )
