"""Images a second from 8- and 16-bit caches, beside decoding every TIFF and the memory's limit.

    python benchmarks/data_loader.py DATA_DIR [--subset hi-4h] [--image-sizes 200 64] [--seconds 2]

Batches of 64, shuffled, single-label, scaled by "minmax", without and with augmentation, in one
process; the caches are built in a temporary place. Prints the machine and the memory's copying
rate (the limit of any loader), then a Markdown table: the median and range of five measurements of
`--seconds` each, and the bytes that a loader of that rate reads and writes at least. The rows
"decode" read, decode, resize and scale each file, as without a cache (one measurement, and one
thread for the small products of resizing: more of them only wait for each other).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from machine import describe_machine
from threadpoolctl import threadpool_limits

from bpsweep.data.cache import CacheSettings, ImageCache, Scale, build_cache
from bpsweep.data.catalog import Catalog, Subset, read_catalog, select
from bpsweep.data.geometry import resize_image
from bpsweep.data.images import read_image
from bpsweep.data.labels import encode_labels
from bpsweep.data.loader import Loader, LoaderSettings

_N_REPEATS = 5
_COPY_BYTES = 100_000_000
_N_COPIES = 7
_BATCH_SIZE = 64
_SCALES: tuple[Scale | None, ...] = ("minmax", None)  # 8 and 16 bits a cached pixel


def measure_copying() -> tuple[float, float]:
    """Median and best bytes a second, read and written, of copying a large array."""
    source, target = np.ones(_COPY_BYTES, np.uint8), np.ones(_COPY_BYTES, np.uint8)
    rates = []
    for _ in range(_N_COPIES):
        before_s = time.perf_counter()
        np.copyto(target, source)
        rates.append(2 * _COPY_BYTES / (time.perf_counter() - before_s))
    return float(np.median(rates)), max(rates)


def measure_rate(list_counts: Callable[[int], Iterator[int]], seconds: float) -> float:
    """Images a second over some time; `list_counts(epoch)` yields how many come at each step."""
    n_images, epoch, before_s = 0, 0, time.perf_counter()
    while True:
        for n_new in list_counts(epoch):
            n_images += n_new
            if (passed_s := time.perf_counter() - before_s) > seconds:
                return n_images / passed_s
        epoch += 1


def decode_each(catalog: Catalog, image_size: int, _epoch: int) -> Iterator[int]:
    """One epoch of what a loader without a cache does; yields 1 for each image."""
    for name in catalog.table["filename"]:
        pixels = resize_image(read_image(catalog.folder / name), image_size)
        span = int(np.ptp(pixels)) + 1
        ((pixels - pixels.min()) * np.float32(1 / span)).astype(np.float32)
        yield 1


def measure_loader(cache: ImageCache, augment: bool, seconds: float) -> tuple[list[float], int]:
    """Sorted rates in images a second, and the least bytes to read and write for one image."""
    labels, rows = encode_labels(cache.catalog, "single-label"), np.arange(len(cache.catalog))
    loader = Loader(cache, labels, rows, LoaderSettings(_BATCH_SIZE, "minmax", augment), True)

    def list_counts(epoch: int) -> Iterator[int]:
        return (len(batch.rows) for batch in loader.epoch(epoch))

    measure_rate(list_counts, seconds / 4)  # the cache's pages come into memory
    rates = sorted(measure_rate(list_counts, seconds) for _ in range(_N_REPEATS))
    # Gathering reads and writes the counts, moving them reads them again; float32 comes out.
    n_passes = 3 if augment else 2
    return rates, cache.settings.image_size**2 * (n_passes * cache.settings.dtype.itemsize + 4)


def main() -> None:
    """Measure copying, decoding and the loaders of every size and depth, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--subset", default="hi-4h")
    parser.add_argument("--image-sizes", type=int, nargs="+", default=(200, 64))
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    arguments = parser.parse_args()
    catalog = select(read_catalog(arguments.data_dir), Subset.parse(arguments.subset))
    print(describe_machine("numpy", "imagecodecs"))
    median, best = measure_copying()
    print(f"Copying in memory: median {median / 1e9:.1f} GB/s, best {best / 1e9:.1f} GB/s")
    print(f"{len(catalog):,} images of {arguments.subset}, batches of {_BATCH_SIZE}\n")
    print("| px | source | augment | images/s (least to greatest) | GB/s moved | built in s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for size in arguments.image_sizes:
            with threadpool_limits(1, user_api="blas"):
                rate = measure_rate(partial(decode_each, catalog, size), arguments.seconds)
            print(f"| {size} | decode | no | {rate:,.0f} | | |", flush=True)
            for scale in _SCALES:
                before_s = time.perf_counter()
                cache = build_cache(catalog, CacheSettings(size, scale=scale), Path(name))
                built_s = time.perf_counter() - before_s
                for augment in (False, True):
                    rates, n_bytes = measure_loader(cache, augment, arguments.seconds)
                    median = float(np.median(rates))
                    print(
                        f"| {size} | {8 * cache.settings.dtype.itemsize} bits "
                        f"| {'yes' if augment else 'no'} "
                        f"| {median:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f}) "
                        f"| {median * n_bytes / 1e9:.1f} | {built_s:.1f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
