"""The synthetic set: the published layout, the same bytes again, and foci where they belong."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bpsweep.data.catalog import read_catalog
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.conditions import Well, draw_stain, find_damage
from bpsweep.data.errors import SyntheticError
from bpsweep.data.images import read_image
from bpsweep.data.nucleus import Damage, Stain, Textures, render_nucleus
from bpsweep.data.plates import PLATES, lay_out_cells
from bpsweep.data.synthetic import make_synthetic

SETTINGS = SyntheticSettings(n_images=150)


def checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    make_synthetic(tmp_path / "a", SETTINGS, lambda *step: steps.append(step), n_workers=1)
    make_synthetic(tmp_path / "b", SETTINGS, n_workers=3)
    make_synthetic(tmp_path / "c", SyntheticSettings(n_images=150, seed=1))
    assert checksum(tmp_path / "a") == checksum(tmp_path / "b") != checksum(tmp_path / "c")
    assert steps[-1] == (150, 150)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    catalog = read_catalog(tmp_path / "a")
    assert catalog.synthetic
    assert len(catalog) == 150
    images = [read_image(catalog.folder / name) for name in catalog.table["filename"]]
    sides = np.array([image.shape for image in images])
    assert sides.min() >= 60
    assert sides.max() <= 280
    assert len(np.unique(sides[:, 0])) > 20
    assert 250 < np.median([np.percentile(image, 1) for image in images]) < 420
    assert 450 < np.median([np.percentile(image, 75) for image in images]) < 1100


def test_layout_is_the_published_one_scaled(real_set: Path) -> None:
    real = read_catalog(real_set).table
    made = lay_out_cells(7718, (4, 24, 48), seed=0)
    assert made["filename"].is_unique
    groups = ["plate", "barcode", "well", "particle", "dose_gy", "hour"]
    plates = groups[:2] + groups[3:]
    assert (
        made.groupby(plates).size() * 10 - real.groupby(plates).size()
    ).abs().max() <= 20  # 2 cells
    assert set(made.groupby(groups).groups) <= set(real.groupby(groups).groups)
    assert 12 < made.groupby(["plate", "well", "field"]).size().median() < 26
    assert {p.n_cells for p in PLATES} == set(real.groupby("barcode").size())


def test_a_finished_set_is_kept_and_another_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make_synthetic(folder, SETTINGS)
    before = (folder / "meta.csv").stat().st_mtime_ns
    make_synthetic(folder, SETTINGS)
    assert (folder / "meta.csv").stat().st_mtime_ns == before
    assert json.loads((folder / "synthetic.json").read_text())["n_images"] == 150
    with pytest.raises(SyntheticError, match=r"exists and holds a synthetic set .*150.* remove it"):
        make_synthetic(folder, SyntheticSettings(n_images=151))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(SyntheticError, match="exists and holds no synthetic set"):
        make_synthetic(tmp_path / "mine", SETTINGS)


def test_an_interrupted_set_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_synthetic(tmp_path / "set", SETTINGS, interrupt)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(SyntheticError, match=r"cannot write a synthetic set to .* choose another"):
        make_synthetic(tmp_path / "file" / "set", SETTINGS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_images": 0}, "n_images 0 and seed 0 must be at least 1 and 0"),
        ({"hours": (5,)}, r"hours \(5,\) are not among 4, 24, 48"),
        ({"plate_effect": 1.5}, r"plate_effect 1\.5 is not between 0 and 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SyntheticError, match=message):
        SyntheticSettings(**settings)


def test_too_few_cells_for_the_wells_says_how_many() -> None:
    with pytest.raises(SyntheticError, match=r"n_images 20 leaves a well .* 1\d\d suffice"):
        lay_out_cells(20, (4,), 0)


def test_foci_are_the_brightest_spots() -> None:
    textures = Textures(0)

    def brightest(damage: Damage) -> float:
        """Counts above the nucleus at the brightest hundred pixels, middle one of 15 cells."""
        cells = [
            render_nucleus(damage, Stain(), textures, np.random.default_rng(seed))
            for seed in range(15)
        ]
        return float(
            np.median([np.sort(cell, axis=None)[-100] - np.median(cell) for cell in cells])
        )

    without = brightest(Damage(0))
    assert brightest(Damage(8)) > without + 200
    assert brightest(Damage(0, 3, 3)) > without + 200


def test_effects_at_zero_leave_no_trace_of_plate_or_well() -> None:
    iron, other_plate, xray = Well("Fe", "1", "C7"), Well("Fe", "2", "C7"), Well("X-ray", "3", "C7")
    neighbour = Well("Fe", "1", "A6")
    assert draw_stain(iron, 0, 0, 0) == Stain()
    assert draw_stain(iron, 0, 1, 0) == draw_stain(neighbour, 0, 1, 0)
    assert draw_stain(iron, 0, 1, 0) != draw_stain(other_plate, 0, 1, 0)
    assert draw_stain(iron, 0, 0, 1) == draw_stain(other_plate, 0, 0, 1)
    assert draw_stain(iron, 0, 0, 1) != draw_stain(neighbour, 0, 0, 1)
    assert draw_stain(iron, 0, 0, 1) != draw_stain(xray, 0, 0, 1)
    assert draw_stain(iron, 0, 1, 0) != draw_stain(iron, 1, 1, 0)


def test_sham_of_both_particles_is_nearly_the_same_biology() -> None:
    iron, xray = (find_damage(particle, 0.0, 4) for particle in ("Fe", "X-ray"))
    assert iron.n_tracks == xray.n_tracks == 0
    assert iron.n_scattered == pytest.approx(xray.n_scattered, rel=0.1)
