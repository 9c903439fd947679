"""Images with the nucleus hidden, or with everything else hidden: what controls are trained on.

A control asks what a score can rest on, so nothing may pass from what is hidden to what is shown:

- The background keeps its pixels outside a disc that is the same for every image and reaches its
  edges, so that the disc says nothing of the nucleus's size or shape; where a nucleus or a
  neighbour reaches further it is hidden too, with a margin for its scattered light. Under a
  normalisation by each image's own pixels all images share one range, found over what all of them
  show: the range of the whole image would carry the brightness of the foci into the background,
  and the range of the background alone would erase its brightness, by which a plate is known.
- The nucleus is shown without its rim, which is mixed with background, and is normalised by the
  pixels that are shown, so that no light of the background is left.
- Hidden pixels are 0 in the blanked array and after every normalisation: one grey value for all
  images, whatever their plate.

A blanked set is an `ImageCache` of its own beside the cache that it was made from, made once.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.cache import ImageCache
from bpsweep.data.errors import CacheError
from bpsweep.data.flat import FLAT_ROWS
from bpsweep.data.folders import Progress, build_folder, count_cpus, lock_folder
from bpsweep.data.intensity import PERCENTILES
from bpsweep.data.masks import find_masks, load_mask
from bpsweep.data.outline import Mask, find_outline, widen

Shown = Literal["background", "nucleus"]
SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)

_FORMAT: Final = 2  # raise when the same images are blanked otherwise
_MARGIN: Final = 1 / 20  # of the side, hidden around nuclei: scattered light and a soft edge
_RIM: Final = 1 / 40  # of the side, taken off a nucleus that is shown
_CHUNK: Final = 64  # images a thread takes at a time
_N_SAMPLED: Final = 2000  # images whose shown pixels give the common range


@dataclass(frozen=True)
class _Plan:
    """What is to be made from a cache, and where."""

    cache: ImageCache
    shown: Shown
    masks: list[Path] | None

    @property
    def checksum(self) -> str:
        """Of everything that the blanked pixels follow from."""
        digest = hashlib.sha256(f"{_FORMAT} {self.shown} {self.cache.checksum}".encode())
        for path in self.masks or ():
            status = os.lstat(path)
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    @property
    def folder(self) -> Path:
        """Where the blanked set lies: beside the cache."""
        source = self.cache.folder
        return source.with_name(f"{source.name}-{self.shown}-{self.checksum[:8]}")


def blank_cache(cache: ImageCache, shown: Shown, progress: Progress | None = None) -> ImageCache:
    """The cache with only one part of each image shown; made, or opened if it is there.

    Args:
        cache: of 16-bit counts.
        shown: which part; the other is 0. Every shown pixel is at least 1.
        progress: told how many images are done.

    Returns:
        A cache of the same rows. `manifest["outlines"]` says where the outlines are from: "dapi"
        where the masks of all cells were fetched, else "segmentation"; `bpsweep.data.flat` tells
        which images have nothing left to see.

    Raises:
        CacheError: a cache of 8 bits, or the cache root cannot be written.
        ImageError: a mask is not usable.
    """
    if cache.settings.scale is not None:
        raise CacheError(f"a cache of {cache.settings.scale!r} at 8 bits cannot be blanked")
    plan = _Plan(cache, shown, find_masks(cache.catalog))
    root = cache.folder.parent
    try:
        if not plan.folder.is_dir():
            with lock_folder(root):
                if not plan.folder.is_dir():
                    with build_folder(plan.folder) as building:
                        _fill_folder(building, plan, progress)
        return _open_blanked(plan)
    except OSError as error:
        raise CacheError(
            f"cannot write blanked images in {str(root)!r}: {error.strerror or error}; "
            "free space there or choose another folder with BPSWEEP_HOME"
        ) from error


def _open_blanked(plan: _Plan) -> ImageCache:
    try:
        images = np.load(plan.folder / "images.npy", mmap_mode="r")
        ranges = np.load(plan.folder / "ranges.npy")
        percentiles = np.load(plan.folder / "percentiles.npy")
        manifest = json.loads((plan.folder / "manifest.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CacheError(f"{plan.folder} is damaged: {error}; delete that folder") from error
    if images.shape != plan.cache.images.shape:
        raise CacheError(f"{plan.folder} is damaged: wrong shapes; delete that folder")
    return replace(
        plan.cache,
        images=images,
        ranges=ranges,
        percentiles=percentiles,
        manifest=manifest,
        folder=plan.folder,
        blanked=True,
    )


def _fill_folder(folder: Path, plan: _Plan, progress: Progress | None) -> None:
    source = plan.cache.images
    blanked = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=source.dtype, shape=source.shape
    )
    ranges = np.zeros((len(source), 2), np.uint16)
    percentiles = np.zeros((len(source), 2), np.float32)

    def blank_chunk(first: int) -> None:
        for row in range(first, min(first + _CHUNK, len(source))):
            hidden = _find_hidden(plan, row)
            image = np.where(hidden, 0, np.maximum(source[row], 1))
            blanked[row] = image
            pixels = image[~hidden]
            if pixels.size:  # else both ends stay 0: nothing is shown
                ranges[row] = pixels.min(), pixels.max()
                percentiles[row] = np.percentile(pixels, PERCENTILES)

    with ThreadPoolExecutor(count_cpus()) as pool:
        futures = [pool.submit(blank_chunk, first) for first in range(0, len(source), _CHUNK)]
        try:
            for n_done, future in enumerate(futures, start=1):
                future.result()
                if progress is not None:
                    progress(min(n_done * _CHUNK, len(source)), len(source))
        finally:
            pool.shutdown(cancel_futures=True)
    flat = np.flatnonzero(ranges[:, 0] == ranges[:, 1]).tolist()
    if plan.shown == "background":
        percentiles[:] = _find_common_range(blanked)
        ranges[:] = np.rint(percentiles)
    blanked.flush()
    np.save(folder / "ranges.npy", ranges)
    np.save(folder / "percentiles.npy", percentiles)
    text = json.dumps({**_describe(plan), FLAT_ROWS: flat}, indent=1)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def _describe(plan: _Plan) -> dict[str, Any]:
    return {
        **{name: value for name, value in plan.cache.manifest.items() if name != "files"},
        "checksum": plan.checksum,
        "made_from": plan.cache.checksum,
        "shown": plan.shown,
        "outlines": "dapi" if plan.masks else "segmentation",
    }


def _find_hidden(plan: _Plan, row: int) -> Mask:
    """(S, S), true where an image is hidden."""
    image = plan.cache.images[row]
    outline = find_outline(image)
    nucleus = outline.nucleus
    if plan.masks is not None:
        settings = plan.cache.settings
        nucleus = load_mask(plan.masks[row], settings.image_size, settings.geometry)
    if plan.shown == "nucleus":
        return ~widen(nucleus, -len(image) * _RIM)
    return find_disc(len(image)) | widen(nucleus | outline.bright, len(image) * _MARGIN)


def find_disc(size: int) -> Mask:
    """(S, S), the disc that touches the image's edges: hidden in every image alike."""
    across = np.linspace(-1, 1, size)
    disc: Mask = across[:, None] ** 2 + across[None, :] ** 2 <= 1
    return disc


def _find_common_range(blanked: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Counts at percentiles 1 and 99.5 of what the images show, a few thousand of them."""
    rows = np.unique(np.linspace(0, len(blanked) - 1, _N_SAMPLED).astype(np.int64))
    shown = np.concatenate([blanked[row][blanked[row] > 0] for row in rows])
    if not shown.size:
        return np.array([0, 1], np.float32)
    common: NDArray[np.float32] = np.percentile(shown, PERCENTILES).astype(np.float32)
    return common
