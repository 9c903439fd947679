"""Every image decoded once, into one memory-mapped integer array with a manifest.

A cache is a folder `KEY` under the cache root that holds `images.npy`, `ranges.npy`,
`percentiles.npy` and `manifest.json`. KEY covers the label rows, the settings, and name, size and
times of every image file, so a cache of anything else is never found. It is built in
`.KEY.building`, under a lock of the cache root that ends with its process, and renamed when
whole: `KEY` is always complete. `KEY.rejected.csv` lists the files that could not be used.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bpsweep.data.catalog import Catalog
from bpsweep.data.decode import decode_images
from bpsweep.data.errors import CacheError
from bpsweep.data.folders import (
    BUILDING_SUFFIX,
    Progress,
    advise,
    build_folder,
    flush_files,
    lock_folder,
)
from bpsweep.data.geometry import GEOMETRIES, Geometry, fit_image
from bpsweep.data.intensity import CLIP_RANGE, PERCENTILES, scale_counts
from bpsweep.data.rejected import RejectedFilesError, drop_rejected, list_rejected

_FORMAT: Final = 2  # raise when the meaning of the arrays changes
_MAX_SIZE: Final = 512
_SCALES: Final = ("minmax", "clip", "percentile")  # what 8 bits can hold: "plate" needs a split

Scale = Literal["minmax", "clip", "percentile"]


@dataclass(frozen=True)
class CacheSettings:
    """What is done to an image between file and cache.

    Attributes:
        image_size: pixels a side.
        geometry: "resize" scales the whole image, "native" crops or pads at the original scale.
        scale: None keeps 16-bit counts, to be normalised when loading; a normalisation's name
            keeps 8 bits of its result, for half the size and twice the speed.
    """

    image_size: int
    geometry: Geometry = "resize"
    scale: Scale | None = None

    def __post_init__(self) -> None:
        """Raise CacheError for a value that is not allowed."""
        if not 8 <= self.image_size <= _MAX_SIZE:
            raise CacheError(f"image_size {self.image_size!r} is not between 8 and {_MAX_SIZE}")
        if self.geometry not in GEOMETRIES:
            raise CacheError(f"geometry {self.geometry!r} is not one of {', '.join(GEOMETRIES)}")
        if self.scale is not None and self.scale not in _SCALES:
            raise CacheError(f"scale {self.scale!r} is not None or one of {', '.join(_SCALES)}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the cached pixels."""
        return np.dtype("<u2" if self.scale is None else "u1")


@dataclass(frozen=True)
class ImageCache:
    """Decoded images of a catalogue, in its order, read-only.

    Attributes:
        images: (N, S, S) memory map: uint16 counts, or uint8 where `settings.scale` is set.
        ranges: (N, 2) uint16, least and greatest count of each original image.
        percentiles: (N, 2) float32, counts at percentiles 1 and 99.5 of each original image.
        catalog: the N rows; fewer than were asked for where unusable files were allowed.
        settings: what it was built with.
        manifest: what made it: file checksums, settings, versions, catalogue checksum.
        folder: where it lies.
        blanked: part of every image is hidden, as pixels of 0, see `bpsweep.data.blank`.
    """

    images: NDArray[np.uint16] | NDArray[np.uint8]
    ranges: NDArray[np.uint16]
    percentiles: NDArray[np.float32]
    catalog: Catalog
    settings: CacheSettings
    manifest: dict[str, Any]
    folder: Path
    blanked: bool = False

    @property
    def checksum(self) -> str:
        """sha256 of what the pixels follow from: files' checksums in order, settings, format."""
        return str(self.manifest["checksum"])


def open_cache(
    catalog: Catalog, settings: CacheSettings, cache_root: Path, max_rejected: int = 0
) -> ImageCache | None:
    """The cache of exactly these rows, files and settings, or None where none was built.

    Raises:
        CacheError: more than `max_rejected` image files are missing or known to be unusable, or
            the cache was damaged after it was built.
    """
    usable = drop_rejected(catalog, _list_path(catalog, settings, cache_root), max_rejected)
    return _open_folder(cache_root / _find_key(usable, settings), usable, settings)


def build_cache(
    catalog: Catalog,
    settings: CacheSettings,
    cache_root: Path,
    progress: Progress | None = None,
    n_workers: int | None = None,
    max_rejected: int = 0,
) -> ImageCache:
    """Decode, fit and save every image of a catalogue, or open the cache if there is one.

    Files that are missing or unusable are listed with their reasons in `KEY.rejected.csv`. Up to
    `max_rejected` of them are left out, so that `catalog` of the result has fewer rows; with more
    the work stops. No image is ever replaced. A second process that builds in the same cache root
    waits for the first.

    Raises:
        CacheError: too many files were rejected, files change meanwhile, or the cache root cannot
            be written. No cache is left then, nor after an interruption.
    """
    listed = _list_path(catalog, settings, cache_root)
    usable = drop_rejected(catalog, listed, max_rejected)
    try:
        with lock_folder(cache_root):
            for left in cache_root.glob(f".*{BUILDING_SUFFIX}"):  # by processes that were killed
                shutil.rmtree(left, ignore_errors=True)
            try:
                return _build_unless_there(usable, settings, cache_root, progress, n_workers)
            except RejectedFilesError as error:
                list_rejected(catalog, listed, error.reasons)
            usable = drop_rejected(catalog, listed, max_rejected)
            return _build_unless_there(usable, settings, cache_root, progress, n_workers)
    except OSError as error:
        n_bytes = len(usable) * settings.image_size**2 * settings.dtype.itemsize
        raise CacheError(
            f"cannot write the image cache in {str(cache_root)!r}: {error.strerror or error}. It "
            f"takes {n_bytes / 1e6:.0f} MB; {advise(error)} or choose another folder with "
            "BPSWEEP_HOME"
        ) from error


