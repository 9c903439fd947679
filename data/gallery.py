"""Pictures of cells by condition, all at one scale and one brightness, with counted foci."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bpsweep.data.catalog import Catalog
from bpsweep.data.errors import ImageError
from bpsweep.data.foci import find_foci
from bpsweep.data.images import read_image
from bpsweep.data.outline import find_outline

_WINDOW: Final = (300, 1600)  # counts shown from black to white; the real cell's range
_TILE: Final = 170  # pixels shown a side; larger cells are cut
_CELL_INCHES: Final = 1.5


@dataclass(frozen=True)
class GallerySettings:
    """What a gallery shows.

    Attributes:
        n_cells: of each condition.
        seed: of the choice.
        beside: one more image, shown in a row of its own.
        outline: draw the outlines found, by which controls hide the nucleus.
    """

    n_cells: int = 8
    seed: int = 0
    beside: Path | None = None
    outline: bool = False


def draw_gallery(
    catalog: Catalog, path: Path, settings: GallerySettings | None = None
) -> pd.DataFrame:
    """Draw some random cells of every condition, a row each, as PNG.

    Args:
        catalog: whose files are there.
        path: where the picture goes.
        settings: what is shown.

    Returns:
        One row a condition: particle, dose_gy, hour, n_cells, mean_foci of those drawn.

    Raises:
        ImageError: a file cannot be used, or the picture cannot be written.
    """
    settings = settings or GallerySettings()
    rng = np.random.default_rng(settings.seed)
    beside = settings.beside
    rows = [] if beside is None else [(beside.name, [read_image(beside)])]
    counted = []
    for (particle, dose_gy, hour), cells in catalog.table.groupby(["particle", "dose_gy", "hour"]):
        chosen = rng.permutation(cells["filename"].to_numpy())[: settings.n_cells]
        images = [read_image(catalog.folder / name) for name in chosen]
        n_foci = [len(find_foci(image)) for image in images]
        counted.append((particle, dose_gy, hour, len(images), float(np.mean(n_foci))))
        title = f"{particle} {dose_gy:g} Gy, {hour} h: {np.mean(n_foci):.1f} foci a cell"
        rows.append((title, images))
    source = "synthetic" if catalog.synthetic else "images of " + catalog.folder.name
    _save(_draw(rows, settings, source), path)
    columns = ["particle", "dose_gy", "hour", "n_cells", "mean_foci"]
    return pd.DataFrame(counted, columns=columns)


def _draw(
    rows: list[tuple[str, list[NDArray[np.uint16]]]], settings: GallerySettings, source: str
) -> Figure:
    n_cells = settings.n_cells
    figure = Figure(figsize=(_CELL_INCHES * n_cells, (_CELL_INCHES + 0.25) * len(rows)))
    window = f"{_WINDOW[0]} to {_WINDOW[1]} counts"
    title = f"{source}, {window}, {_TILE} pixels a side; circles: foci found"
    if settings.outline:
        title += "; yellow: the nucleus, blue: neighbours, by segmentation"
    figure.suptitle(title, fontsize=8)
    axes = figure.subplots(len(rows), n_cells, squeeze=False)
    for (title, images), places in zip(rows, axes, strict=True):
        places[0].set_title(title, fontsize=8, loc="left")
        for place in places:
            place.set_axis_off()
        for image, place in zip(images, places, strict=False):
            _draw_cell(place, image, settings.outline)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.94, wspace=0.03, hspace=0.15)
    return figure


def _draw_cell(place: Axes, image: NDArray[np.uint16], outline: bool) -> None:
    shown = image[:_TILE, :_TILE]
    place.imshow(shown, cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1], interpolation="nearest")
    foci = find_foci(image)
    place.plot(foci[:, 1], foci[:, 0], "o", ms=7, mfc="none", mec="tab:orange", mew=0.5)
    if outline:
        found = find_outline(image)
        for mask, color in ((found.bright, "tab:cyan"), (found.nucleus, "gold")):
            if mask.any() and not mask.all():
                place.contour(mask, [0.5], colors=color, linewidths=0.8)
    place.set_xlim(0, _TILE)
    place.set_ylim(_TILE, 0)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=120, format="png")
    except OSError as error:
        raise ImageError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
