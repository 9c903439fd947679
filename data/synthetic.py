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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from data.catalog import HOURS, META_NAME, SYNTHETIC_MARKER, format_meta, read_catalog
from data.errors import SyntheticError
from data.folders import Progress, build_folder, count_cpus, lock_folder
from data.images import write_image
from data.nucleus import Damage, Stain, Textures, render_nucleus
from data.plates import lay_out_cells

_FORMAT: Final = 2  # raise when the same settings give other bytes
_CHUNK: Final = 64  # images a worker takes at a time
_IMAGES, _PLATES, _WELLS = range(3)  # streams of random numbers

# Mean foci per nucleus by particle, dose and hour: course project on the real set, blob count.
# Absolute numbers are the detector's; only the ratios are used.
FOCI_TABLE: Final = {
    ("Fe", 0.0): {4: 0.34, 24: 0.27, 48: 0.33},
    ("Fe", 0.3): {4: 0.93, 24: 0.56},
    ("Fe", 0.82): {4: 1.44, 24: 0.84, 48: 0.68},
    ("X-ray", 0.0): {4: 0.36, 24: 0.27, 48: 0.25},
    ("X-ray", 0.1): {4: 0.77, 24: 0.53, 48: 0.39},
    ("X-ray", 1.0): {4: 1.80, 24: 0.61, 48: 0.39},
}
_FOCI_SCALE: Final = 6.0  # rendered foci per one of the table: 11 at 1 Gy of X-rays after 4 h
_FOCI_PER_TRACK: Final = 3.0


@dataclass(frozen=True)
class SyntheticSettings:
    """What a synthetic set is made from; with `_FORMAT` it determines every byte.

    Attributes:
        n_images: cells in all.
        hours: which of 4, 24 and 48 h; each has its plates.
        seed: of everything random.
        plate_effect: 0 to 1, how far plates differ in stain, illumination and offset.
        well_effect: 0 to 1, the same for (particle, well), common to all plates.
    """

    n_images: int = 9000
    hours: tuple[int, ...] = (4,)
    seed: int = 0
    plate_effect: float = 0.5
    well_effect: float = 0.3

    def __post_init__(self) -> None:
        """Raise SyntheticError for a value that is not allowed."""
        if self.n_images < 1 or self.seed < 0:
            raise SyntheticError(
                f"n_images {self.n_images!r} and seed {self.seed!r} must be at least 1 and 0"
            )
        if not self.hours or not set(self.hours) <= set(HOURS):
            raise SyntheticError(f"hours {self.hours!r} are not among {', '.join(map(str, HOURS))}")
        for name in ("plate_effect", "well_effect"):
            if not 0 <= getattr(self, name) <= 1:
                raise SyntheticError(f"{name} {getattr(self, name)!r} is not between 0 and 1")


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
            "free space there or choose another folder"
        ) from error


def _check_same(folder: Path, marker: dict[str, object]) -> None:
    try:
        found = json.loads((folder / SYNTHETIC_MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
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
    columns = [table[name].tolist() for name in _Cell._fields[1:]]
    cells = [_Cell(row, *values) for row, values in enumerate(zip(*columns, strict=True))]
    chunks = [
        (folder, cells[first : first + _CHUNK], settings) for first in range(0, len(cells), _CHUNK)
    ]
    n_done = 0
    with _worker_pool(min(n_workers, len(chunks)), settings.seed) as pool:
        for n in pool.map(_render_chunk, chunks):
            n_done += n
            if progress is not None:
                progress(n_done, len(table))


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
    barcode: str
    well: str
    particle: str
    dose_gy: float
    hour: int


def _render_chunk(chunk: tuple[Path, list[_Cell], SyntheticSettings]) -> int:
    folder, cells, settings = chunk
    for cell in cells:
        rng = np.random.default_rng((settings.seed, _IMAGES, cell.row))
        damage = find_damage(cell.particle, cell.dose_gy, cell.hour)
        stain = draw_stain(settings, cell.particle, cell.barcode, cell.well)
        write_image(folder / cell.filename, render_nucleus(damage, stain, _textures[0], rng))
    return len(cells)


def find_damage(particle: str, dose_gy: float, hour: int) -> Damage:
    """Mean foci of a condition: X-rays scatter theirs, Fe ions leave rows beyond the sham's."""
    in_all = _FOCI_SCALE * FOCI_TABLE[particle, dose_gy][hour]
    if particle == "X-ray":
        return Damage(in_all)
    spontaneous = _FOCI_SCALE * FOCI_TABLE[particle, 0.0][hour]
    n_tracks = max(0.0, in_all - spontaneous) / _FOCI_PER_TRACK
    return Damage(min(in_all, spontaneous), n_tracks, _FOCI_PER_TRACK)


def draw_stain(settings: SyntheticSettings, particle: str, barcode: str, well: str) -> Stain:
    """Light of a plate and a well: a part common to a particle's plates, and each one's own."""
    plate = np.random.default_rng((settings.seed, _PLATES, int(barcode))).normal(size=4)
    spot = [ord(letter) for letter in particle[:1] + well]
    position = np.random.default_rng((settings.seed, _WELLS, *spot)).normal(size=4)
    campaign = 1.0 if particle == "X-ray" else -1.0  # the two were stained and imaged months apart
    by_plate, by_well = settings.plate_effect, settings.well_effect
    shift = by_plate * (0.5 * campaign + 0.15 * plate) + by_well * 0.2 * position
    return Stain(
        brightness=float(np.exp(0.4 * shift[0])),
        haze=float(np.exp(0.4 * shift[1])),
        offset=float(12 * shift[2]),
        blur=float(abs(0.5 * shift[3])),
    )
