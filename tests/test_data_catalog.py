"""The label table: every real row, subsets, labels, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bpsweep.data.catalog import Subset, format_meta, read_catalog, select
from bpsweep.data.errors import CatalogError
from bpsweep.data.labels import LABEL_NAMES, encode_labels

HEADER = "filename,dose_Gy,particle_type,hr_post_exposure"
CONDITIONS = (
    ("P242", "Fe", 0.82),
    ("P244", "Fe", 0.0),
    ("P278", "X-ray", 0.0),
    ("P280", "X-ray", 1.0),
)
REAL_TIFF = "P242_73665006707-A6_003_013_proj.tif"


def make_set(folder: Path, n_images: int = 40, wells: tuple[str, ...] = ("A6", "C7")) -> Path:
    """Write a small set of random images of 4 conditions at 4 h; return its folder."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    lines = [HEADER]
    for index in range(n_images):
        plate, particle, dose = CONDITIONS[index % len(CONDITIONS)]
        well = wells[index // len(CONDITIONS) % len(wells)]
        name = f"{plate}_7366-{well}_001_{index:03d}_proj.tif"
        pixels = rng.integers(200, 3000, rng.integers(20, 40, 2), dtype=np.uint16)
        tifffile.imwrite(folder / name, pixels, compression="zlib")
        lines.append(f"{name},{dose},{particle},4")
    (folder / "meta.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_meta(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "meta.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_every_real_row_parses(real_set: Path) -> None:
    catalog = read_catalog(real_set)
    table = catalog.table
    assert len(catalog) == 77177
    assert not catalog.synthetic
    assert catalog.checksum == "0951d7a3c9a28683be99f09e2e9019aefbdee96c02af74c2777dc6a5d9d03247"
    assert format_meta(table) == (real_set / "meta.csv").read_text()
    assert len(table.groupby(["plate", "well"])) == 135
    assert len(table.groupby(["plate", "well", "field"])) == 3595
    first = table.iloc[0].to_dict()
    assert first == {
        "filename": REAL_TIFF,
        "plate": "P242",
        "barcode": "73665006707",
        "well": "A6",
        "field": 3,
        "cell": 13,
        "particle": "Fe",
        "dose_gy": 0.82,
        "hour": 4,
    }


@pytest.mark.parametrize(
    ("subset", "n_rows"),
    [
        ("hi-4h", 8866),
        ("all-4h", 27609),
        ("low-4h", 9435),
        ("med-24h+48h", 13527),
        ("all", 77177),
        ("irradiated", 49699),
    ],
)
def test_real_subsets_have_the_published_counts(real_set: Path, subset: str, n_rows: int) -> None:
    assert len(select(read_catalog(real_set), Subset.parse(subset))) == n_rows


def test_labels_of_the_real_set(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("all-4h"))
    single, multi = (encode_labels(catalog, task) for task in LABEL_NAMES)
    assert single.sum(axis=0).tolist() == [13630, 13979]
    assert (multi[:, :2] == single).all()
    assert (multi.sum(axis=1) == 2).all()
    doses = dict(zip(LABEL_NAMES["multi-label"][2:], multi[:, 2:].sum(axis=0), strict=True))
    assert doses == {"0 Gy": 9435, "0.1 Gy": 4726, "0.3 Gy": 4582, "0.82 Gy": 4416, "1.0 Gy": 4450}
    with pytest.raises(CatalogError, match="task 'multi' is unknown; allowed are single-label"):
        encode_labels(catalog, "multi")


@pytest.mark.parametrize(
    "text", ["hi-4h", "all-4h+24h", "all", "low", "med-48h", "irradiated", "irradiated-4h"]
)
def test_subset_reads_what_it_writes(text: str) -> None:
    assert str(Subset.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("hi-4", "hi-4h"), ("high-4h", "hi-4h"), ("all-5h", "all-4h"), ("al", "all"), ("hi-", "hi")],
)
def test_misspelt_subset_names_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(CatalogError, match=f"did you mean '{nearest}'"):
        Subset.parse(text)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../P242_1-A6_001_001_proj.tif,0.82,Fe,4", r"row 2: filename is '\.\./P242.*plain file"),
        ("/etc/P242_1-A6_001_001_proj.tif,0.82,Fe,4", r"row 2: filename is '/etc/"),
        ("P242_1-A6_001_001_proj.tif/x,0.82,Fe,4", r"row 2: filename is 'P242.*/x'"),
        ('"P242_1-A6_001_001_proj.tif\n",0.82,Fe,4', r"row 2: filename is 'P242.*\\n'"),
        (REAL_TIFF + ",0.82,Fe,4", r"row 2: filename is 'P242.*named once"),
        (
            "P242_1-A6_001_001_proj.tif,0.5,Fe,4",
            r"row 2: dose_Gy is '0\.5'; allowed are 0\.0, 0\.1",
        ),
        ("P242_1-A6_001_001_proj.tif,nan,Fe,4", r"row 2: dose_Gy is 'nan'"),
        (
            "P242_1-A6_001_001_proj.tif,1.0,Fe,4",
            r"row 2: dose_Gy is 1\.0; Fe was given at 0\.0, 0\.3",
        ),
        ("P242_1-A6_001_001_proj.tif,0.82,iron,4", r"row 2: particle_type is 'iron'; .* Fe, X-ray"),
        ("P242_1-A6_001_001_proj.tif,0.82,Fe,5", r"row 2: hr_post_exposure is '5'; .* 4, 24, 48"),
        ("P242_1-A6_001_001_proj.tif,0.82,Fe", r"row 2: .* has 3 values; 4 are needed"),
    ],
)
def test_a_bad_row_is_named_with_its_value(tmp_path: Path, row: str, message: str) -> None:
    write_meta(tmp_path, REAL_TIFF + ",0.82,Fe,4", row)
    with pytest.raises(CatalogError, match=message):
        read_catalog(tmp_path)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no meta\.csv in .* --data-dir"):
        read_catalog(tmp_path)
    write_meta(tmp_path, "a,b", header="filename,dose")
    with pytest.raises(CatalogError, match=r"starts with .* needed is 'filename,dose_Gy"):
        read_catalog(tmp_path)
    write_meta(tmp_path)
    with pytest.raises(CatalogError, match="no rows"):
        read_catalog(tmp_path)
    (tmp_path / "meta.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError, match=r"cannot be read as a CSV table"):
        read_catalog(tmp_path)


def test_an_empty_subset_says_what_is_there(tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set", 8))
    with pytest.raises(CatalogError, match=r"subset 'hi-24h' has no rows .* are of hours 4;"):
        select(catalog, Subset.parse("hi-24h"))
