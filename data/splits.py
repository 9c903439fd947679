"""Training, validation and test rows: seeded, stratified, whole groups on one side.

Ways to split, from the weakest to the strongest evidence:

- "image": single images at random; seed 42 on `hi-4h` is the published split, row for row. Cells
  of one field are on both sides.
- "field": whole fields of view, drawn within each plate.
- "well": whole (particle, well) positions over all plates, so that no animal is on both sides.
- "fold-K-of-N": the K-th of N parts of the wells, each of which validates once.
- "plate": whole plates, so that no plate is on both sides; plate_splits.py chooses them.
- "plate-fold-K-of-N": the K-th of N parts of the plates.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.catalog import Catalog, format_meta
from bpsweep.data.choices import SPLITS
from bpsweep.data.errors import SplitError
from bpsweep.data.folders import write_whole
from bpsweep.data.plate_splits import deal_plates, hold_out_plates

_FOLD: Final = re.compile(r"(?:plate-)?fold-([1-9]\d?)-of-([1-9]\d?)")
_SHARE: Final = 0.2  # of all rows, for validation and for test each

Rows = NDArray[np.int64]
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class Split:
    """Rows of a catalogue by side, each row on one.

    Attributes:
        method: one of `SPLITS`, fold-K-of-N or plate-fold-K-of-N.
        seed: of the draw.
        train: int64 rows of the catalogue.
        val: int64 rows of the catalogue.
        test: int64 rows of the catalogue, none unless asked for.
        checksum: sha256 of catalogue checksum, method, seed and rows.
    """

    method: str
    seed: int
    train: Rows
    val: Rows
    test: Rows
    checksum: str

    @property
    def sides(self) -> dict[str, Rows]:
        """The sides that have rows, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: rows for name, rows in named.items() if len(rows)}


def check_method(method: str) -> None:
    """Raise SplitError, naming what is allowed, unless `method` is a way to split."""
    fold = _FOLD.fullmatch(method)
    if method not in SPLITS and (fold is None or not int(fold[1]) <= int(fold[2]) > 1):
        raise SplitError(
            f"split {method!r} is unknown; allowed are {', '.join(SPLITS)}, and fold-K-of-N or "
            "plate-fold-K-of-N with K from 1 to N, as in fold-1-of-4"
        )


def holds_out_plates(method: str) -> bool:
    """Whether a way to split keeps every plate on one side."""
    return method.startswith("plate")


def make_split(catalog: Catalog, method: str, seed: int = 42, with_test: bool = False) -> Split:
    """Divide the rows of a catalogue: about 20 % to validate, the rest to train.

    With a test part another 20 % are taken from the training rows; the validation rows are the
    same with it and without.

    Raises:
        SplitError: unknown method, too few groups, or a particle or dose missing on a side.
    """
    check_method(method)
    table = catalog.table
    particles = table["particle"].to_numpy(dtype=str)
    fold = _FOLD.fullmatch(method)
    if method == "image":
        part = _split_images(particles, seed, with_test)
    elif method == "field":
        plates = (table["plate"] + table["barcode"]).to_numpy(dtype=str)
        fields = (table["well"] + "-" + table["field"].astype("str")).to_numpy(dtype=str)
        part = _split_groups(_Groups.build(plates, fields), seed, with_test)
    elif holds_out_plates(method):
        side = (
            hold_out_plates(table, seed, with_test)
            if fold is None
            else deal_plates(table, seed, with_test, int(fold[1]), int(fold[2]))
        )
        part = _rows_by_side(side)
    else:
        wells = _Groups.build(particles, table["well"].to_numpy(dtype=str))
        if fold is None:
            part = _split_groups(wells, seed, with_test)
        else:
            part = _split_folds(wells, seed, with_test, int(fold[1]), int(fold[2]))
    _check_sides(catalog, part, method, with_test)
    digest = hashlib.sha256(f"{catalog.checksum} {method} {seed}".encode())
    for rows in part[: 2 + with_test]:
        digest.update(f" {len(rows)} ".encode() + rows.astype("<i8").tobytes())
    return Split(method, seed, *part, digest.hexdigest())


Part = tuple[Rows, Rows, Rows]  # train, val, test


def _split_images(particles: Texts, seed: int, with_test: bool) -> Part:
    # Takes half a second to load, which every other command of ours need not wait for.
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    def divide(rows: Rows, share: float) -> tuple[Rows, Rows]:
        train, other = train_test_split(
            rows, test_size=share, random_state=seed, stratify=particles[rows]
        )
        return np.asarray(train, dtype=np.int64), np.asarray(other, dtype=np.int64)

    try:
        train, val = divide(np.arange(len(particles), dtype=np.int64), _SHARE)
        test = np.empty(0, dtype=np.int64)
        if with_test:
            train, test = divide(train, _SHARE / (1 - _SHARE))
    except ValueError as error:
        raise SplitError(f"{len(particles)} images cannot be split by image: {error}") from error
    return train, val, test


