"""LeNet-5's two convolution-pool-ReLU pairs: compiled where that is possible, else torch."""

import ctypes
from functools import cache
from typing import Any, Final

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bpsweep.models.compiled import Compiled, load_compiled

_WEIGHT_SHAPES: Final = ((6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,))
_MIN_SIDE: Final = 16  # of which one pixel is left
_MAX_ERROR: Final = 1e-4  # of the greatest value, in the trial

Weights = tuple[torch.Tensor, ...]
"""Of the first convolution (6, 1, 5, 5), its bias, of the second (16, 6, 5, 5), its bias."""


def conv_pool_relu_twice(images: torch.Tensor, first: nn.Conv2d, second: nn.Conv2d) -> torch.Tensor:
    """Map images (B, 1, S, S) to features (B, 16, S'', S'').

    Float32 on the CPU goes through `convpool.cpp`, both pairs in one pass over each image; all
    else through torch.
    """
    assert first.bias is not None
    assert second.bias is not None
    weights = (first.weight, first.bias, second.weight, second.bias)
    if can_compile(images, weights) and (library := load_step().library) is not None:
        return _apply_compiled(library, images, weights)
    return _apply_torch(images, weights)


def can_compile(images: torch.Tensor, weights: Weights) -> bool:
    """Tell whether the compiled step is made for these tensors."""
    return (
        all(one.dtype == torch.float32 and one.device.type == "cpu" for one in (images, *weights))
        and tuple(tuple(one.shape) for one in weights) == _WEIGHT_SHAPES
        and images.ndim == 4
        and images.shape[0] > 0
        and images.shape[1] == 1
        and images.shape[2] == images.shape[3] >= _MIN_SIDE
        and not images.requires_grad
        and not torch.compiler.is_compiling()
    )


def describe_cpu_step() -> str:
    """Return which step is in use here and why, as "compiled (g++ 12.2.0, AVX-512)"."""
    return load_step().description


@cache
def load_step() -> Compiled:
    """Load the compiled step and try it once: what disagrees with torch is not used."""
    compiled = load_compiled()
    if compiled.library is None:
        return compiled
    error = _measure_error(compiled.library)
    if error < _MAX_ERROR:
        return compiled
    said = compiled.description.removeprefix("compiled ")
    return Compiled(None, f"torch (the compiled step {said} is wrong by {error:.1g} here)")


def _measure_error(library: ctypes.CDLL) -> float:
    """Return the greatest relative error of values and gradients on a few small images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 33, 33, generator=generator)
    results = []
    for apply in (lambda *given: _apply_compiled(library, *given), _apply_torch):
        generator.manual_seed(1)
        weights = tuple(
            torch.rand(shape, generator=generator).sub_(0.5).requires_grad_()
            for shape in _WEIGHT_SHAPES
        )
        with torch.enable_grad():
            features = apply(images, weights)
            weighted = (features * features.detach()).sum()
        results.append([features.detach(), *torch.autograd.grad(weighted, weights)])
    errors = [(a - b).abs().max() / b.abs().max() for a, b in zip(*results, strict=True)]
    return float(torch.stack(errors).nan_to_num(torch.inf).max())


def _apply_torch(images: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Pooling before ReLU is the same function as after it, on a quarter of the values."""
    x = images
    for weight, bias in (weights[:2], weights[2:]):
        x = functional.relu(functional.max_pool2d(functional.conv2d(x, weight, bias), 2))
    return x


def _apply_compiled(library: ctypes.CDLL, images: torch.Tensor, weights: Weights) -> torch.Tensor:
    if torch.is_grad_enabled() and any(one.requires_grad for one in weights):
        features: torch.Tensor = _Pairs.apply(library, images, *weights)  # type: ignore[no-untyped-call]
        return features
    features, _ = run_forward(library, images, weights, keeps=False)
    return features


def run_forward(
    library: ctypes.CDLL, images: torch.Tensor, weights: Weights, keeps: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return features (B, 16, S'', S'') and, where it keeps, what a backward pass needs, as bytes.

    That is the layer between the pairs, and which of four values was the greatest in either pair.
    """
    n_images, side = len(images), images.shape[2]
    size = ((side - 4) // 2 - 4) // 2
    features = images.new_empty(n_images, 16, size, size)
    kept, addresses = None, [0, 0, 0]
    if keeps:
        sizes = _measure_kept(library, n_images, side)
        kept = images.new_empty(sum(sizes), dtype=torch.uint8)
        addresses = _locate_parts(kept, sizes)
    given = [one.contiguous() for one in (images, *weights)]
    pointers = [one.data_ptr() for one in (*given, features)] + addresses
    library.forward(pointers[0], n_images, side, *pointers[1:], torch.get_num_threads())
    return features, kept


def run_backward(
    library: ctypes.CDLL,
    images: torch.Tensor,
    second: torch.Tensor,
    kept: torch.Tensor,
    gradient: torch.Tensor,
) -> list[torch.Tensor]:
    """Return the gradients of all weights and biases.

    Args:
        library: The compiled step.
        images: (B, 1, S, S), those of the forward pass.
        second: The weights of the second convolution.
        kept: What `run_forward` has kept.
        gradient: (B, 16, S'', S'') of the features.

    Raises:
        MemoryError: There is no memory for the gradients of single images.
    """
    n_images, side = len(images), images.shape[2]
    gradients = [images.new_empty(shape) for shape in _WEIGHT_SHAPES]
    images, second, gradient = (one.contiguous() for one in (images, second, gradient))
    pointers = [
        second.data_ptr(),
        *_locate_parts(kept, _measure_kept(library, n_images, side)),
        *(one.data_ptr() for one in (gradient, *gradients)),
    ]
    n_threads = torch.get_num_threads()
    if not library.backward(images.data_ptr(), n_images, side, *pointers, n_threads):
        raise MemoryError(f"no memory for the gradients of {n_images} images")
    return gradients


def _measure_kept(library: ctypes.CDLL, n_images: int, side: int) -> tuple[int, int, int]:
    """Return the bytes of the layer between the pairs, and of the codes of either pair.

    They are one block: several of different sizes, freed and taken again at every step, leave
    holes in the heap that none of them fits.
    """
    size = ((side - 4) // 2 - 4) // 2
    middle, codes = 4 * library.middle_stride(side), library.codes_stride(side)
    return n_images * middle, n_images * codes, n_images * 16 * size * size


def _locate_parts(kept: torch.Tensor, sizes: tuple[int, int, int]) -> list[int]:
    start = kept.data_ptr()
    return [start, start + sizes[0], start + sizes[0] + sizes[1]]


class _Pairs(torch.autograd.Function):
    """Both pairs at once, with the gradients of weights and biases."""

    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, images: torch.Tensor, *weights: torch.Tensor
    ) -> torch.Tensor:
        features, kept = run_forward(library, images, weights, keeps=True)
        ctx.library = library
        ctx.save_for_backward(images, weights[2], kept)
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, second, kept = ctx.saved_tensors
        return None, None, *run_backward(ctx.library, images, second, kept, gradient)
