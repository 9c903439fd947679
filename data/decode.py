"""Every image of a catalogue, read and decoded by several threads."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bpsweep.data.catalog import Catalog
from bpsweep.data.errors import ImageError
from bpsweep.data.folders import Progress, count_cpus
from bpsweep.data.images import decode_image, read_bytes

# Row of the catalogue, its (Y, X) uint16 pixels, sha256 of its file.
Handler = Callable[[int, NDArray[np.uint16], str], None]

_CHUNK: Final = 64  # images a thread takes at a time


def decode_images(
    catalog: Catalog,
    handle: Handler,
    progress: Progress | None = None,
    n_workers: int | None = None,
) -> dict[str, str]:
    """Call `handle` with every usable image, in any order and from several threads.

    Threads, not processes: decoding and numpy's products leave Python's lock.

    Returns:
        Name -> reason of the files that cannot be used; `handle` was not called for them.
    """
    names = catalog.table["filename"].tolist()

    def decode_chunk(first: int) -> dict[str, str]:
        rejected = {}
        for row in range(first, min(first + _CHUNK, len(names))):
            try:
                content = read_bytes(catalog.folder / names[row])
                pixels = decode_image(content)
            except ImageError as error:
                rejected[names[row]] = str(error)
                continue
            handle(row, pixels, hashlib.sha256(content).hexdigest())
        return rejected

    rejected: dict[str, str] = {}
    pool = ThreadPoolExecutor(n_workers or count_cpus())
    with threadpool_limits(1, user_api="blas"), pool:
        futures = [pool.submit(decode_chunk, first) for first in range(0, len(names), _CHUNK)]
        try:
            for n_done, future in enumerate(futures, start=1):
                rejected |= future.result()
                if progress is not None:
                    progress(min(n_done * _CHUNK, len(names)), len(names))
        finally:  # after an error or Ctrl-C: end with the chunks at work, not with the queue
            pool.shutdown(cancel_futures=True)
    return rejected
