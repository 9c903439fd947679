"""Batches from the cache: gathered, normalised and augmented as batches, without any file."""

import copy
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.augment import draw_moves, move_images
from bpsweep.data.cache import ImageCache
from bpsweep.data.errors import DataError
from bpsweep.data.intensity import NORMALIZATIONS, Normalization, scale_counts
from bpsweep.data.limits import find_limits

_SHUFFLE, _AUGMENT = 0, 1  # streams of random numbers of one epoch
_CHUNK_PIXELS: Final = 1 << 15  # handled at a time, so that they stay in the processor's cache


@dataclass(frozen=True)
class LoaderSettings:
    """How rows of the cache become batches.

    Attributes:
        batch_size: images a batch; the last one of an epoch may be shorter.
        normalize: how counts become [0, 1], see `bpsweep.data.intensity`.
        augment: turn, mirror and shift each image at random.
        seed: of order and augmentation.
    """

    batch_size: int
    normalize: Normalization = "minmax"
    augment: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise DataError for a value that is not allowed."""
        if self.batch_size < 1:
            raise DataError(f"batch_size {self.batch_size!r} is not a positive number")
        if self.normalize not in NORMALIZATIONS:
            allowed = ", ".join(NORMALIZATIONS)
            raise DataError(f"normalize {self.normalize!r} is not one of {allowed}")
        if self.seed < 0:
            raise DataError(f"seed {self.seed!r} is negative")


@dataclass(frozen=True)
class Batch:
    """Some images with labels.

    Attributes:
        images: (B, 1, S, S) float32 in [0, 1].
        labels: (B, L) float32 of zeros and ones.
        rows: (B,) int64 rows of the catalogue.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]
    rows: NDArray[np.int64]


class Loader:
    """Some rows of a cache as batches, the same ones for the same seed and epoch."""

    def __init__(
        self,
        cache: ImageCache,
        labels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        settings: LoaderSettings,
        shuffle: bool,
        train_rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Load `rows` of `cache`.

        Args:
            cache: N images.
            labels: (N, L) for all rows of the cache.
            rows: those to load.
            settings: how.
            shuffle: each epoch in another order.
            train_rows: the training rows, from which "plate" takes its statistics.
        """
        if len(labels) != len(cache.images):
            raise DataError(f"{len(labels)} label vectors for {len(cache.images)} cached images")
        if cache.settings.scale not in {None, settings.normalize}:
            raise DataError(
                f"normalize {settings.normalize!r} cannot be had from a cache that holds 8 bits of "
                f"{cache.settings.scale!r}; build one with scale None"
            )
        self._images, self._labels = cache.images, labels.astype(np.float32)
        self._cache, self._rows, self._settings, self._shuffle = cache, rows, settings, shuffle
        scaled = cache.settings.scale is not None
        self._limits = None if scaled else find_limits(cache, settings.normalize, train_rows)

    @property
    def key(self) -> str:
        """Names what its images are before order and augmentation: pixels, rows, normalisation."""
        digest = hashlib.sha256(self._rows.tobytes())
        digest.update(f"{self._cache.checksum} {self._settings.normalize}".encode())
        return digest.hexdigest()

    def change(self, **settings: Any) -> "Loader":
        """The same images under other settings; the normalisation stays as it is."""
        loader = copy.copy(self)
        loader._settings = replace(self._settings, **settings)
        if loader._settings.normalize != self._settings.normalize:
            raise DataError("a loader cannot change its normalisation; make another")
        return loader

    def plain(self) -> "Loader":
        """The same images in their order, as they are: neither shuffled nor augmented."""
        loader = self.change(augment=False)
        loader._shuffle = False
        return loader

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._rows) / self._settings.batch_size)

    @property
    def checksum(self) -> str:
        """Of what the pixels of `images` follow from."""
        return self._cache.checksum

    @property
    def images(self) -> NDArray[Any]:
        """(N, S, S) integers, all images of the cache."""
        return self._images

    @property
    def labels(self) -> NDArray[np.float32]:
        """(N, L) of all images of the cache."""
        return self._labels

    @property
    def limits(self) -> NDArray[np.float32]:
        """(N, 2) which count of each image becomes 0 and which 1."""
        if self._limits is None:
            return np.tile(np.array([0, 255], np.float32), (len(self._images), 1))
        return self._limits

    @property
    def settings(self) -> LoaderSettings:
        """How rows become batches."""
        return self._settings

    def plan(self, index: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64] | None]]:
        """Rows (B,) and moves (B, 3) of each batch of an epoch; they follow from (seed, index)."""
        rows = self._rows
        if self._shuffle:
            rows = self._rng(index, _SHUFFLE).permutation(rows)
        rng = self._rng(index, _AUGMENT)
        size = self._images.shape[1]
        for start in range(0, len(rows), self._settings.batch_size):
            some = rows[start : start + self._settings.batch_size]
            yield some, draw_moves(len(some), size, rng) if self._settings.augment else None

    def epoch(self, index: int) -> Iterator[Batch]:
        """The batches of one epoch; order and augmentation follow from (seed, index) alone."""
        for rows, moves in self.plan(index):
            yield Batch(self._gather(rows, moves)[:, None], self._labels[rows], rows)

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed, index, stream))

    def _gather(
        self, rows: NDArray[np.int64], moves: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """(B, S, S) float32 images of some rows, a few at a time through the processor's cache."""
        size = self._images.shape[1]
        out = np.empty((len(rows), size, size), np.float32)
        step = max(1, _CHUNK_PIXELS // size**2)
        for first in range(0, len(rows), step):
            some = slice(first, first + step)
            if moves is None:
                counts = self._images[rows[some]]
            else:
                counts = move_images(self._images, rows[some], moves[some])
            if self._limits is None:
                np.multiply(counts, np.float32(1 / 255), out=out[some])
            else:
                scale_counts(counts, self._limits[rows[some]], out=out[some])
        return out