def _find_key(catalog: Catalog, settings: CacheSettings) -> str:
    """The folder name of the cache for these rows, settings and files as they lie there now."""
    digest = hashlib.sha256()
    digest.update(json.dumps([_FORMAT, asdict(settings), catalog.checksum]).encode())
    for name in catalog.table["filename"]:
        try:
            status = os.lstat(catalog.folder / name)
        except OSError:
            digest.update(f"{name} missing\n".encode())
            continue
        # The change time too: whoever restores a modification time does not restore that one.
        identity = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{name} {identity}\n".encode())
    return digest.hexdigest()[:32]


def _list_path(catalog: Catalog, settings: CacheSettings, cache_root: Path) -> Path:
    return cache_root / f"{_find_key(catalog, settings)}.rejected.csv"


def _open_folder(folder: Path, catalog: Catalog, settings: CacheSettings) -> ImageCache | None:
    if not folder.is_dir():
        return None
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r")
        ranges = np.load(folder / "ranges.npy")
        percentiles = np.load(folder / "percentiles.npy")
    except (OSError, ValueError) as error:
        raise CacheError(f"the cache {folder} is damaged: {error}; delete that folder") from error
    shape = (len(catalog), settings.image_size, settings.image_size)
    if (images.shape, images.dtype, len(ranges)) != (shape, settings.dtype, len(catalog)):
        raise CacheError(f"the cache {folder} is damaged: wrong shapes; delete that folder")
    return ImageCache(images, ranges, percentiles, catalog, settings, manifest, folder)


def _build_unless_there(
    catalog: Catalog,
    settings: CacheSettings,
    cache_root: Path,
    progress: Progress | None,
    n_workers: int | None,
) -> ImageCache:
    """Open the cache, or build it; RejectedFilesError where files cannot be used."""
    final = cache_root / _find_key(catalog, settings)
    found = _open_folder(final, catalog, settings)
    if found is not None:
        return found
    with build_folder(final) as building:
        _fill_folder(building, catalog, settings, progress, n_workers)
        if final.name != _find_key(catalog, settings):
            raise CacheError(
                f"images in {str(catalog.folder)!r} changed while they were read; start again "
                "when nothing writes there"
            )
    built = _open_folder(final, catalog, settings)
    assert built is not None
    return built


def _fill_folder(
    folder: Path,
    catalog: Catalog,
    settings: CacheSettings,
    progress: Progress | None,
    n_workers: int | None,
) -> None:
    n_images, size = len(catalog), settings.image_size
    ranges = np.zeros((n_images, 2), np.uint16)
    percentiles = np.zeros((n_images, 2), np.float32)
    checksums = [""] * n_images
    with (folder / "images.npy").open("wb") as file:
        form = {
            "descr": settings.dtype.str,
            "fortran_order": False,
            "shape": (n_images, size, size),
        }
        np.lib.format.write_array_header_1_0(file, form)
        file.flush()
        start = file.tell()

        def save(row: int, pixels: NDArray[np.uint16], checksum: str) -> None:
            checksums[row] = checksum
            ranges[row] = pixels.min(), pixels.max()
            percentiles[row] = np.percentile(pixels, PERCENTILES)
            fitted = fit_image(pixels, size, settings.geometry)
            limits = {"minmax": ranges[row], "percentile": percentiles[row]}
            content = _pack(fitted, settings, limits.get(settings.scale or "", CLIP_RANGE))
            _write_all(file.fileno(), content, start + row * len(content))

        rejected = decode_images(catalog, save, progress, n_workers)
    if rejected:
        raise RejectedFilesError(rejected)
    np.save(folder / "ranges.npy", ranges)
    np.save(folder / "percentiles.npy", percentiles)
    files = dict(zip(catalog.table["filename"].tolist(), checksums, strict=True))
    manifest = json.dumps(_describe(catalog, settings, files), indent=1)
    (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    flush_files(folder)


def _write_all(handle: int, content: bytes, place: int) -> None:
    """Write bytes at a place; not by a memory map, whose dirty pages would count as our memory."""
    while content:  # what is written in part meets its error with the next piece
        n_written = os.pwrite(handle, content, place)
        content, place = content[n_written:], place + n_written


def _pack(fitted: NDArray[np.uint16], settings: CacheSettings, limits: ArrayLike) -> bytes:
    """The bytes of one cached image."""
    if settings.scale is None:
        return fitted.astype(settings.dtype).tobytes()
    scaled = scale_counts(fitted[None], np.array([limits], np.float32))
    return np.rint(scaled * 255).astype(settings.dtype).tobytes()


def _describe(
    catalog: Catalog, settings: CacheSettings, checksums: dict[str, str]
) -> dict[str, Any]:
    made_from = json.dumps([_FORMAT, asdict(settings), list(checksums.items())])
    return {
        "format": _FORMAT,
        "checksum": hashlib.sha256(made_from.encode()).hexdigest(),
        "catalog_checksum": catalog.checksum,
        "synthetic": catalog.synthetic,
        "settings": asdict(settings),
        "versions": {name: metadata.version(name) for name in ("numpy", "imagecodecs")},
        "files": checksums,
    }
