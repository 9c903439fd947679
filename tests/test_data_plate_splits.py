"""Whole plates held out: no plate on two sides, sides alike, and what each design can answer."""

import re
from pathlib import Path

import numpy as np
import pytest

from bpsweep.data.catalog import Catalog, Subset, read_catalog, select
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.design import describe_design
from bpsweep.data.errors import SplitError
from bpsweep.data.plates import lay_out_cells
from bpsweep.data.splits import make_split

DOCUMENT = Path(__file__).parents[1] / "docs" / "PLATES.md"


@pytest.fixture(scope="module")
def published() -> Catalog:
    """Labels alone of cells on the published plates, all hours."""
    hours = (4, 24, 48)
    return Catalog(Path("none"), lay_out_cells(3000, hours, SyntheticSettings().seed), True)


def plates_of(catalog: Catalog, rows: np.ndarray) -> dict[str, list[str]]:
    """Plates by particle."""
    table = catalog.table.iloc[rows]
    return {p: sorted(set(table.loc[table["particle"] == p, "plate"])) for p in ("Fe", "X-ray")}


@pytest.mark.parametrize("subset", ["hi-4h+24h+48h", "irradiated", "low", "all"])
@pytest.mark.parametrize("seed", [42, 7])
def test_each_plate_validates_once_and_particles_have_the_same_hours(
    published: Catalog, subset: str, seed: int
) -> None:
    catalog = select(published, Subset.parse(subset))
    folds = [make_split(catalog, f"plate-fold-{k}-of-3", seed) for k in (1, 2, 3)]
    assert sorted(np.concatenate([fold.val for fold in folds])) == list(range(len(catalog)))
    for fold in folds:
        train, val = plates_of(catalog, fold.train), plates_of(catalog, fold.val)
        assert all(train.values()) and all(val.values())
        assert not set(train["Fe"] + train["X-ray"]) & set(val["Fe"] + val["X-ray"])
        for rows in (fold.train, fold.val):
            table = catalog.table.iloc[rows]
            hours = [set(table.loc[table["particle"] == p, "hour"]) for p in ("Fe", "X-ray")]
            assert hours[0] == hours[1]


def test_every_dose_with_two_plates_is_on_both_sides(published: Catalog) -> None:
    catalog = select(published, Subset.parse("irradiated"))
    split = make_split(catalog, "plate")
    doses = catalog.table["dose_gy"].to_numpy()
    assert set(doses[split.train]) == set(doses[split.val]) == {0.1, 0.3, 0.82, 1.0}
    three = make_split(catalog, "plate", with_test=True)
    assert three.val.tolist() == split.val.tolist()
    assert all(plates_of(catalog, three.test).values())
    assert all(plates_of(catalog, three.train).values())


def test_too_few_plates_are_named(published: Catalog) -> None:
    catalog = select(published, Subset.parse("hi-4h"))
    with pytest.raises(SplitError, match=r"needs 2 .* 1 of Fe \(P242\) and 1 of X-ray \(P280\)"):
        make_split(catalog, "plate")
    with pytest.raises(SplitError, match="'plate-fold-1-of-2' leaves no plate to train on beside"):
        make_split(select(published, Subset.parse("hi")), "plate-fold-1-of-2", with_test=True)


def test_the_real_plates_are_dealt_as_the_made_ones(published: Catalog, real_set: Path) -> None:
    real = select(read_catalog(real_set), Subset.parse("irradiated"))
    made = select(published, Subset.parse("irradiated"))
    for method in ("plate", "plate-fold-1-of-3"):
        found = [plates_of(one, make_split(one, method).val) for one in (real, made)]
        assert found[0] == found[1]


@pytest.mark.parametrize(
    ("subset", "method", "said", "not_said"),
    [
        ("irradiated", "plate-fold-1-of-3", "one campaign", "differs too"),
        ("hi", "plate-fold-1-of-3", "The hour differs too: Fe of", "are in training too"),
        ("all-4h", "plate", "The dose differs too: Fe of", "The hour differs"),
        ("low", "plate-fold-2-of-3", "nothing of radiation", "whether the particle is told"),
        ("hi-4h", "well", "2 of 2 validation plates are in training too", "never seen"),
    ],
)
def test_a_design_says_what_it_can_and_cannot_answer(
    published: Catalog, subset: str, method: str, said: str, not_said: str
) -> None:
    catalog = select(published, Subset.parse(subset))
    lines = "\n".join(describe_design(catalog, make_split(catalog, method)))
    assert said in lines and not_said not in lines
    assert "Can answer: " in lines and "Cannot answer: " in lines


def test_the_documented_folds_are_the_codes(published: Catalog) -> None:
    rows = re.findall(
        r"^\| `([\w+-]+)`[^|]*\| (\d) of (\d) \| ([P\d ]+) \| ([P\d ]+) \|.*\| ([^|]+) \|$",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == 17
    for subset, fold, n_folds, iron, xray, differs in rows:
        catalog = select(published, Subset.parse(subset))
        split = make_split(catalog, f"plate-fold-{fold}-of-{n_folds}")
        assert plates_of(catalog, split.val) == {"Fe": iron.split(), "X-ray": xray.split()}
        said = " ".join(describe_design(catalog, split))
        expected = f"The {differs.split()[1]} differs too" if "differs" in differs else "little but"
        assert expected in said


def test_the_documented_cells_are_the_real_ones(real_set: Path) -> None:
    rows = re.findall(
        r"^\| `([\w+-]+)`[^|]*\| (\d) of (\d) \|[^|]+\|[^|]+\| ([\d,]+) \| ([\d,]+) \|",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    catalog = read_catalog(real_set)
    for subset, fold, n_folds, *counts in rows:
        split = make_split(select(catalog, Subset.parse(subset)), f"plate-fold-{fold}-of-{n_folds}")
        assert [f"{len(split.train):,}", f"{len(split.val):,}"] == counts
