"""Batches for a stack of runs: made on the CPU and copied, or gathered on the device itself."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bpsweep.agent.training.lru import LruCache
from bpsweep.data.augment import N_TURNS, turn_image
from bpsweep.data.loader import Loader

SHARE_OF_MEMORY = 0.4
"""How much of a device's free memory the images may take to live there."""


COPIED_AT_ONCE = 1024
"""Images."""
_RESIDENT = LruCache[torch.Tensor](n_kept=2)


@dataclass(frozen=True)
class StackBatch:
    """A batch of a stack; the first axis has one entry where all members see the same images.

    Args:
        images: (1 or K, B, 1, S, S) in [0, 1].
        labels: (1 or K, B, L) zeros and ones.
    """

    images: torch.Tensor
    labels: torch.Tensor


class StackBatches(Protocol):
    """Gives the batches of an epoch."""

    def epoch(self, index: int) -> Iterator[StackBatch]:
        """The batches of one epoch, for every member those that it would see alone."""


class CopiedBatches:
    """Batches made on the CPU, and copied to the device.

    Args:
        loaders: One for each member, or one for all where they see the same images.
        device: Where they go.
        dtype: Of images and labels.
    """

    def __init__(
        self, loaders: Sequence[Loader], device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._loaders, self._device, self._dtype = loaders, device, dtype
        self._n_batches: int | None = None

    def cut(self, n_batches: int) -> "CopiedBatches":
        """The first batches of each epoch."""
        first = CopiedBatches(self._loaders, self._device, self._dtype)
        first._n_batches = n_batches
        return first

    def epoch(self, index: int) -> Iterator[StackBatch]:
        """The batches of one epoch, for every member those that it would see alone."""
        together = zip(*(loader.epoch(index) for loader in self._loaders), strict=True)
        for batches in itertools.islice(together, self._n_batches):
            images = torch.stack([torch.from_numpy(batch.images) for batch in batches])
            labels = torch.stack([torch.from_numpy(batch.labels) for batch in batches])
            yield StackBatch(
                images.to(self._device, self._dtype), labels.to(self._device, self._dtype)
            )


@dataclass(frozen=True)
class Plan:
    """Which images are in which batch of an epoch: rows (1 or K, n) and moves (1 or K, n, 3)."""

    rows: torch.Tensor
    moves: torch.Tensor | None
    batch_size: int

    def cut(self) -> Iterator["Plan"]:
        """Give the plan of each batch."""
        for start in range(0, self.rows.shape[1], self.batch_size):
            some = slice(start, start + self.batch_size)
            moves = None if self.moves is None else self.moves[:, some]
            yield Plan(self.rows[:, some], moves, self.batch_size)


class ResidentBatches:
    """Batches gathered, moved and normalised on the device, where all integer images lie.

    Args:
        loaders: One for each member, or one for all where they see the same images.
        device: Where the images go, once.
    """

    def __init__(self, loaders: Sequence[Loader], device: torch.device) -> None:
        first = loaders[0]
        self._loaders, self._device = loaders, device
        self._size = first.images.shape[1]
        self._counts = _RESIDENT.get(
            (first.checksum, str(device)), lambda: load_images(first.images, device)
        )
        limits = torch.from_numpy(first.limits).to(device)
        self._factors = 1 / (limits[:, 1] - limits[:, 0]).clamp(min=1)
        self._lows = limits[:, 0] * self._factors
        self._labels = torch.from_numpy(first.labels).to(device)
        square = np.arange(self._size**2).reshape(self._size, self._size)
        turned = np.stack([turn_image(square, turn).ravel() for turn in range(N_TURNS)])
        self._turns = torch.from_numpy(turned).to(device)  # (8, S * S)

    def plan(self, index: int) -> Plan:
        """Bring the order and the moves of one epoch to the device."""
        rows, moves = [], []
        for loader in self._loaders:
            parts = list(loader.plan(index))
            rows.append(np.concatenate([row for row, _ in parts]))
            moved = [move for _, move in parts if move is not None]
            moves += [np.concatenate(moved)] if moved else []
        return Plan(
            torch.from_numpy(np.stack(rows)).to(self._device),
            torch.from_numpy(np.stack(moves)).to(self._device) if moves else None,
            self._loaders[0].settings.batch_size,
        )

    def gather(self, plan: Plan) -> StackBatch:
        """Make the batch of a plan; nothing is read back to the host."""
        counts = self._counts[plan.rows]  # (1 or K, B, S * S)
        if plan.moves is not None:
            turns, down, right = plan.moves.unbind(-1)
            n_around = (down * self._size + right)[..., None]
            source = (self._turns[turns] - n_around) % self._size**2
            counts = counts.gather(-1, source)
        values = counts.to(torch.int32) & 0xFFFF
        factors, lows = self._factors[plan.rows], self._lows[plan.rows]
        images = (values * factors[..., None] - lows[..., None]).clamp(0, 1)
        shape = (*plan.rows.shape, 1, self._size, self._size)
        return StackBatch(images.view(shape), self._labels[plan.rows])

    def epoch(self, index: int) -> Iterator[StackBatch]:
        """The batches of one epoch, for every member those that it would see alone."""
        for part in self.plan(index).cut():
            yield self.gather(part)


def load_images(images: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy all images (N, S, S) to a device as (N, S * S), a few at a time."""
    n_images, size = images.shape[:2]
    # torch indexes int16, not uint16: the bits are the same, and are read back as such
    kind = np.dtype(np.int16 if images.itemsize == 2 else np.uint8)
    dtype = torch.int16 if images.itemsize == 2 else torch.uint8
    loaded = torch.empty((n_images, size**2), dtype=dtype, device=device)
    for start in range(0, n_images, COPIED_AT_ONCE):
        some = np.array(images[start : start + COPIED_AT_ONCE]).view(kind)
        loaded[start : start + len(some)] = torch.from_numpy(some.reshape(len(some), -1))
    return loaded


def open_batches(
    loaders: Sequence[Loader], device: torch.device
) -> CopiedBatches | ResidentBatches:
    """Give the batches of some members: on the device where the images fit, else copied to it."""
    if len({loader.settings for loader in loaders}) == 1:
        loaders = loaders[:1]
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if loaders[0].images.nbytes < SHARE_OF_MEMORY * free:
            return ResidentBatches(loaders, device)
    return CopiedBatches(loaders, device)
