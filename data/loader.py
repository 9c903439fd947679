"""Batches from the cache: gathered, normalised and augmented as batches, without any file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.cache import ImageCache
from data.errors import DataError

Normalization = Literal["minmax", "clip"]
NORMALIZATIONS: Final[tuple[Normalization, ...]] = get_args(Normalization)
CLIP_RANGE: Final = (400, 4000)  # counts; the range used in published work on this set

_SHUFFLE, _AUGMENT = 0, 1  # streams of random numbers of one epoch
_SHIFT_SHARE: Final = 1 / 32  # greatest shift as a share of the side, to each direction
_N_TURNS: Final = 8  # elements of the dihedral group


@dataclass(frozen=True)
class LoaderSettings:
    """How rows of the cache become batches.

    Attributes:
        batch_size: images a batch; the last one of an epoch may be shorter.
        normalize: "minmax" scales each image by its own least and greatest pixel (the published
            protocol), "clip" maps counts 400..4000 to 0..1.
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
    ) -> None:
        """Load `rows` of `cache`; `labels` is (N, L) for all N rows of the cache."""
        if len(labels) != len(cache.images):
            raise DataError(f"{len(labels)} label vectors for {len(cache.images)} cached images")
        self._cache, self._labels = cache, labels.astype(np.float32)
        self._rows, self._settings, self._shuffle = rows, settings, shuffle

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._rows) / self._settings.batch_size)

    def epoch(self, index: int) -> Iterator[Batch]:
        """The batches of one epoch; order and augmentation follow from (seed, index) alone."""
        rows = self._rows
        if self._shuffle:
            rows = self._rng(index, _SHUFFLE).permutation(rows)
        rng = self._rng(index, _AUGMENT)
        size = self._settings.batch_size
        for start in range(0, len(rows), size):
            batch_rows = rows[start : start + size]
            images = normalize_images(
                self._cache.images[batch_rows],
                self._cache.ranges[batch_rows],
                self._settings.normalize,
            )
            if self._settings.augment:
                images = augment_images(images, rng)
            yield Batch(images[:, None], self._labels[batch_rows], batch_rows)

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed, index, stream))


def normalize_images(
    images: NDArray[np.uint16], ranges: NDArray[np.uint16], normalize: Normalization
) -> NDArray[np.float32]:
    """Counts to [0, 1].

    Args:
        images: (B, S, S) uint16 counts.
        ranges: (B, 2) uint16, what "minmax" maps to 0 and 1 for each image.
        normalize: see `LoaderSettings`.

    Returns:
        (B, S, S) float32 in [0, 1]; an image of one grey value becomes zeros.
    """
    if normalize == "clip":
        low, high = (np.full(len(images), value, np.float32) for value in CLIP_RANGE)
    else:
        low, high = ranges.astype(np.float32).T
    scale = (1 / np.maximum(high - low, 1)).astype(np.float32)
    scaled: NDArray[np.float32] = images * scale[:, None, None]
    scaled -= (low * scale)[:, None, None]
    np.clip(scaled, 0, 1, out=scaled)
    return scaled


def augment_images(images: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Turn, mirror and shift each image of a batch on its own.

    A shift wraps around, so that every image keeps exactly its pixels.

    Args:
        images: (B, S, S) float32.
        rng: where the elements of the dihedral group and the shifts are drawn from.
    """
    size = images.shape[1]
    turns = rng.integers(_N_TURNS, size=len(images))
    furthest = round(size * _SHIFT_SHARE)
    shifts = rng.integers(-furthest, furthest + 1, size=(len(images), 2))
    augmented = np.empty_like(images)
    for turn in range(_N_TURNS):
        members = np.flatnonzero(turns == turn)
        augmented[members] = turn_images(images[members], turn)
    for image, (down, across) in zip(augmented, shifts, strict=True):
        image[:] = np.roll(image, (down, across), axis=(0, 1))
    return augmented


def turn_images(images: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """A view of (B, S, S) images under one of the eight symmetries of the square."""
    if turn & 4:
        images = images.transpose(0, 2, 1)
    if turn & 2:
        images = images[:, ::-1]
    return images[:, :, ::-1] if turn & 1 else images
