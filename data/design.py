"""What a split of the plates can answer, and what it cannot, in sentences.

Each plate of the published set is one particle, dose and hour; all iron plates (P242 to P253) were
made in one campaign, all X-ray plates (P278 to P288) in another.
"""

from typing import Final

import pandas as pd

from bpsweep.data.catalog import Catalog
from bpsweep.data.splits import Split

_SIDES: Final = {"train": "training", "val": "validation", "test": "test"}
_VARIES: Final = {"dose": "dose_gy", "hour": "hour"}  # word -> column
_UNITS: Final = {"dose": "Gy", "hour": "h"}


def describe_design(catalog: Catalog, split: Split) -> list[str]:
    """The plates of each side, what differs between the sides, and what a score can then mean."""
    parts = {name: catalog.table.iloc[rows] for name, rows in split.sides.items()}
    lines = [f"Plates of subset and split {split.method!r}:"]
    for name, part in parts.items():
        lines += [f"  {_SIDES[name]}", *(f"    {line}" for line in _list_plates(part))]
    train, val = parts["train"], parts["val"]
    shared = sorted(set(train["plate"]) & set(val["plate"]))
    if shared:
        lines.append(
            f"{len(shared)} of {val['plate'].nunique()} validation plates are in training too."
        )
    lines += _compare_sides(train, val, bool(shared))
    lines += _name_answers(catalog.table, val, bool(shared))
    return lines


def _list_plates(part: pd.DataFrame) -> list[str]:
    lines = []
    for (plate, particle, dose, hour), cells in part.groupby(
        ["plate", "particle", "dose_gy", "hour"]
    ):
        n_wells = cells["well"].nunique()
        lines.append(
            f"{plate:5} {particle:5} {dose:4g} Gy {hour:2} h {len(cells):6} cells "
            f"{n_wells:2} well{'s' * (n_wells != 1)}"
        )
    return lines


def _compare_sides(train: pd.DataFrame, val: pd.DataFrame, is_shared: bool) -> list[str]:
    """Say what differs between training and validation besides the plate."""
    lines = []
    for word, column in _VARIES.items():
        new = {}
        for particle, cells in val.groupby("particle"):
            there = set(train.loc[train["particle"] == particle, column])
            values = sorted(set(cells[column]) - there)
            if values:
                new[particle] = ", ".join(f"{value:g} {_UNITS[word]}" for value in values)
        if new:
            listed = " and ".join(f"{particle} of {values}" for particle, values in new.items())
            lines.append(
                f"The {word} differs too: {listed} validate{'s' * (len(new) == 1)} and "
                f"{'is' if len(new) == 1 else 'are'} not in training, so a low score may be the "
                f"{word}'s and not the plate's."
            )
    if not lines and not is_shared:
        lines.append(
            "Each dose and each hour that validates is in training too, on other plates: little "
            "but the plate differs."
        )
    for name, side in (("training", train), ("validation", val)):
        hours = {frozenset(of["hour"]) for _, of in side.groupby("particle")}
        if len(hours) > 1:
            lines.append(
                f"The hours of iron and X-ray plates differ in {name}, so the hour can stand in "
                "for the particle there."
            )
    return lines


def _name_answers(table: pd.DataFrame, val: pd.DataFrame, is_shared: bool) -> list[str]:
    is_sham, has_both = bool((table["dose_gy"] == 0).all()), table["particle"].nunique() > 1
    if not has_both:
        return [f"Cannot answer which particle it was: all plates are {table['particle'].iloc[0]}."]
    if is_shared and is_sham:
        can = "whether unirradiated cells of plates seen in training are told apart"
    elif is_shared:
        can = "whether cells of plates seen in training are told apart, be it by damage or plate"
    elif is_sham:
        can = "how far campaign, animal and stain carry to plates never seen; nothing of radiation"
    else:
        can = "whether the particle is told on plates never seen"
    lines = [f"Can answer: {can}."]
    if is_sham:
        cannot = "anything on radiation: no cell was irradiated"
    elif is_shared:
        cannot = "whether it is the radiation: a plate holds one condition, and is on both sides"
    else:
        cannot = (
            "by itself, whether it is the radiation or the campaign: all iron plates were made in "
            "one campaign, all X-ray plates in another, on both sides, and no split undoes that. "
            "The same design on unirradiated plates measures it"
        )
    lines.append(f"Cannot answer: {cannot}.")
    if not is_shared:
        fewest = int(val.groupby("particle")["plate"].nunique().min())
        lines.append(
            f"{fewest} validation plate{'s' * (fewest != 1)} a particle: folds "
            "(plate-fold-K-of-N) let each plate validate once; below 6 plates a particle an "
            "interval over plates is rough."
        )
    return lines
