"""Foci found by a Laplacian of Gaussian: bright spots of 53BP1 in a nucleus.

The numbers are this detector's, as with every detector; compare ratios.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace, label, maximum_filter

_SIGMAS: Final = (1.5, 2.5, 3.5)  # pixels; foci are 0.5 to 1.3 um wide at 0.16 um a pixel
_THRESHOLD: Final = 0.45  # times the nucleus's brightness, of the scale-normalised response
_MARGIN: Final = 4  # pixels at the edge, where neighbours are cut
_LEAST_NUCLEUS: Final = 50.0  # counts above the background; darker images have no nucleus


def find_foci(pixels: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Places of the foci of a cell's image.

    Args:
        pixels: (Y, X) uint16 counts at the original scale.

    Returns:
        (n, 2) rows and columns. Peaks that touch are one focus: a saturated spot has several
        brightest pixels, and a straight edge a row of them.
    """
    counts = pixels.astype(np.float32)
    background, nucleus = np.percentile(counts, (5, 85))
    relative = (counts - background) / max(nucleus - background, _LEAST_NUCLEUS)
    response = np.stack([-(sigma**2) * gaussian_laplace(relative, sigma) for sigma in _SIGMAS])
    peaks = (response == maximum_filter(response, size=3)) & (response > _THRESHOLD)
    peaks[:, :_MARGIN] = peaks[:, -_MARGIN:] = False
    peaks[:, :, :_MARGIN] = peaks[:, :, -_MARGIN:] = False
    peak_of, n_foci = label(peaks, structure=np.ones((3, 3, 3)))
    found = np.argwhere(peaks)
    _, first = np.unique(peak_of[peaks], return_index=True)
    assert len(first) == n_foci
    places: NDArray[np.int64] = found[first, 1:]
    return places
