"""Which cells stand or fall together: the wells of each particle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.predictions import Predictions, Texts

Unit = Literal["wells", "plates"]
Rows = NDArray[np.bool_] | NDArray[np.intp]
FEW_PLATES: Final = 6
"""Below this many of a particle, an interval over plates is itself uncertain."""
FEW_WELLS = 8
"""Below this many, an interval over wells is itself uncertain; benchmarks/report_coverage.py."""


@dataclass(frozen=True)
class Wells:
    """The well of each of N cells, and the stratum of each of W wells.

    Args:
        of_cell: (N,) int64 well numbers from 0 to W - 1.
        stratum: (W,) int64 stratum numbers from 0 to H - 1; wells are resampled inside a stratum.
        names: The W wells, as "Fe A6".
        unit: "plates" where each "well" here is a whole plate.
    """

    of_cell: NDArray[np.int64]
    stratum: NDArray[np.int64]
    names: tuple[str, ...]
    unit: Unit = "wells"

    @property
    def n_cells(self) -> int:
        """Number of cells N."""
        return len(self.of_cell)

    @property
    def n_wells(self) -> int:
        """Number of wells W."""
        return len(self.stratum)

    @property
    def n_strata(self) -> int:
        """Number of strata H."""
        return int(self.stratum.max()) + 1 if len(self.stratum) else 0

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(W,) number of cells in each well."""
        return np.bincount(self.of_cell, minlength=self.n_wells).astype(np.int64)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values (N,) over the cells of each well: (W,)."""
        sums = np.bincount(self.of_cell, weights=values, minlength=self.n_wells)
        return sums.astype(np.float64)


def group_wells(predictions: Predictions, rows: Rows | None = None) -> Wells:
    """Group cells, or some rows of them, by particle and well position.

    A position is most likely one animal on all plates of its particle, so it counts once however
    many plates it is on; and how many wells of each particle there are is the experimenter's
    choice, not chance, so they are resampled particle by particle: each is a stratum.

    Where whole plates were held out, what is common to the cells of a plate is what a new plate
    would change: plates are then the groups. With one plate of a particle their spread is unknown,
    and the groups are its wells.
    """
    chosen = slice(None) if rows is None else rows
    particles, wells = predictions.particles[chosen], predictions.wells[chosen]
    if predictions.held_out != "plates":
        return code_wells(particles, wells)
    plates = predictions.plates[chosen]
    by_plate = code_wells(particles, plates)
    n_plates = np.unique([name.split()[0] for name in by_plate.names], return_counts=True)[1]
    if n_plates.min(initial=2) > 1:
        return replace(by_plate, unit="plates")
    return group_plate_wells(predictions, chosen)


def group_plate_wells(predictions: Predictions, rows: Rows | slice = slice(None)) -> Wells:
    """Group cells by particle, plate and well position, the wells of each particle a stratum."""
    pairs = zip(predictions.plates[rows], predictions.wells[rows], strict=True)
    places = np.array([f"{plate} {well}" for plate, well in pairs], dtype=np.str_)
    return code_wells(predictions.particles[rows], places)


def code_wells(particles: Texts, wells: Texts) -> Wells:
    """Number the wells of N cells, in order of particle and position.

    Strata are kept only where each has two wells or more: the spread of one well is unknown.
    """
    both = np.stack([particles, wells], axis=1)
    unique, of_cell = np.unique(both, axis=0, return_inverse=True)
    _, stratum, per_stratum = np.unique(unique[:, 0], return_inverse=True, return_counts=True)
    if per_stratum.min(initial=2) < 2:
        stratum = np.zeros(len(unique), dtype=np.int64)
    return Wells(
        of_cell=of_cell.reshape(-1).astype(np.int64),
        stratum=stratum.astype(np.int64),
        names=tuple(" ".join(pair) for pair in unique.tolist()),
    )


def align_cells(group: Sequence[Predictions]) -> list[NDArray[np.intp]] | None:
    """Return the order of each that puts the same cells in the same rows; None if cells differ."""
    orders = [np.argsort(one.cells, kind="stable") for one in group]
    first = group[0].cells[orders[0]]
    same = all(
        np.array_equal(one.cells[order], first) for one, order in zip(group, orders, strict=True)
    )
    return orders if same else None
