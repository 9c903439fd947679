"""Nucleus masks that were fetched: which cells have one, and each at the size of the cache."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.catalog import Catalog
from bpsweep.data.errors import ImageError
from bpsweep.data.geometry import Geometry, fit_image
from bpsweep.data.images import read_mask

MASKS_FOLDER: Final = "DAPI_MASK_images"
_FULL: Final = 65535


def find_masks(catalog: Catalog) -> list[Path] | None:
    """The mask of every cell of a catalogue, in its order, where all of them have been fetched.

    All or none: with masks for some plates and a segmentation for others the outline itself
    would tell the plate.
    """
    folder = catalog.folder / MASKS_FOLDER
    if not folder.is_dir():
        return None
    by_cell: dict[str, Path] = {}
    for path in sorted(folder.glob("*.tif")):
        plate, place, *rest = path.name.split("_")
        if len(rest) > 2 and "mask" in "_".join(rest[2:]).lower():
            by_cell["_".join((plate, place, *rest[:2]))] = path
    cells = catalog.table["filename"].str.removesuffix("_proj.tif").tolist()
    found = [by_cell[cell] for cell in cells if cell in by_cell]
    return found if len(found) == len(cells) else None


def load_mask(path: Path, size: int, geometry: Geometry) -> NDArray[np.bool_]:
    """A mask fitted like its cell's image: (size, size), true where half of a pixel is nucleus.

    Raises:
        ImageError: the file is no usable mask, or marks no nucleus at all.
    """
    mask = read_mask(path)
    if not mask.any():
        raise ImageError(f"{path}: every pixel is zero; a mask marks the nucleus with others")
    counts = np.where(mask, _FULL, 0).astype(np.uint16)
    fitted: NDArray[np.bool_] = fit_image(counts, size, geometry) > _FULL // 2
    return fitted
