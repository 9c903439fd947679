"""Training and validation rows: seeded, stratified by particle, whole groups on one side."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from data.catalog import Catalog, format_meta
from data.errors import SplitError
from data.folders import write_whole

SPLITS: Final = ("image", "well")
_VAL_SHARE: Final = 0.2


@dataclass(frozen=True)
class Split:
    """Rows of a catalogue on either side.

    Attributes:
        method: one of `SPLITS`.
        seed: of the draw.
        train: int64 rows of the catalogue.
        val: int64 rows of the catalogue.
        checksum: sha256 of catalogue checksum, method, seed and rows.
    """

    method: str
    seed: int
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    checksum: str


def make_split(catalog: Catalog, method: str, seed: int = 42) -> Split:
    """Divide the rows of a catalogue into about 80 % training and 20 % validation.

    "image" draws single images with scikit-learn, seed 42 on `hi-4h` being the published split
    row for row. "well" draws whole (particle, well) groups over all plates, so that no animal's
    position is on both sides.

    Raises:
        SplitError: unknown method, or a particle would be missing on a side.
    """
    if method not in SPLITS:
        raise SplitError(f"split {method!r} is unknown; allowed are {', '.join(SPLITS)}")
    particles = catalog.table["particle"].to_numpy(dtype=str)
    if method == "image":
        train, val = _split_images(particles, seed)
    else:
        train, val = _split_groups(particles, catalog.table["well"].to_numpy(dtype=str), seed)
    _check_sides(particles, train, val, method)
    digest = hashlib.sha256(f"{catalog.checksum} {method} {seed}".encode())
    for rows in (train, val):
        digest.update(f" {len(rows)} ".encode() + rows.astype("<i8").tobytes())
    return Split(method, seed, train, val, digest.hexdigest())


def _split_images(
    particles: NDArray[np.str_], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        train, val = train_test_split(
            np.arange(len(particles)), test_size=_VAL_SHARE, random_state=seed, stratify=particles
        )
    except ValueError as error:
        raise SplitError(f"{len(particles)} images cannot be split by image: {error}") from error
    return np.asarray(train, dtype=np.int64), np.asarray(val, dtype=np.int64)


def _split_groups(
    particles: NDArray[np.str_], groups: NDArray[np.str_], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw groups of each particle in turn for validation while that brings its share nearer."""
    rng = np.random.default_rng(seed)
    in_val = np.zeros(len(particles), dtype=bool)
    for particle in np.unique(particles):
        of_particle = particles == particle
        wanted = _VAL_SHARE * of_particle.sum()
        n_taken = 0
        for group in rng.permutation(np.unique(groups[of_particle])):
            chosen = of_particle & (groups == group)
            if abs(n_taken + chosen.sum() - wanted) < abs(n_taken - wanted):
                in_val |= chosen
                n_taken += int(chosen.sum())
    rows = np.arange(len(particles), dtype=np.int64)
    return rows[~in_val], rows[in_val]


def _check_sides(
    particles: NDArray[np.str_],
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    method: str,
) -> None:
    for name, rows in (("training", train), ("validation", val)):
        missing = sorted(set(particles) - set(particles[rows]))
        if missing or not len(rows):
            raise SplitError(
                f"split {method!r} leaves no {' and no '.join(missing) or 'image'} in "
                f"{name}; take a subset with more {method}s or split by image"
            )


def write_split(catalog: Catalog, split: Split, folder: Path) -> None:
    """Write `train.csv`, `val.csv` and `split.json` (method, seed, checksums) into a folder.

    The tables have the columns of `meta.csv` and its order of rows.

    Raises:
        SplitError: the folder cannot be written.
    """
    checksums = {"split": split.checksum, "catalog": catalog.checksum}
    sides = {"train": split.train, "val": split.val}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in sides.items():
            text = format_meta(catalog.table.iloc[np.sort(rows)])
            checksums[f"{name}.csv"] = hashlib.sha256(text.encode()).hexdigest()
            write_whole(folder / f"{name}.csv", text.encode())
        about = {"method": split.method, "seed": split.seed, "sha256": checksums}
        write_whole(folder / "split.json", json.dumps(about, indent=1).encode() + b"\n")
    except OSError as error:
        raise SplitError(
            f"cannot write the split to {str(folder)!r}: {error.strerror or error}; "
            "choose another folder with --out"
        ) from error
