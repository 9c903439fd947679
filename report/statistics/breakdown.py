"""Where the winner is right and where it is wrong: by plate, well, dose, condition and foci."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.predictions import Predictions, Texts
from bpsweep.report.statistics.confusion import name_vector
from bpsweep.report.statistics.intervals import (
    Interval,
    find_interval,
    naive_interval,
    resample_mean,
)
from bpsweep.report.statistics.scores import (
    ACCURACY,
    DEFAULT_LEVEL,
    Scores,
    decide_cells,
    score_cells,
)
from bpsweep.report.statistics.wells import code_wells

N_MISTAKES: Final = 6
NOT_COUNTED: Final = -1
"""Stands for the number of foci where it is not known."""
_UNKNOWN: Final = "unknown"
_MOST_FOCI: Final = 4  # counts from here on are one group

GROUPS: Final = ("condition", "plate", "well", "dose", "foci")
"""What cells are grouped by; foci only where they were counted."""


@dataclass(frozen=True)
class Group:
    """Accuracy on some of the cells.

    Args:
        name: As "P242", "Fe A6", "0.82 Gy", "Fe 0.82 Gy 4 h" or "2 foci".
        n_cells: How many.
        n_wells: Of how many wells.
        accuracy: Share of them that are right.
        interval: Over their wells; Wilson's where they come from one well.
    """

    name: str
    n_cells: int
    n_wells: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Mistake:
    """A cell that the model was sure of, and wrong.

    Args:
        row: Its row in the predictions.
        cell: Its file name.
        condition: As "Fe 0.82 Gy 4 h".
        truth, said: Label vectors in words, as "Fe" or "X-ray, 1.0 Gy".
        confidence: The probability of the wrong label that it was surest of.
    """

    row: int
    cell: str
    condition: str
    truth: str
    said: str
    confidence: float


@dataclass(frozen=True)
class Breakdown:
    """Accuracy by groups of cells, and the most confident mistakes.

    Args:
        groups: Kind of group, in the order of `GROUPS`, to its groups.
        mistakes: Condition to its most confident mistakes, the worst first.
    """

    groups: Mapping[str, tuple[Group, ...]]
    mistakes: Mapping[str, tuple[Mistake, ...]]


def break_down(
    predictions: Predictions,
    foci: NDArray[np.int64] | None = None,
    level: float = DEFAULT_LEVEL,
    n_mistakes: int = N_MISTAKES,
) -> Breakdown:
    """Break the accuracy of a run down.

    Args:
        predictions: Of N cells.
        foci: (N,) number of foci in each cell, `NOT_COUNTED` for some; None where for all.
        level: Confidence of the intervals.
        n_mistakes: How many mistakes to name for each condition.
    """
    scores = score_cells(predictions, ACCURACY)
    names = {
        "condition": name_conditions(predictions),
        "plate": predictions.plates,
        "well": _join(predictions.particles, predictions.wells),
        "dose": np.array([f"{dose:g} Gy" for dose in predictions.doses_gy]),
    }
    if foci is not None:
        names["foci"] = np.array([_name_foci(int(n)) for n in foci])
    groups = {
        kind: tuple(
            _measure(name, values == name, scores, predictions, level)
            for name in sorted(set(values.tolist()) - {_UNKNOWN}, key=_sort_key)
        )
        for kind, values in names.items()
    }
    return Breakdown(groups, _find_mistakes(predictions, scores, names["condition"], n_mistakes))


def name_conditions(predictions: Predictions) -> Texts:
    """Name the condition of each cell: (N,) texts as "Fe 0.82 Gy 4 h"."""
    cells = zip(predictions.particles, predictions.doses_gy, predictions.hours, strict=True)
    return np.array([f"{particle} {dose:g} Gy {hour} h" for particle, dose, hour in cells])


def _join(*columns: Texts) -> Texts:
    return np.array([" ".join(parts) for parts in zip(*columns, strict=True)])


def _name_foci(n: int) -> str:
    if n == NOT_COUNTED:
        return _UNKNOWN
    if n >= _MOST_FOCI:
        return f"{_MOST_FOCI} foci or more"
    return "1 focus" if n == 1 else f"{n} foci"


def _sort_key(name: str) -> tuple[str, float, str]:
    """Sort "0.3 Gy" before "10 Gy", and plates and wells by letter, then number."""
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    if digits:
        return letters, float(digits), name
    first = name.split(" ", maxsplit=1)[0]
    number = first.replace(".", "", 1)
    return ("", float(first), name) if number.isdigit() else (name, 0.0, name)


def _measure(
    name: str, rows: NDArray[np.bool_], scores: Scores, predictions: Predictions, level: float
) -> Group:
    inside = scores[rows]
    wells = code_wells(predictions.particles[rows], predictions.wells[rows])
    if wells.n_wells > 1:
        interval = find_interval(resample_mean(inside, wells), float(inside.mean()), level)
    else:
        interval = naive_interval(inside, level)
    return Group(name, len(inside), wells.n_wells, float(inside.mean()), interval)


def _find_mistakes(
    predictions: Predictions, scores: Scores, conditions: Texts, n_mistakes: int
) -> dict[str, tuple[Mistake, ...]]:
    decided = decide_cells(predictions)
    likely = predictions.probabilities.astype(np.float64)
    sureness = np.where(decided == 1, likely, 1 - likely)  # of each label as it was decided
    wrong = (decided != predictions.truth) * sureness
    confidence = wrong.max(axis=1)  # (N,), 0 where all is right

    def describe(row: int) -> Mistake:
        return Mistake(
            row=row,
            cell=str(predictions.cells[row]),
            condition=str(conditions[row]),
            truth=name_vector(predictions.truth[row], predictions.label_names),
            said=name_vector(decided[row], predictions.label_names),
            confidence=float(confidence[row]),
        )

    found = {}
    for condition in sorted(set(conditions.tolist()), key=_sort_key):
        rows: Sequence[int] = np.flatnonzero((conditions == condition) & (scores < 1)).tolist()
        worst = sorted(rows, key=lambda row: -confidence[row])[:n_mistakes]
        found[condition] = tuple(describe(row) for row in worst)
    return found
