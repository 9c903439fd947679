"""Splits: the published one, and properties over random catalogues."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split
from test_data_catalog import make_set

from bpsweep.data.catalog import Catalog, Subset, read_catalog, select
from bpsweep.data.choices import SPLITS
from bpsweep.data.errors import SplitError
from bpsweep.data.splits import check_method, make_split, write_split


def test_the_published_split_row_for_row(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("hi-4h"))
    split = make_split(catalog, "image")
    raw = pd.read_csv(real_set / "meta.csv")
    raw = raw[(raw.hr_post_exposure == 4) & raw.dose_Gy.isin([0.82, 1.0])]
    train, val = train_test_split(raw, test_size=0.2, random_state=42, stratify=raw.particle_type)
    names = catalog.table["filename"].to_numpy()
    assert names[split.train].tolist() == train.filename.tolist()
    assert names[split.val].tolist() == val.filename.tolist()
    particle = catalog.table["particle"].to_numpy()
    counts = [
        (particle[rows] == name).sum()
        for rows in (split.train, split.val)
        for name in ("Fe", "X-ray")
    ]
    assert counts == [3532, 3560, 884, 890]


def test_real_wells_stay_whole_over_all_plates(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("all-4h"))
    split = make_split(catalog, "well")
    groups = catalog.table["particle"] + catalog.table["well"]
    assert not set(groups[split.train]) & set(groups[split.val])
    assert 0.15 < len(split.val) / len(catalog) < 0.25


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Catalogues of any shape that the parser lets through."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["P1", "P2", "P3", "P4"]),
                st.sampled_from(["A6", "C7", "D5", "E1", "H12"]),
                st.integers(1, 4),
                st.sampled_from([("Fe", 0.0), ("Fe", 0.82), ("X-ray", 0.0), ("X-ray", 1.0)]),
                st.sampled_from([4, 24]),
            ),
            min_size=2,
            max_size=60,
        )
    )
    table = pd.DataFrame(
        [
            (f"{p}_1-{w}_{f:03d}_{i:03d}_proj.tif", p, "1", w, f, i, particle, dose, hour)
            for i, (p, w, f, (particle, dose), hour) in enumerate(rows)
        ],
        columns=[
            "filename",
            "plate",
            "barcode",
            "well",
            "field",
            "cell",
            "particle",
            "dose_gy",
            "hour",
        ],
    )
    return Catalog(Path("none"), table, False)


METHODS = (*SPLITS, "fold-1-of-2", "fold-2-of-3", "plate-fold-2-of-2", "plate-fold-1-of-3")
GROUPS = {
    "image": [],
    "field": ["plate", "barcode", "well", "field"],
    "plate": ["plate"],
    "plate-fold-2-of-2": ["plate"],
    "plate-fold-1-of-3": ["plate"],
}


@settings(deadline=None, max_examples=200)
@given(catalogs(), st.sampled_from(METHODS), st.integers(0, 5), st.booleans())
def test_split_properties(catalog: Catalog, method: str, seed: int, with_test: bool) -> None:
    try:
        split = make_split(catalog, method, seed, with_test)
    except SplitError as error:
        assert any(name in str(error) for name in ("Fe", "X-ray", "Gy", "images", "plate"))
        return
    again = make_split(catalog, method, seed, with_test)
    assert split.checksum == again.checksum
    assert sorted(np.concatenate([split.train, split.val, split.test])) == list(range(len(catalog)))
    assert list(split.sides) == ["train", "val", "test"][: 2 + with_test]
    table = catalog.table
    for name, rows in split.sides.items():
        assert rows.dtype == np.int64
        assert (again.sides[name] == rows).all()
        for column in ("particle", "dose_gy")[: 1 if method.startswith("plate") else 2]:
            assert set(table[column].to_numpy()[rows]) == set(table[column])
    columns = GROUPS.get(method, ["particle", "well"])
    if columns:
        groups = table[columns].astype(str).agg("-".join, axis=1).to_numpy()
        sides = [set(groups[rows]) for rows in split.sides.values()]
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_validation_is_the_same_with_a_test_part(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("hi-4h"))
    for method in ("image", "field", "well", "fold-3-of-4"):
        plain, three = (make_split(catalog, method, 42, with_test) for with_test in (False, True))
        assert plain.val.tolist() == three.val.tolist()
        assert not len(plain.test)
        assert 0.1 < len(three.test) / len(catalog) < 0.3


@pytest.mark.parametrize(
    ("method", "checksum"),
    [
        ("image", "0e9576f88a8aea48"),
        ("field", "4e7a253e3685ca9b"),
        ("well", "43a52a89778a39d7"),
        ("fold-3-of-4", "e712b956e6e0b743"),
    ],
)
def test_splits_of_earlier_versions_stay_row_for_row(
    real_set: Path, method: str, checksum: str
) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("hi-4h"))
    assert make_split(catalog, method).checksum.startswith(checksum)


def test_every_well_validates_in_one_fold(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("all-4h"))
    folds = [make_split(catalog, f"fold-{k}-of-4").val for k in range(1, 5)]
    assert sorted(np.concatenate(folds)) == list(range(len(catalog)))
    assert all(0.20 < len(fold) / len(catalog) < 0.28 for fold in folds)


def test_what_cannot_be_split_says_what_is_missing(tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set", 16, wells=("A6",)))
    with pytest.raises(SplitError, match="split 'well' leaves no Fe and no X-ray in"):
        make_split(catalog, "well")
    with pytest.raises(SplitError, match="2 folds need as many wells of each particle; Fe has 1"):
        make_split(catalog, "fold-1-of-2")


@pytest.mark.parametrize(
    "method",
    ["wells", "fold-0-of-4", "fold-5-of-4", "fold-1-of-1", "fold", "plate-fold-4-of-3", "plates"],
)
def test_an_unknown_method_names_what_is_allowed(method: str) -> None:
    with pytest.raises(
        SplitError, match=f"split '{method}' is unknown; .* image, field, well, plate, and fold"
    ):
        check_method(method)


def test_written_split_reads_back_as_labels(tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set"))
    split = make_split(catalog, "image")
    write_split(catalog, make_split(catalog, "image", with_test=True), tmp_path / "out")
    assert (tmp_path / "out" / "test.csv").exists()
    write_split(catalog, split, tmp_path / "out")
    assert not (tmp_path / "out" / "test.csv").exists()
    lines = (tmp_path / "set" / "meta.csv").read_text().splitlines()
    for name, rows in (("train", split.train), ("val", split.val)):
        expected = [lines[0], *(lines[1 + row] for row in sorted(rows))]
        assert (tmp_path / "out" / f"{name}.csv").read_text().splitlines() == expected
    (tmp_path / "file").write_text("")
    with pytest.raises(SplitError, match=r"cannot write the split to .* Not a directory"):
        write_split(catalog, split, tmp_path / "file" / "out")
