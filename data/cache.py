"""Every image decoded once, into one memory-mapped integer array with a manifest.

A cache is a folder `KEY` under the cache root that holds `images.npy`, `ranges.npy` and
`manifest.json`. KEY covers the label rows, the settings, and name, size and times of every image
file, so a cache of anything else is never found. It is built in `.KEY.building`, under a lock of
the cache root that ends with its process, and renamed when whole: `KEY` is always complete.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from data.catalog import Catalog
from data.errors import CacheError, ImageError
from data.folders import (
    BUILDING_SUFFIX,
    Progress,
    build_folder,
    count_cpus,
    list_first,
    lock_folder,
)
from data.geometry import GEOMETRIES, Geometry, resize_image
from data.images import decode_image, read_bytes

_FORMAT: Final = 1  # raise when the meaning of the arrays changes
_MAX_SIZE: Final = 512
_CHUNK: Final = 64  # images a worker takes at a time


@dataclass(frozen=True)
class CacheSettings:
    """What is done to an image between file and cache.

    Attributes:
        image_size: pixels a side.
        geometry: how an image of another size becomes one of that size.
    """

    image_size: int
    geometry: Geometry = "resize"

    def __post_init__(self) -> None:
        """Raise CacheError for a value that is not allowed."""
        if not 8 <= self.image_size <= _MAX_SIZE:
            raise CacheError(f"image_size {self.image_size!r} is not between 8 and {_MAX_SIZE}")
        if self.geometry not in GEOMETRIES:
            raise CacheError(f"geometry {self.geometry!r} is not one of {', '.join(GEOMETRIES)}")


@dataclass(frozen=True)
class ImageCache:
    """Decoded images of a catalogue, in its order, read-only.

    Attributes:
        images: (N, S, S) uint16 memory map.
        ranges: (N, 2) uint16, least and greatest pixel of each image before resizing.
        manifest: what made it: file checksums, settings, versions, catalogue checksum.
        folder: where it lies.
    """

    images: NDArray[np.uint16]
    ranges: NDArray[np.uint16]
    manifest: dict[str, Any]
    folder: Path

    @property
    def checksum(self) -> str:
        """sha256 of what the pixels follow from: files' checksums in order, settings, format."""
        return str(self.manifest["checksum"])


def open_cache(catalog: Catalog, settings: CacheSettings, cache_root: Path) -> ImageCache | None:
    """The cache of exactly these rows, files and settings, or None where none was built.

    Raises:
        CacheError: an image file is missing, or the cache was damaged after it was built.
    """
    return _open_folder(cache_root / _find_key(catalog, settings))


def build_cache(
    catalog: Catalog,
    settings: CacheSettings,
    cache_root: Path,
    progress: Progress | None = None,
    n_workers: int | None = None,
) -> ImageCache:
    """Decode, resize and save every image of a catalogue, or open the cache if there is one.

    Workers are threads: decoding and resizing leave Python's lock. A second process that builds
    in the same cache root waits for the first.

    Raises:
        CacheError: image files are missing, unusable or change meanwhile, or the cache root
            cannot be written. Nothing is left then, nor after an interruption.
    """
    key = _find_key(catalog, settings)
    final = cache_root / key
    try:
        with lock_folder(cache_root):
            found = _open_folder(final)
            if found is not None:
                return found
            for left in cache_root.glob(f".*{BUILDING_SUFFIX}"):  # by processes that were killed
                shutil.rmtree(left, ignore_errors=True)
            with build_folder(final) as building:
                _fill_folder(building, catalog, settings, progress, n_workers or count_cpus())
                if _find_key(catalog, settings) != key:
                    raise CacheError(
                        f"images in {str(catalog.folder)!r} changed while they were read; "
                        "start again when nothing writes there"
                    )
    except OSError as error:
        raise CacheError(
            f"cannot write the image cache in {str(cache_root)!r}: {error.strerror or error}; "
            "free space there or choose another folder with BPSWEEP_HOME"
        ) from error
    built = _open_folder(final)
    assert built is not None
    return built


