"""What the labels alone say about what an accuracy on them can mean.

On the published set every plate holds one condition, so a model can score by recognising the
plate; and 0 Gy cells of both particles are the same unirradiated control, so no model that sees
biology alone can tell their particle.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from bpsweep.data.catalog import Catalog
from bpsweep.data.labels import LABEL_NAMES, encode_labels
from bpsweep.data.splits import Rows, Split

LABELS: Final = {"particle": "particle", "dose": "dose_gy", "hour": "hour"}  # word -> column
# What may give a label away, and the columns that make one; a well is a position on any plate.
GIVEAWAYS: Final[dict[str, tuple[str, ...]]] = {
    "plate": ("plate",),
    "barcode": ("barcode",),
    "well": ("well",),
    "field": ("plate", "barcode", "well", "field"),
}
# What may be on both sides of a split; the wells of a particle are its animals.
SHARED: Final[dict[str, tuple[str, ...]]] = {
    "field": ("plate", "barcode", "well", "field"),
    "well": ("particle", "well"),
    "plate": ("plate",),
}


@dataclass(frozen=True)
class Leak:
    """Share of validation cells whose group has cells in training too, for one kind of group."""

    n_groups: int
    n_groups_on_both_sides: int
    share_of_validation_cells: float


@dataclass(frozen=True)
class Audit:
    """The findings.

    Attributes:
        n_cells: rows.
        task: the chosen task.
        plates: one entry a plate and barcode: condition, cells, wells.
        n_groups: kind of group -> number of them.
        values: label -> number of its values.
        functions_of: label -> kinds of group that determine it.
        class_counts: label name -> cells.
        label_vectors: label vector in words -> cells.
        degenerate: the dose follows from the particle, so multi-label is single-label again.
        share_sham: of cells at 0 Gy.
        best_without_plate: accuracy that a model can expect that knows each condition perfectly
            but cannot tell the particle of a sham cell.
        majority: accuracy of always saying the commonest label vector.
        split: the chosen way to split, None without one.
        n_val: validation cells.
        leaks: kind of group -> what of it is on both sides.
        best_without_plate_val: as above, on the validation cells.
    """

    n_cells: int
    task: str
    plates: list[dict[str, Any]]
    n_groups: dict[str, int]
    values: dict[str, int]
    functions_of: dict[str, list[str]]
    class_counts: dict[str, int]
    label_vectors: dict[str, int]
    degenerate: bool
    share_sham: float
    best_without_plate: float
    majority: float
    split: str | None
    n_val: int
    leaks: dict[str, Leak]
    best_without_plate_val: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the one line under "line"."""
        return asdict(self) | {"line": self.line}

    @property
    def line(self) -> str:
        """What must stand beside every accuracy."""
        parts = []
        by_plate = [
            label
            for label, kinds in self.functions_of.items()
            if "plate" in kinds and self.values[label] > 1
        ]
        if by_plate:
            parts.append(f"{_join(by_plate)} follow from the plate")
        if self.split is not None:
            shares = [
                f"{100 * leak.share_of_validation_cells:.1f} % their {kind}"
                for kind, leak in self.leaks.items()
            ]
            parts.append(
                f"under split {self.split!r} validation cells share {_join(shares)} with training"
            )
        if self.share_sham:
            best = self.best_without_plate
            if self.best_without_plate_val is not None:
                best = self.best_without_plate_val
            parts.append(
                f"{100 * self.share_sham:.1f} % of the cells are sham, so a model that does not "
                f"know the plate can expect at most {100 * best:.1f} % in {self.task}"
            )
        if self.degenerate and self.task == "multi-label":
            parts.append("dose follows from particle, so multi-label is single-label again")
        return "; ".join(parts)


