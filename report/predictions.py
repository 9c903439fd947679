"""What a run says of every cell of one part of the data, and that as a file anyone can open."""

import csv
import io
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.metrics import Labels, Probabilities

FILE_NAME: Final = "predictions.csv"
"""What the file is called among a run's files."""
_CELL_COLUMNS: Final = ("cell", "plate", "well", "field", "particle", "dose_gy", "hour")
PER_CELL: Final = (
    "cells",
    "plates",
    "wells",
    "fields",
    "particles",
    "doses_gy",
    "hours",
    "truth",
    "probabilities",
)
"""The fields of `Predictions` that have one value, or one row, a cell."""
_TRUE, _PROBABILITY = "true ", "p "

Texts = NDArray[np.str_]
HeldOut = Literal["cells", "plates"]


@dataclass(frozen=True)
class Predictions:
    """Truth and probabilities of N cells, with where each comes from.

    Args:
        cells: (N,) file names.
        plates: (N,) plate names, as "P278".
        wells: (N,) well positions, as "A6".
        fields: (N,) int64 fields of view within the well.
        particles: (N,) "Fe" or "X-ray".
        doses_gy: (N,) float64.
        hours: (N,) int64 hours after exposure.
        label_names: The L labels.
        truth: (N, L) uint8 of 0 and 1.
        probabilities: (N, L) float32 in [0, 1].
        held_out: "plates" where no cell of these plates was trained on, so that a plate is the unit
            of what was measured; not in the file, it follows from the run's split.
        folds: (N,) which fold's network said it; None where one network did.
    """

    cells: Texts
    plates: Texts
    wells: Texts
    fields: NDArray[np.int64]
    particles: Texts
    doses_gy: NDArray[np.float64]
    hours: NDArray[np.int64]
    label_names: tuple[str, ...]
    truth: Labels
    probabilities: Probabilities
    held_out: HeldOut = "cells"
    folds: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.cells)


def write_predictions(predictions: Predictions) -> str:
    """Write one line a cell: where it comes from, then `true LABEL` and `p LABEL` for each label.

    Probabilities keep nine significant digits, which give each float32 back: with fewer, cells near
    one half would be decided otherwise than the run has logged.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = predictions.label_names
    writer.writerow(
        [
            *_CELL_COLUMNS,
            *(_TRUE + name for name in names),
            *(_PROBABILITY + name for name in names),
        ]
    )
    places = zip(
        predictions.cells.tolist(),
        predictions.plates.tolist(),
        predictions.wells.tolist(),
        predictions.fields.tolist(),
        predictions.particles.tolist(),
        predictions.doses_gy.tolist(),
        predictions.hours.tolist(),
        strict=True,
    )
    truth, probabilities = predictions.truth.tolist(), predictions.probabilities.tolist()
    for place, true, likely in zip(places, truth, probabilities, strict=True):
        writer.writerow([*place, *true, *(f"{value:.9g}" for value in likely)])
    return text.getvalue()


def read_predictions(text: str) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        ValueError: The text is something else; the message says what is wrong.
    """
    rows = list(csv.reader(io.StringIO(text)))
    header = tuple(rows[0]) if rows else ()
    n_cell = len(_CELL_COLUMNS)
    names = tuple(name.removeprefix(_TRUE) for name in header[n_cell:] if name.startswith(_TRUE))
    expected = (
        *_CELL_COLUMNS,
        *(_TRUE + name for name in names),
        *(_PROBABILITY + name for name in names),
    )
    if header != expected or not names or any(len(row) != len(header) for row in rows):
        raise ValueError(
            f"not a table of predictions: its columns are {header!r}, wanted are "
            f"{', '.join(_CELL_COLUMNS)}, then 'true LABEL' and 'p LABEL' for each label"
        )
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(header)
    first = n_cell + len(names)
    return Predictions(
        cells=np.array(columns[0], dtype=np.str_),
        plates=np.array(columns[1], dtype=np.str_),
        wells=np.array(columns[2], dtype=np.str_),
        fields=np.array(columns[3], dtype=np.int64),
        particles=np.array(columns[4], dtype=np.str_),
        doses_gy=np.array(columns[5], dtype=np.float64),
        hours=np.array(columns[6], dtype=np.int64),
        label_names=names,
        truth=np.array(columns[n_cell:first], dtype=np.uint8).T,
        probabilities=np.array(columns[first:], dtype=np.float32).T,
    )
