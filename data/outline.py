"""Where the nucleus is in an image of a cell: a segmentation of ours, to be looked at.

Smoothing, Otsu's threshold on the logarithm of the counts, the largest object near the middle,
holes filled. 53BP1 fills the nucleus and leaves the cytoplasm dark, so that its own channel shows
the outline; where DAPI masks were fetched those are used instead, see `bpsweep.data.masks`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bpsweep.data.geometry import resize_image

Mask = NDArray[np.bool_]

_SMOOTHING: Final = 1 / 64  # sigma as a share of the side: foci and noise blur, the edge does not
_BRIGHTEST: Final = 75.0  # percentile; above it are foci, which would draw the threshold to them
_LEAST_CONTRAST: Final = 0.12  # of log counts between nucleus and background; less is no nucleus
_LEAST_SHARE: Final = 0.02  # of the image; less is no nucleus
_WORK_SIDE: Final = 96  # pixels; larger images are reduced to this first: an outline is smooth
_N_BINS: Final = 128
_FLAT: Final = 1e-4  # of log counts; no more than rounding makes of a smoothed flat image


@dataclass(frozen=True)
class Outline:
    """What was found in an image.

    Attributes:
        nucleus: (Y, X), the nucleus in the middle; nowhere true where none was found.
        bright: (Y, X), that and everything else above the threshold: neighbours that cut in.
    """

    nucleus: Mask
    bright: Mask


def find_outline(pixels: NDArray[Any]) -> Outline:
    """Find the nucleus that an image is centred on.

    Args:
        pixels: (Y, X) counts, at the original scale or resized.

    Returns:
        Its outline; empty where the image has no nucleus that stands out.

    References:
        N. Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979), doi 10.1109/TSMC.1979.4310076.
    """
    if max(pixels.shape) > _WORK_SIDE:
        found = find_outline(resize_image(pixels.astype(np.uint16), _WORK_SIDE))
        return Outline(_enlarge(found.nucleus, pixels.shape), _enlarge(found.bright, pixels.shape))
    sigma = max(pixels.shape) * _SMOOTHING
    smooth = ndimage.gaussian_filter(np.log(np.maximum(pixels, 1).astype(np.float32)), sigma)
    without_foci = np.minimum(smooth, np.percentile(smooth, _BRIGHTEST))
    # Where three quarters are of one count a small nucleus is all that stands out, if anything is.
    bright = smooth > find_threshold(smooth if _is_flat(without_foci) else without_foci)
    nothing = Outline(np.zeros(pixels.shape, bool), np.zeros(pixels.shape, bool))
    if bright.all() or not bright.any():
        return nothing
    if smooth[bright].mean() - smooth[~bright].mean() < _LEAST_CONTRAST:
        return nothing
    nucleus = _take_middle(bright)
    if nucleus.mean() < _LEAST_SHARE:
        return nothing
    return Outline(nucleus, bright | nucleus)


def _enlarge(mask: Mask, shape: tuple[int, ...]) -> Mask:
    down, right = (
        np.arange(length) * side // length for length, side in zip(shape, mask.shape, strict=True)
    )
    enlarged: Mask = mask[np.ix_(down, right)]
    return enlarged


def find_threshold(values: NDArray[np.float32]) -> float:
    """Otsu's threshold: the one between two classes of least variance within each.

    Values that are all alike, but for rounding, have no two classes: none is above their greatest.
    """
    if _is_flat(values):
        return float(values.max())
    # float32 cannot tell the edges of bins apart where little is spread about a large value.
    counts, edges = np.histogram(values.astype(np.float64), bins=_N_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        between = np.nan_to_num(below * above * gap**2)
    # Where no count lies between two classes every threshold there is as good: their middle.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2)


def _is_flat(values: NDArray[np.float32]) -> bool:
    return bool(np.ptp(values) < _FLAT)


def _take_middle(bright: Mask) -> Mask:
    """The object with most of its area near the middle, without thin bridges and holes.

    A neighbour that touches it stays: it is a nucleus of the same plate and dose.
    """
    size = max(1, round(max(bright.shape) / 40))
    labels, n_objects = ndimage.label(ndimage.binary_opening(bright, _disc(size)))
    if not n_objects:
        return np.zeros(bright.shape, bool)
    down, right = (np.linspace(-1, 1, length) for length in bright.shape)
    nearness = np.exp(-2 * (down[:, None] ** 2 + right[None, :] ** 2))
    weights = np.bincount(labels.ravel(), weights=nearness.ravel())
    weights[0] = 0
    filled: Mask = ndimage.binary_fill_holes(labels == weights.argmax())
    return filled


def widen(mask: Mask, n_pixels: float) -> Mask:
    """A mask and everything within some pixels of it; less than it for a negative number."""
    if mask.all() or not mask.any():
        return mask.copy()
    if n_pixels < 0:
        inside: Mask = ndimage.distance_transform_edt(mask) > -n_pixels
        return inside
    near: Mask = ndimage.distance_transform_edt(~mask) <= n_pixels
    return near


@cache
def _disc(radius: int) -> Mask:
    across = np.arange(-radius, radius + 1)
    disc: Mask = across[:, None] ** 2 + across[None, :] ** 2 <= radius**2
    return disc