def _find_key(catalog: Catalog, settings: CacheSettings) -> str:
    """The folder name of the cache for these rows, settings and files as they lie there now."""
    digest = hashlib.sha256()
    digest.update(json.dumps([_FORMAT, asdict(settings), catalog.checksum]).encode())
    missing = []
    for name in catalog.table["filename"]:
        try:
            status = os.lstat(catalog.folder / name)
        except OSError:
            missing.append(name)
            continue
        # The change time too: whoever restores a modification time does not restore that one.
        identity = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{name} {identity}\n".encode())
    if missing:
        raise CacheError(
            f"{len(missing)} of {len(catalog)} image files are missing in "
            f"{str(catalog.folder)!r}: {list_first(missing)}; copy them there or take their rows "
            "out of meta.csv"
        )
    return digest.hexdigest()[:32]


def _open_folder(folder: Path) -> ImageCache | None:
    if not folder.is_dir():
        return None
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r")
        ranges = np.load(folder / "ranges.npy")
        n_images, size = len(manifest["files"]), manifest["settings"]["image_size"]
    except (OSError, ValueError, KeyError) as error:
        raise CacheError(f"the cache {folder} is damaged: {error}; delete that folder") from error
    if images.shape != (n_images, size, size) or ranges.shape != (n_images, 2):
        raise CacheError(f"the cache {folder} is damaged: wrong shapes; delete that folder")
    return ImageCache(images, ranges, manifest, folder)


def _fill_folder(
    folder: Path,
    catalog: Catalog,
    settings: CacheSettings,
    progress: Progress | None,
    n_workers: int,
) -> None:
    names = catalog.table["filename"].tolist()
    size, n_images = settings.image_size, len(names)
    ranges = np.empty((n_images, 2), dtype=np.uint16)
    checksums = [""] * n_images
    with (folder / "images.npy").open("wb") as file:
        form = {"descr": "<u2", "fortran_order": False, "shape": (n_images, size, size)}
        np.lib.format.write_array_header_1_0(file, form)
        file.flush()
        start, row_bytes = file.tell(), 2 * size * size

        def decode_chunk(first: int) -> list[str]:
            """Decode some images into file and arrays; return what is wrong with them."""
            problems = []
            for row in range(first, min(first + _CHUNK, n_images)):
                path = catalog.folder / names[row]
                try:
                    content = read_bytes(path)
                    pixels = decode_image(content, names[row])
                except ImageError as error:
                    problems.append(str(error))
                    continue
                checksums[row] = hashlib.sha256(content).hexdigest()
                ranges[row] = pixels.min(), pixels.max()
                resized = resize_image(pixels, size)
                # Plain writes, not a memory map: its dirty pages would count as our memory.
                row_content = resized.astype("<u2").tobytes()
                if os.pwrite(file.fileno(), row_content, start + row * row_bytes) < row_bytes:
                    raise OSError(errno.ENOSPC, "no space left")
            return problems

        _raise_problems(_run_chunks(decode_chunk, n_images, progress, n_workers), n_images)
    np.save(folder / "ranges.npy", ranges)
    manifest = _describe(catalog, settings, dict(zip(names, checksums, strict=True)))
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _run_chunks(
    work: Callable[[int], list[str]], n_images: int, progress: Progress | None, n_workers: int
) -> list[str]:
    """Call `work` with the first row of every chunk from several threads; join the results."""
    problems: list[str] = []
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_workers) as pool:
        futures = [pool.submit(work, first) for first in range(0, n_images, _CHUNK)]
        try:
            for n_done, future in enumerate(futures, start=1):
                problems += future.result()
                if progress is not None:
                    progress(min(n_done * _CHUNK, n_images), n_images)
        finally:  # after an error or Ctrl-C: end with the chunks at work, not with the queue
            pool.shutdown(cancel_futures=True)
    return problems


def _raise_problems(problems: list[str], n_images: int) -> None:
    if problems:
        raise CacheError(
            f"{len(problems)} of {n_images} images cannot be used, and none is ever replaced: "
            f"{list_first(problems, '; ')}"
        )


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
