"""Splits: the published one, and properties over random catalogues."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split
from test_data_catalog import make_set

from data.catalog import Catalog, Subset, read_catalog, select
from data.errors import SplitError
from data.splits import SPLITS, make_split, write_split


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
                st.sampled_from(["P1", "P2"]),
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


@settings(deadline=None)
@given(catalogs(), st.sampled_from(SPLITS), st.integers(0, 5))
def test_split_properties(catalog: Catalog, method: str, seed: int) -> None:
    try:
        split = make_split(catalog, method, seed)
    except SplitError as error:
        assert any(name in str(error) for name in ("Fe", "X-ray", "images"))
        return
    again = make_split(catalog, method, seed)
    assert split.checksum == again.checksum
    assert (split.train == again.train).all()
    assert sorted([*split.train, *split.val]) == list(range(len(catalog)))
    assert split.train.dtype == split.val.dtype == np.int64
    particle = catalog.table["particle"].to_numpy()
    for rows in (split.train, split.val):
        assert set(particle[rows]) == set(particle)
    if method == "well":
        groups = (catalog.table["particle"] + catalog.table["well"]).to_numpy()
        assert not set(groups[split.train]) & set(groups[split.val])


def test_what_cannot_be_split_says_what_is_missing(tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set", 16, wells=("A6",)))
    with pytest.raises(SplitError, match="split 'well' leaves no Fe and no X-ray in"):
        make_split(catalog, "well")
    with pytest.raises(SplitError, match="split 'wells' is unknown; allowed are image, well"):
        make_split(catalog, "wells")


def test_written_split_reads_back_as_labels(tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set"))
    split = make_split(catalog, "image")
    write_split(catalog, split, tmp_path / "out")
    lines = (tmp_path / "set" / "meta.csv").read_text().splitlines()
    for name, rows in (("train", split.train), ("val", split.val)):
        expected = [lines[0], *(lines[1 + row] for row in sorted(rows))]
        assert (tmp_path / "out" / f"{name}.csv").read_text().splitlines() == expected
    (tmp_path / "file").write_text("")
    with pytest.raises(SplitError, match=r"cannot write the split to .* Not a directory"):
        write_split(catalog, split, tmp_path / "file" / "out")
