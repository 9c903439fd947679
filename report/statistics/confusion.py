"""Which conditions are taken for which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.metrics import Labels

OTHER = "other"
"""A predicted label vector that no condition of the data has."""


@dataclass(frozen=True)
class Confusion:
    """Counts of images by true condition (rows) and predicted condition (columns).

    Args:
        rows: Names of the true conditions, R of them.
        columns: The same names, and "other" where some prediction is no condition of the data.
        counts: (R, C) int64.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[np.int64]


def count_confusion(truth: Labels, predicted: Labels, label_names: tuple[str, ...]) -> Confusion:
    """Count true against predicted label vectors (N, L)."""
    conditions = np.unique(truth, axis=0)[::-1]  # (R, L), in the order of the labels
    names = tuple(name_vector(vector, label_names) for vector in conditions)
    row = _find(truth, conditions)
    column = _find(predicted, conditions)
    counts = np.zeros((len(names), len(names) + 1), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    if not counts[:, -1].any():
        return Confusion(names, names, counts[:, :-1])
    return Confusion(names, (*names, OTHER), counts)


def name_vector(vector: Labels, label_names: tuple[str, ...]) -> str:
    """Name the labels that hold: "Fe, 0.82 Gy"; "none" where none does."""
    held = [name for name, holds in zip(label_names, vector, strict=True) if holds]
    return ", ".join(held) or "none"


def _find(vectors: Labels, conditions: Labels) -> NDArray[np.int64]:
    """Return each vector's index among the conditions; their number for one not among them."""
    equal = (vectors[:, None, :] == conditions[None, :, :]).all(axis=2)  # (N, R)
    return np.where(equal.any(axis=1), equal.argmax(axis=1), len(conditions)).astype(np.int64)
