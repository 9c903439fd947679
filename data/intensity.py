"""Camera counts to [0, 1]: which count of each image becomes 0 and which becomes 1.

Four ways, named `NORMALIZATIONS`:

- "minmax": its own least and greatest pixel (the published protocol; erases brightness);
- "clip": 400 and 4000 counts for all (the range used in published work on this set);
- "percentile": its own percentiles 1 and 99.5;
- "plate": 2 standard deviations below and 6 above the mean of its plate's training images, which
  takes the plate's illumination and stain out and keeps differences between cells.
"""

from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Normalization = Literal["minmax", "clip", "percentile", "plate"]
NORMALIZATIONS: Final[tuple[Normalization, ...]] = get_args(Normalization)
CLIP_RANGE: Final = (400, 4000)  # counts
PERCENTILES: Final = (1.0, 99.5)


def scale_counts(
    counts: NDArray[Any],
    limits: NDArray[np.float32],
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Counts to [0, 1] by the limits of each image.

    Args:
        counts: (B, S, S) integers.
        limits: (B, 2) float32, what becomes 0 and 1.
        out: (B, S, S) float32 to write to.

    Returns:
        (B, S, S) float32 in [0, 1]; an image of one grey value becomes zeros.
    """
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    factor = 1 / np.maximum(high - low, np.float32(1))
    scaled: NDArray[np.float32] = np.multiply(counts, factor, out=out, dtype=np.float32)
    scaled -= low * factor
    np.clip(scaled, 0, 1, out=scaled)
    return scaled