@dataclass(frozen=True)
class _Groups:
    """Groups of rows: the stratum and size of each, and the group of every row."""

    stratum: Texts
    size: Rows
    of_row: Rows

    @staticmethod
    def build(strata: Texts, names: Texts) -> "_Groups":
        both = np.stack([strata, names], axis=1)
        unique, of_row, size = np.unique(both, axis=0, return_inverse=True, return_counts=True)
        return _Groups(unique[:, 0], size.astype(np.int64), of_row.reshape(-1).astype(np.int64))

    def shuffle(self, rng: np.random.Generator) -> list[tuple[str, Rows]]:
        """Each stratum with its groups in random order."""
        return [
            (str(stratum), rng.permutation(np.flatnonzero(self.stratum == stratum)))
            for stratum in np.unique(self.stratum)
        ]


def _split_groups(groups: _Groups, seed: int, with_test: bool) -> Part:
    """Draw groups of every stratum for each side while that brings its share nearer."""
    side = np.zeros(len(groups.size), dtype=np.int64)  # 0 train, 1 val, 2 test
    for _, order in groups.shuffle(np.random.default_rng(seed)):
        n_wanted = _SHARE * groups.size[order].sum()
        for number in (1, 2) if with_test else (1,):
            n_taken = 0
            for group in order[side[order] == 0]:
                n_more = groups.size[group]
                if abs(n_taken + n_more - n_wanted) < abs(n_taken - n_wanted):
                    side[group] = number
                    n_taken += n_more
    return _rows_by_side(side[groups.of_row])


def _split_folds(groups: _Groups, seed: int, with_test: bool, fold: int, n_folds: int) -> Part:
    """Deal the groups of every stratum out to folds of nearly equal size."""
    fold_of = np.zeros(len(groups.size), dtype=np.int64)
    for stratum, order in groups.shuffle(np.random.default_rng(seed)):
        if len(order) < n_folds:
            raise SplitError(
                f"{n_folds} folds need as many wells of each particle; {stratum} has {len(order)}"
            )
        sizes = np.zeros(n_folds)
        for group in sorted(order, key=lambda group: -groups.size[group]):
            smallest = int(sizes.argmin())
            sizes[smallest] += groups.size[group]
            fold_of[group] = smallest + 1
    side = np.where(fold_of == fold, 1, 0)
    if with_test:
        side[fold_of == fold % n_folds + 1] = 2
    return _rows_by_side(side[groups.of_row])


def _rows_by_side(side: Rows) -> Part:
    train, val, test = (np.flatnonzero(side == number) for number in range(3))
    return train, val, test


def _check_sides(catalog: Catalog, part: Part, method: str, with_test: bool) -> None:
    doses = catalog.table["dose_gy"].map("{} Gy".format)
    needed = [catalog.table["particle"].to_numpy(str)]
    if not holds_out_plates(method):  # a dose may have one plate only, which is then on one side
        needed.append(doses.to_numpy(str))
    for classes in needed:
        sides = zip(("training", "validation", "test"), part[: 2 + with_test], strict=False)
        for name, rows in sides:
            missing = sorted(set(classes) - set(classes[rows]))
            if missing:
                raise SplitError(
                    f"split {method!r} leaves no {' and no '.join(missing)} in {name}; take a "
                    "larger subset, another seed, or a weaker split: field, image"
                )


def write_split(catalog: Catalog, split: Split, folder: Path) -> None:
    """Write `train.csv`, `val.csv`, `test.csv` if there is one, and `split.json`.

    The tables have the columns of `meta.csv` and its order of rows; the JSON has method, seed and
    checksums.

    Raises:
        SplitError: the folder cannot be written.
    """
    checksums = {"split": split.checksum, "catalog": catalog.checksum}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.csv").unlink(missing_ok=True)  # of an earlier split
        for name, rows in split.sides.items():
            content = format_meta(catalog.table.iloc[np.sort(rows)]).encode()
            checksums[f"{name}.csv"] = hashlib.sha256(content).hexdigest()
            write_whole(folder / f"{name}.csv", content)
        about = {"method": split.method, "seed": split.seed, "sha256": checksums}
        write_whole(folder / "split.json", json.dumps(about, indent=1).encode() + b"\n")
    except OSError as error:
        raise SplitError(
            f"cannot write the split to {str(folder)!r}: {error.strerror or error}; "
            "choose another folder with --out"
        ) from error