def audit_labels(catalog: Catalog, task: str, split: Split | None = None) -> Audit:
    """Examine the labels of a catalogue, and a split of it.

    Raises:
        CatalogError: the task is unknown.
    """
    table = catalog.table
    giveaways = {kind: _code(table, columns) for kind, columns in GIVEAWAYS.items()}
    vectors = _name_vectors(catalog, task)
    vector_counts = vectors.value_counts()
    names = LABEL_NAMES[task]
    counts = encode_labels(catalog, task).sum(axis=0).tolist()
    return Audit(
        n_cells=len(table),
        task=task,
        plates=_describe_plates(table),
        n_groups={kind: int(code.nunique()) for kind, code in giveaways.items()},
        values={label: int(table[column].nunique()) for label, column in LABELS.items()},
        functions_of={
            label: [kind for kind, code in giveaways.items() if _is_function(table[column], code)]
            for label, column in LABELS.items()
        },
        class_counts=dict(zip(names, map(int, counts), strict=True)),
        label_vectors={str(name): int(n) for name, n in vector_counts.items()},
        degenerate=_is_function(table["dose_gy"], table["particle"]),
        share_sham=float((table["dose_gy"] == 0).mean()),
        best_without_plate=_find_best(table, vectors),
        majority=float(vector_counts.iloc[0] / len(table)),
        split=split.method if split else None,
        n_val=len(split.val) if split else 0,
        leaks={kind: _find_leak(_code(table, columns), split) for kind, columns in SHARED.items()}
        if split
        else {},
        best_without_plate_val=(
            _find_best(table.iloc[split.val], vectors.iloc[split.val]) if split else None
        ),
    )


def _code(table: pd.DataFrame, columns: tuple[str, ...]) -> "pd.Series[int]":
    """A number for every row, the same where all columns are."""
    return table.groupby(list(columns), sort=False).ngroup()


def _is_function(label: "pd.Series[Any]", group: "pd.Series[Any]") -> bool:
    """Whether every group has one value of the label."""
    return bool((label.groupby(group.to_numpy()).nunique() == 1).all())


def _name_vectors(catalog: Catalog, task: str) -> "pd.Series[str]":
    names = np.array(LABEL_NAMES[task])
    words = {}
    encoded = encode_labels(catalog, task)
    for vector in np.unique(encoded, axis=0):
        words[vector.tobytes()] = " + ".join(names[vector.astype(bool)])
    return pd.Series([words[vector.tobytes()] for vector in encoded], dtype="str")


def _find_best(table: pd.DataFrame, vectors: "pd.Series[str]") -> float:
    """Share of cells whose label vector is the commonest among those that biology finds alike.

    Alike are the cells of one condition and hour, and all sham cells of an hour.
    """
    sham = table["dose_gy"] == 0
    alike = table["particle"].where(~sham, "sham") + " " + table["dose_gy"].astype("str")
    alike += " " + table["hour"].astype("str")
    counts = pd.crosstab(alike.to_numpy(), vectors.to_numpy())
    return float(counts.max(axis=1).sum() / len(table))


def _find_leak(code: "pd.Series[int]", split: Split) -> Leak:
    def groups_of(rows: Rows) -> set[int]:
        return set(code.iloc[rows])

    both = groups_of(split.train) & groups_of(split.val)
    share = float(code.iloc[split.val].isin(list(both)).mean())
    return Leak(len(groups_of(split.val)), len(both), share)


def _describe_plates(table: pd.DataFrame) -> list[dict[str, Any]]:
    plates = []
    for (plate, barcode), cells in table.groupby(["plate", "barcode"]):
        conditions = cells[list(LABELS.values())].drop_duplicates()
        plates.append(
            {
                "plate": plate,
                "barcode": barcode,
                "conditions": [
                    f"{row.particle} {row.dose_gy} Gy {row.hour} h"
                    for row in conditions.itertuples()
                ],
                "n_cells": len(cells),
                "n_fields": int(cells.groupby(["well", "field"]).ngroups),
                "wells": sorted(cells["well"].unique().tolist()),
            }
        )
    return plates


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
