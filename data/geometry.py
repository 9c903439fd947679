"""Images of any size to one square size."""

from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Geometry = Literal["resize", "native"]
GEOMETRIES: Final[tuple[Geometry, ...]] = get_args(Geometry)


def fit_image(pixels: NDArray[np.uint16], size: int, geometry: Geometry) -> NDArray[np.uint16]:
    """(Y, X) pixels as (size, size), by `resize_image` or `crop_image`."""
    return resize_image(pixels, size) if geometry == "resize" else crop_image(pixels, size)


def resize_image(pixels: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    """The whole image as size x size pixels, each axis scaled on its own.

    Where an axis shrinks, every output pixel is the mean of the input area that it covers, so
    that nothing is aliased; where it grows, output pixels are interpolated linearly.

    Args:
        pixels: (Y, X) uint16.
        size: output pixels a side.

    Returns:
        (size, size) uint16, rounded to nearest.
    """
    height, width = pixels.shape
    down, across = _axis_weights(height, size), _axis_weights(width, size)
    resized: NDArray[np.float32] = down @ pixels.astype(np.float32) @ across.T
    return np.rint(resized).astype(np.uint16)


def crop_image(pixels: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    """The middle size x size pixels at the original scale, so that a focus keeps its size.

    A side that is shorter is padded with the image's least count, which every way of scaling
    intensities makes dark.

    Returns:
        (size, size) uint16.
    """
    fitted = np.full((size, size), pixels.min(), dtype=np.uint16)
    sources, targets = [], []
    for length in pixels.shape:
        kept = min(length, size)
        sources.append(slice((length - kept) // 2, (length - kept) // 2 + kept))
        targets.append(slice((size - kept) // 2, (size - kept) // 2 + kept))
    fitted[tuple(targets)] = pixels[tuple(sources)]
    return fitted


@lru_cache(maxsize=1024)
def _axis_weights(n_in: int, n_out: int) -> NDArray[np.float32]:
    """(n_out, n_in) weights of input pixels in output pixels; every row sums to one."""
    if n_out <= n_in:
        edges = np.linspace(0, n_in, n_out + 1)
        pixel = np.arange(n_in)
        covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
        weights = covered.clip(0, None) * (n_out / n_in)
    else:
        centre = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
        distance = np.abs(centre[:, None] - np.arange(n_in))
        weights = (1 - distance).clip(0, None)
    return weights.astype(np.float32)
