"""Which counts become 0 and 1 for each cached image, from the image, the set, or its plate."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.cache import ImageCache
from bpsweep.data.errors import DataError
from bpsweep.data.intensity import CLIP_RANGE, Normalization

_PLATE_SPAN: Final = (-2.0, 6.0)  # standard deviations; foci are far above the mean


def find_limits(
    cache: ImageCache, normalize: Normalization, train_rows: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """The counts that become 0 and 1, for every image of a cache.

    Args:
        cache: images of N cells.
        normalize: one of `NORMALIZATIONS`.
        train_rows: rows that "plate" takes its statistics from; the others need none.

    Returns:
        (N, 2) float32.

    Raises:
        DataError: "plate" without training rows, for all images or for those of a plate.
    """
    if normalize == "minmax":
        return cache.ranges.astype(np.float32)
    if normalize == "percentile":
        return cache.percentiles
    if normalize == "clip":
        return np.tile(np.array(CLIP_RANGE, np.float32), (len(cache.ranges), 1))
    if train_rows is None:
        raise DataError("normalize 'plate' needs the training rows that its statistics come from")
    return _find_plate_limits(cache, train_rows)


def _find_plate_limits(cache: ImageCache, train_rows: NDArray[np.int64]) -> NDArray[np.float32]:
    table = cache.catalog.table
    plates = (table["plate"] + " " + table["barcode"]).to_numpy(dtype=str)  # P253 has two
    limits = np.empty((len(plates), 2), np.float32)
    for plate in np.unique(plates):
        rows = train_rows[plates[train_rows] == plate]
        if not len(rows):
            raise DataError(
                f"plate {plate} has no training image to take its statistics from; choose another "
                "normalize, or a split with every plate in training"
            )
        sums = np.zeros(3)
        for row in rows:  # one at a time: a plate's images need not fit in memory
            counts = cache.images[row].astype(np.float64)
            if cache.blanked:
                counts = counts[counts > 0]
            sums += counts.size, counts.sum(), (counts * counts).sum()
        n_pixels, total, squares = sums
        mean = total / max(n_pixels, 1)
        spread = np.sqrt(max(squares / max(n_pixels, 1) - mean * mean, 1.0))
        limits[plates == plate] = [mean + spread * span for span in _PLATE_SPAN]
    if cache.blanked:  # what is hidden stays 0, also where 0 is within the span
        np.maximum(limits, 0, out=limits)
    return limits
