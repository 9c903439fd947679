"""Images that hold no picture: of one grey value, or all the same once they are normalised."""

from typing import Final

import numpy as np

from bpsweep.data.cache import ImageCache
from bpsweep.data.errors import FlatError
from bpsweep.data.folders import list_first
from bpsweep.data.loader import Loader

FLAT_ROWS: Final = "flat_rows"
"""Where the manifest of a blanked set lists the rows of which nothing or one grey value is shown;
its ranges cannot say so, for where all images share one they are the set's."""


def find_flat(cache: ImageCache) -> list[str]:
    """The files whose images are of one grey value: constant, all zero, saturated all over.

    Of a blanked set, those of which what is shown is of one grey value, or nothing is shown.
    """
    if cache.blanked:
        rows = np.array(cache.manifest[FLAT_ROWS], np.int64)
    else:
        rows = np.flatnonzero(cache.ranges[:, 0] == cache.ranges[:, 1])
    return [str(name) for name in cache.catalog.table["filename"].to_numpy()[rows]]


def describe_flat(cache: ImageCache) -> str:
    """How many images are flat, and which; empty where none is."""
    names = find_flat(cache)
    if not names:
        return ""
    some = f"{len(names)} of {len(cache.images)} images"
    shown = "show one grey value or nothing" if cache.blanked else "are of one grey value"
    return f"{some} {shown}: {list_first(names)}"


def require_contrast(loader: Loader, cache: ImageCache) -> None:
    """Make sure that two images of a loader differ as a network sees them.

    Args:
        loader: Its images, before order and augmentation.
        cache: Where they come from.

    Raises:
        FlatError: They are all the same picture; the message says which are flat, what of them,
            and what to do.
    """
    if not _are_alike(loader):
        return
    normalize = loader.settings.normalize
    said = describe_flat(cache) or f"none of the {len(cache.images)} images is flat by itself"
    if cache.blanked:
        shown = cache.manifest["shown"]
        raise FlatError(
            f"the control {shown!r} cannot be made: with everything but the {shown} hidden, and "
            f"normalize={normalize!r}, all training images are the same picture ({said}). Nothing "
            "can be learnt from it, so it would prove nothing. Images whose background was set to "
            "one value, or whose nuclei are filled, have none of this control; for the others "
            "name them, as `bpsweep controls SWEEP --only brightness`."
        )
    raise FlatError(
        f"all training images are the same picture under normalize={normalize!r} ({said}). "
        "Nothing can be learnt from it. Look at them with `bpsweep data show --out cells.png`; "
        "where they differ in brightness alone, normalize 'plate' or 'clip' keeps that."
    )


def _are_alike(loader: Loader) -> bool:
    """Whether all images are one and the same; the first that differs ends the look."""
    first = None
    n_images = 0
    for batch in loader.plain().epoch(0):
        first = batch.images[0].copy() if first is None else first
        n_images += len(batch.images)
        if (batch.images != first).any():
            return False
    return n_images > 1
