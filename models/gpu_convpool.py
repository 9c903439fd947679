"""A LeNet-5's convolution, pool and ReLU as one kernel on a CUDA GPU, for K models at once.

Written in Triton, which comes with torch's CUDA builds and compiles at the first call. A library's
grouped convolution is made for wide layers: with 6 and 16 channels it took most of a step's time.
The pool keeps one of four values, so what lies between the layers is a quarter, and which of the
four it was is all that the way back has to know.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

_N_PROGRAMS = 1024
"""Wanted at least, so that every processor of the GPU has several."""
_FORWARD = {"n_places": 64, "num_warps": 4, "num_stages": 1}
_WEIGHTS = {"n_places": 16, "n_chunk": 32, "num_warps": 2, "num_stages": 1}
_IMAGES = {"n_places": 64, "num_warps": 2, "num_stages": 1}
"""The fastest of some tried on an H200; one stage, as scattered loads are slow to copy ahead."""
_PRECISION = tl.constexpr("tf32x3")
"""Three products of 11 bits for one of 24: as exact as float32."""


@triton.jit
def _forward(
    x, w, b, out, codes, n_batch, n_images, size, side,
    n_in: tl.constexpr, n_out: tl.constexpr, n_taps: tl.constexpr, n_places: tl.constexpr,
):  # fmt: skip
    """Map one image of one model, some pooled places at a time; codes say which of 4 places won."""
    item = tl.program_id(0)
    model = item // n_batch
    image = (item % n_images).to(tl.int64)
    x += image * n_in * size * size
    place = tl.program_id(1) * n_places + tl.arange(0, n_places)
    inside = place < side * side
    corner = (place // side) * 2 * size + (place % side) * 2
    channel = tl.arange(0, 16)
    best = tl.full((n_places, 16), float("-inf"), tl.float32)
    code = tl.zeros((n_places, 16), tl.int32)
    for s in tl.static_range(4):
        found = tl.zeros((n_places, 16), tl.float32)
        for r0 in tl.static_range(0, n_taps, 32):
            tap = r0 + tl.arange(0, 32)
            real = tap < n_in * 25
            at = (tap // 25) * size * size + (tap % 25 // 5) * size + tap % 5
            at += (s // 2) * size + s % 2
            some = inside[:, None] & real[None, :]
            pixels = tl.load(x + corner[:, None] + at[None, :], mask=some, other=0.0)
            some = real[:, None] & (channel < n_out)[None, :]
            of = model * n_out * n_in * 25 + channel[None, :] * n_in * 25 + tap[:, None]
            kernel = tl.load(w + of, mask=some, other=0.0)
            found += tl.dot(pixels, kernel, input_precision=_PRECISION)
        code = tl.where(found > best, s, code)
        best = tl.maximum(found, best)
    best += tl.load(b + model * n_out + channel, mask=channel < n_out, other=0.0)[None, :]
    code = tl.where(best > 0, code, 4)
    to = item.to(tl.int64) * n_out * side * side + channel[None, :] * side * side + place[:, None]
    some = inside[:, None] & (channel < n_out)[None, :]
    tl.store(out + to, tl.maximum(best, 0.0), mask=some)
    tl.store(codes + to, code.to(tl.uint8), mask=some)


@triton.jit
def _backward_weights(
    x, g, codes, out, n_images, size, side, n_split,
    n_in: tl.constexpr, n_out: tl.constexpr, n_taps: tl.constexpr, n_places: tl.constexpr,
    n_chunk: tl.constexpr,
):  # fmt: skip
    """Sum over some places of one image what 32 taps of its model see; the tap after all is 1."""
    item = tl.program_id(0)
    split = tl.program_id(1)
    image = (item % n_images).to(tl.int64)
    x += image * n_in * size * size
    tap = tl.program_id(2) * n_chunk + tl.arange(0, n_chunk)
    real = tap < n_in * 25
    at = (tap // 25) * size * size + (tap % 25 // 5) * size + tap % 5
    one = tl.where(tap == n_in * 25, 1.0, 0.0)
    channel = tl.arange(0, 16)
    base = item.to(tl.int64) * n_out * side * side
    sums = tl.zeros((n_chunk, 16), tl.float32)
    for p0 in range(split * n_places, side * side, n_split * n_places):
        place = p0 + tl.arange(0, n_places)
        inside = place < side * side
        corner = (place // side) * 2 * size + (place % side) * 2
        some = inside[:, None] & (channel < n_out)[None, :]
        where = base + channel[None, :] * side * side + place[:, None]
        gradient = tl.load(g + where, mask=some, other=0.0)
        code = tl.load(codes + where, mask=some, other=4).to(tl.int32)
        for s in tl.static_range(4):
            shift = (s // 2) * size + s % 2
            some = real[:, None] & inside[None, :]
            pixels = tl.load(x + at[:, None] + corner[None, :] + shift, mask=some, other=0.0)
            chosen = tl.where(code == s, gradient, 0.0)
            sums += tl.dot(pixels + one[:, None], chosen, input_precision=_PRECISION)
    to = (item * n_split + split).to(tl.int64) * n_taps * 16
    tl.store(out + to + tap[:, None] * 16 + channel[None, :], sums)


@triton.jit
def _backward_images(
    w, g, codes, out, n_batch, size, side,
    n_in: tl.constexpr, n_out: tl.constexpr, n_places: tl.constexpr,
):  # fmt: skip
    """Gather for some 2 x 2 pixels of one image what the places that saw them send back.

    Such four pixels are seen by 3 x 3 places, each by way of one of its own four. Rows of a product
    are the four pixels with up to eight channels each.
    """
    item = tl.program_id(0)
    model = item // n_batch
    n_across = (size + 1) // 2
    four = tl.program_id(1) * n_places + tl.arange(0, n_places)
    inside = four < n_across * n_across
    row, column = four // n_across, four % n_across
    to_row, to_column = tl.arange(0, 32) // 16, tl.arange(0, 32) // 8 % 2
    to_channel, channel = tl.arange(0, 32) % 8, tl.arange(0, 16)
    base = item.to(tl.int64) * n_out * side * side
    sums = tl.zeros((32, n_places), tl.float32)
    real = (to_channel < n_in)[:, None] & (channel < n_out)[None, :]
    of = (model * n_out + channel[None, :]) * n_in * 25 + to_channel[:, None] * 25
    for near in range(9):
        y, x = row - near // 3, column - near % 3
        seen = inside & (y >= 0) & (x >= 0) & (y < side) & (x < side)
        some = (channel < n_out)[:, None] & seen[None, :]
        where = base + channel[:, None] * side * side + (y * side + x)[None, :]
        code = tl.load(codes + where, mask=some, other=4).to(tl.int32)
        gradient = tl.load(g + where, mask=some, other=0.0)
        for s in tl.static_range(4):
            tap_y, tap_x = to_row + 2 * (near // 3) - s // 2, to_column + 2 * (near % 3) - s % 2
            hit = (tap_y >= 0) & (tap_y < 5) & (tap_x >= 0) & (tap_x < 5)
            at = of + (tap_y * 5 + tap_x)[:, None]
            kernel = tl.load(w + at, mask=real & hit[:, None], other=0.0)
            chosen = tl.where(code == s, gradient, 0.0)
            sums += tl.dot(kernel, chosen, input_precision=_PRECISION)
    y, x = 2 * row[None, :] + to_row[:, None], 2 * column[None, :] + to_column[:, None]
    some = inside[None, :] & (to_channel < n_in)[:, None] & (y < size) & (x < size)
    to = item.to(tl.int64) * n_in * size * size + to_channel[:, None] * size * size
    tl.store(out + to + y * size + x, sums, mask=some)


class _ConvPoolReLU(torch.autograd.Function):
    """Its gradients can be had once."""

    @staticmethod
    def forward(
        ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        n_models, n_out, n_in = weight.shape[:3]
        n_batch, size = images.shape[1], images.shape[-1]
        side = (size - 4) // 2
        shape = (n_models, n_batch, n_out, side, side)
        images, weight = images.contiguous(), weight.contiguous()
        out = torch.empty(shape, device=images.device)
        codes = torch.empty(shape, dtype=torch.uint8, device=images.device)
        grid = (n_models * n_batch, triton.cdiv(side**2, _FORWARD["n_places"]))
        _forward[grid](
            images, weight, bias.contiguous(), out, codes,
            n_batch, len(images) * n_batch, size, side,
            n_in=n_in, n_out=n_out, n_taps=_count_taps(n_in), **_FORWARD,
        )  # fmt: skip
        ctx.save_for_backward(images, weight, codes)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight, codes = ctx.saved_tensors
        n_models, n_out, n_in = weight.shape[:3]
        n_batch, size, side = images.shape[1], images.shape[-1], codes.shape[-1]
        n_items, n_taps, gradient = n_models * n_batch, _count_taps(n_in), gradient.contiguous()
        n_split = min(triton.cdiv(side**2, _WEIGHTS["n_places"]), triton.cdiv(_N_PROGRAMS, n_items))
        parts = torch.empty((n_models, n_batch * n_split, n_taps, 16), device=images.device)
        _backward_weights[(n_items, n_split, n_taps // _WEIGHTS["n_chunk"])](
            images, gradient, codes, parts, len(images) * n_batch, size, side, n_split,
            n_in=n_in, n_out=n_out, n_taps=n_taps, **_WEIGHTS,
        )  # fmt: skip
        sums = parts.sum(1)[..., :n_out].transpose(1, 2)  # (K, O, taps)
        of_weight, of_bias = sums[..., : n_in * 25], sums[..., n_in * 25]
        of_images = None
        if ctx.needs_input_grad[0]:
            of_images = torch.empty((n_models, *images.shape[1:]), device=images.device)
            n_fours = ((size + 1) // 2) ** 2
            _backward_images[(n_items, triton.cdiv(n_fours, _IMAGES["n_places"]))](
                weight, gradient, codes, of_images, n_batch, size, side,
                n_in=n_in, n_out=n_out, **_IMAGES,
            )  # fmt: skip
        return of_images, of_weight.reshape(weight.shape), of_bias


def _count_taps(n_in: int) -> int:
    """Taps of all input channels and one for the bias, in whole blocks of 32."""
    return int(triton.cdiv(n_in * 25 + 1, 32)) * 32


def conv_pool_relu(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Convolve by 5 x 5 without padding, take the greatest of 2 x 2, apply ReLU; for K models.

    Args:
        images: (1 or K, B, C, S, S) float32; one entry where all models see the same. Gradients
            are theirs only where there are K.
        weight: (K, O, C, 5, 5), with C at most 8 and O at most 16.
        bias: (K, O).

    Returns:
        (K, B, O, T, T) with T = (S - 4) // 2.
    """
    found: torch.Tensor = _ConvPoolReLU.apply(images, weight, bias)
    return found
