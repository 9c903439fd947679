"""Seconds and peak memory of building an image cache from all rows of a label table.

    python benchmarks/data_cache.py DATA_DIR [--subset all] [--image-size 64]

DATA_DIR holds `meta.csv` and at least one of its images. Every row is given a link to that one
image, so that the whole published table can be measured without its 77,177 images; files
then come from the operating system's memory, not from a disk.
Prints the machine, then the number of images with seconds, processor seconds (all threads) and
the peak memory of the process, imports included.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from machine import describe_machine

from bpsweep.data.cache import CacheSettings, build_cache
from bpsweep.data.catalog import META_NAME, Catalog, Subset, format_meta, read_catalog, select

_MAX_LINKS = 50_000  # to one file; ext4 allows 65,000


def link_images(catalog: Catalog, folder: Path) -> Catalog:
    """A data folder with the catalogue's rows, whose every image is a link to the same pixels."""
    image = next(catalog.folder.glob("*.tif"), None)
    if image is None:
        raise SystemExit(f"no *.tif in {str(catalog.folder)!r}; at least one image is needed")
    content = image.read_bytes()
    folder.mkdir()
    for row, name in enumerate(catalog.table["filename"]):
        original = folder / f"original-{row // _MAX_LINKS}"
        if row % _MAX_LINKS == 0:
            original.write_bytes(content)
        (folder / name).hardlink_to(original)
    (folder / META_NAME).write_text(format_meta(catalog.table), encoding="utf-8")
    return read_catalog(folder)


def measure_build(catalog: Catalog, image_size: int, cache_root: Path) -> str:
    """Build the cache; return what it took in words."""
    before_s, before_cpu_s = time.perf_counter(), time.process_time()
    build_cache(catalog, CacheSettings(image_size), cache_root)
    seconds, cpu_s = time.perf_counter() - before_s, time.process_time() - before_cpu_s
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB
    return (
        f"{seconds:.1f} s, {cpu_s:.1f} s of processor, peak {peak_mib:.0f} MiB, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Lay out the links, build the cache once, print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--subset", default="all")
    parser.add_argument("--image-size", type=int, default=64)
    arguments = parser.parse_args()
    print(describe_machine("numpy", "imagecodecs"))
    catalog = select(read_catalog(arguments.data_dir), Subset.parse(arguments.subset))
    with tempfile.TemporaryDirectory() as name:
        linked = link_images(catalog, Path(name) / "images")
        took = measure_build(linked, arguments.image_size, Path(name) / "caches")
    print(f"{len(linked):,} images at {arguments.image_size} px: {took}")


if __name__ == "__main__":
    main()
