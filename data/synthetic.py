"""The embedded data set: rendered cells in the published set's layout, from a seed.

It stands in where the real images are not at hand. Numbers of foci follow a table published for
the real set; plate and well effects can be set, because in the real set they are there too.
"""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bpsweep.data.catalog import META_NAME, SYNTHETIC_MARKER, format_meta, read_catalog
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.conditions import Well, draw_stain, find_damage
from bpsweep.data.errors import SyntheticError
from bpsweep.data.folders import Progress, advise, build_folder, count_cpus, lock_folder
from bpsweep.data.images import write_image
from bpsweep.data.nucleus import Damage, Stain, Textures, render_nucleus
from bpsweep.data.plates import lay_out_cells

_FORMAT: Final = 4  # raise when the same settings give other bytes
_CHUNK: Final = 64  # images a worker takes at a time


def make_synthetic(
    folder: Path,
    settings: SyntheticSettings,
    progress: Progress | None = None,
    n_workers: int | None = None,
) -> None:
    """Render a data set into a new folder; nothing happens if it is there with these settings.

    The same settings give the same bytes whatever the number of worker processes.

    Raises:
        SyntheticError: the folder holds something else, cannot be written, or the settings do
            not fit together. Nothing half-made is left then, nor after an interruption.
    """
    folder = Path(folder)
    marker = {"format": _FORMAT, **asdict(settings)}
    try:
        with lock_folder(folder.parent):
            if folder.exists() and any(folder.iterdir()):
                _check_same(folder, marker)
                return
            table = lay_out_cells(settings.n_images, settings.hours, settings.seed)
            with build_folder(folder) as building:
                _render_all(building, table, settings, progress, n_workers or count_cpus())
                text = json.dumps(marker, indent=1) + "\n"
                (building / SYNTHETIC_MARKER).write_text(text, encoding="utf-8")
                (building / META_NAME).write_text(format_meta(table), encoding="utf-8")
    except OSError as error:
        raise SyntheticError(
            f"cannot write a synthetic set to {str(folder)!r}: {error.strerror or error}; "
            f"{advise(error)} or choose another folder"
        ) from error


def _check_same(folder: Path, marker: dict[str, object]) -> None:
    try:
        found = json.loads((folder / SYNTHETIC_MARKER).read_text(encoding="utf-8"))
        # Sets made before this setting existed were made at its default.
        found.setdefault("radiation_effect", SyntheticSettings.radiation_effect)
    except (OSError, ValueError, AttributeError):
        found = None
    if found != json.loads(json.dumps(marker)):
        what = f"a synthetic set with {found}" if found else "no synthetic set"
        raise SyntheticError(
            f"{str(folder)!r} exists and holds {what}; remove it or choose another folder"
        )
    read_catalog(folder)


def _render_all(
    folder: Path,
    table: pd.DataFrame,
    settings: SyntheticSettings,
    progress: Progress | None,
    n_workers: int,
) -> None:
    """Write every image of the table, chunks of rows spread over processes."""
    effects = settings.seed, settings.plate_effect, settings.well_effect
    cells = [
        _Cell(
            row,
            filename,
            find_damage(particle, dose_gy, hour, settings.radiation_effect),
            draw_stain(well, *effects),
        )
        for row, (filename, well, particle, dose_gy, hour) in enumerate(_rows(table))
    ]
    chunks = [
        (folder, cells[first : first + _CHUNK], settings.seed)
        for first in range(0, len(cells), _CHUNK)
    ]
    n_done = 0
    with _worker_pool(min(n_workers, len(chunks)), settings.seed) as pool:
        for n in pool.map(_render_chunk, chunks):
            n_done += n
            if progress is not None:
                progress(n_done, len(table))


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, Well, str, float, int]]:
    columns = ("filename", "particle", "barcode", "well", "dose_gy", "hour")
    for values in zip(*(table[name].tolist() for name in columns), strict=True):
        filename, particle, barcode, well, dose_gy, hour = values
        yield filename, Well(particle, barcode, well), particle, dose_gy, hour


@contextmanager
def _worker_pool(n_workers: int, seed: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the work, with an error, with Ctrl-C and with this process."""
    # Not forked: this process may have threads, whose locks a fork would copy locked.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=(seed,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_textures: list[Textures] = []  # of this worker process


def _start_worker(seed: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    threadpool_limits(1)
    _textures[:] = [Textures(seed)]


class _Cell(NamedTuple):
    """What rendering needs of a row of the table; its number seeds the image."""

    row: int
    filename: str
    damage: Damage
    stain: Stain


def _render_chunk(chunk: tuple[Path, list[_Cell], int]) -> int:
    folder, cells, seed = chunk
    for cell in cells:
        rng = np.random.default_rng((seed, cell.row))
        pixels = render_nucleus(cell.damage, cell.stain, _textures[0], rng)
        write_image(folder / cell.filename, pixels)
    return len(cells)
