"""The plates of the published set, and cells laid out on them like its own."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpsweep.data.errors import SyntheticError


@dataclass(frozen=True)
class Plate:
    """One plate of the published set: one particle, dose and hour (counted in its meta.csv)."""

    plate: str
    barcode: str
    particle: str
    dose_gy: float
    hour: int
    n_cells: int
    wells: str


_FE: Final = "A6 A8 C6 C7 C8 E4 G3 G4"
_XRAY: Final = "A7 C7 D5 E1 E2 E5 E6 F5"
PLATES: Final = (
    Plate("P242", "73665006707", "Fe", 0.82, 4, 4416, _FE),
    Plate("P243", "73665098237", "Fe", 0.3, 4, 4582, _FE),
    Plate("P244", "73665165741", "Fe", 0.0, 4, 4632, _FE),
    Plate("P248", "73665445941", "Fe", 0.82, 24, 4515, _FE),
    Plate("P249", "73665543731", "Fe", 0.3, 24, 4668, _FE),
    Plate("P250", "73665642094", "Fe", 0.0, 24, 4651, _FE),
    Plate("P251", "73665707362", "Fe", 0.82, 48, 4593, _FE),
    Plate("P253", "73665853037", "Fe", 0.0, 48, 1814, "E4 G3 G4"),
    Plate("P253", "73666050044", "Fe", 0.0, 48, 2693, "A6 A8 C6 C7 C8"),
    Plate("P278", "73668090728", "X-ray", 0.0, 4, 4803, _XRAY),
    Plate("P279", "73668277350", "X-ray", 0.1, 4, 4726, _XRAY),
    Plate("P280", "73668439105", "X-ray", 1.0, 4, 4450, _XRAY),
    Plate("P282", "73668608120", "X-ray", 0.0, 24, 4437, _XRAY),
    Plate("P283", "73668670516", "X-ray", 0.1, 24, 4408, _XRAY),
    Plate("P284", "73668752578", "X-ray", 1.0, 24, 4519, _XRAY),
    Plate("P286", "73668871024", "X-ray", 0.0, 48, 4448, _XRAY.removeprefix("A7 ")),
    Plate("P287", "73668956345", "X-ray", 0.1, 48, 4451, _XRAY),
    Plate("P288", "73669012104", "X-ray", 1.0, 48, 4371, _XRAY),
)
# Shares of cells by well at 4 h; a few wells are poorer on every plate.
_WELL_SHARES: Final = {
    "Fe": {"A6": 15, "A8": 11, "C6": 6, "C7": 14, "C8": 14, "E4": 13, "G3": 13, "G4": 14},
    "X-ray": {"A7": 9, "C7": 13, "D5": 14, "E1": 14, "E2": 7, "E5": 15, "E6": 14, "F5": 14},
}
_CELLS_PER_FIELD: Final = 19  # the median; a well has up to 40 fields, a field up to 92 cells
_MAX_FIELDS: Final = 40


def lay_out_cells(n_images: int, hours: tuple[int, ...], seed: int) -> pd.DataFrame:
    """Rows of a catalogue with the published plates, each plate and well with its share of cells.

    Returns:
        The table of `bpsweep.data.catalog.Catalog`, rows in random order as in the published file.

    Raises:
        SyntheticError: a well would have no cell.
    """
    plates = [plate for plate in PLATES if plate.hour in hours]
    wells = [(plate, well) for plate in plates for well in plate.wells.split()]
    weights = [p.n_cells * _well_share(p, well) for p, well in wells]
    n_cells = _apportion(n_images, np.array(weights))
    if n_cells.min() < 1:
        n_enough = int(np.ceil(sum(weights) / min(weights)))
        raise SyntheticError(
            f"n_images {n_images} leaves a well without a cell; for hours "
            f"{', '.join(map(str, hours))} {n_enough} suffice"
        )
    rng = np.random.default_rng((seed, len(wells)))
    table = pd.concat(
        [_fill_well(p, well, int(n), rng) for (p, well), n in zip(wells, n_cells, strict=True)]
    )
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


def _well_share(plate: Plate, well: str) -> float:
    shares = _WELL_SHARES[plate.particle]
    return shares[well] / sum(shares[other] for other in plate.wells.split())


def _apportion(n: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers with sum n in the ratio of the weights, by largest remainder."""
    exact = n * weights / weights.sum()
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return counts


def _fill_well(plate: Plate, well: str, n_cells: int, rng: np.random.Generator) -> pd.DataFrame:
    """Put cells into fields of about the published number of cells; number both from 1."""
    n_fields = min(_MAX_FIELDS, max(1, round(n_cells / _CELLS_PER_FIELD)))
    per_field = rng.multinomial(n_cells, rng.dirichlet(np.full(n_fields, 3.0)))
    field = np.repeat(np.arange(1, n_fields + 1), per_field)
    cell = np.concatenate([np.arange(1, n + 1) for n in per_field])
    prefix = f"{plate.plate}_{plate.barcode}-{well}"
    names = [f"{prefix}_{f:03d}_{c:03d}_proj.tif" for f, c in zip(field, cell, strict=True)]
    return pd.DataFrame(
        {
            "filename": pd.Series(names, dtype="str"),
            "plate": plate.plate,
            "barcode": plate.barcode,
            "well": well,
            "field": field,
            "cell": cell,
            "particle": plate.particle,
            "dose_gy": plate.dose_gy,
            "hour": plate.hour,
        }
    )
