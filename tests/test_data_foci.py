"""Foci: the real one is found, scikit-image agrees, conditions keep the table's ratios."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.feature import blob_log
from test_data_catalog import REAL_TIFF
from test_data_cli import run

from bpsweep.data.conditions import FOCI_TABLE, find_damage
from bpsweep.data.foci import find_foci
from bpsweep.data.images import read_image
from bpsweep.data.nucleus import Stain, Textures, render_nucleus


@pytest.fixture(scope="module")
def textures() -> Textures:
    return Textures(0)


def render(textures: Textures, condition: tuple[str, float, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng((seed, int(100 * condition[1]), condition[2]))
    return render_nucleus(find_damage(*condition), Stain(), textures, rng)


def test_the_focus_of_the_real_cell_is_found(real_set: Path) -> None:
    foci = find_foci(read_image(real_set / REAL_TIFF))
    assert len(foci) < 8
    assert np.hypot(*(foci - [30, 104]).T).min() < 2


def test_counts_agree_with_scikit_image(textures: Textures) -> None:
    ours, theirs = [], []
    for seed in range(25):
        pixels = render(textures, ("X-ray", 1.0, 4), seed)
        low, high = np.percentile(pixels, (5, 85))
        relative = (pixels - low) / max(high - low, 50)
        sigmas = {"min_sigma": 1.5, "max_sigma": 3.5, "num_sigma": 3}
        theirs.append(len(blob_log(relative, **sigmas, threshold=0.45, exclude_border=4)))
        ours.append(len(find_foci(pixels)))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.05)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98


@pytest.mark.slow
def test_conditions_keep_the_ratios_of_the_published_table(textures: Textures) -> None:
    conditions = [(*key, hour) for key, hours in FOCI_TABLE.items() for hour in hours]
    table = [FOCI_TABLE[particle, dose][hour] for particle, dose, hour in conditions]
    means = [
        np.mean([len(find_foci(render(textures, condition, seed))) for seed in range(300)])
        for condition in conditions
    ]
    ratios = np.array(means) / table
    ratios /= np.exp(np.log(ratios).mean())
    # 15 % is the promise; a mean of 300 cells is uncertain by 4 to 7 %.
    assert ratios == pytest.approx(1, abs=0.25)
    assert np.abs(ratios - 1).mean() < 0.10


def test_iron_foci_lie_in_rows_and_x_ray_foci_do_not(textures: Textures) -> None:
    def nearest(condition: tuple[str, float, int]) -> float:
        """Median distance to the next focus, in units of what random places would give."""
        distances = []
        for seed in range(120):
            pixels = render(textures, condition, seed)
            foci = find_foci(pixels).astype(float)
            if len(foci) > 3:
                between = np.hypot(*(foci[:, None] - foci[None]).transpose(2, 0, 1))
                np.fill_diagonal(between, np.inf)
                distances.append(between.min(axis=1).mean() * (len(foci) / pixels.size) ** 0.5)
        return float(np.median(distances))

    assert nearest(("Fe", 0.82, 4)) < 0.9 * nearest(("X-ray", 1.0, 4))


def test_gallery_of_a_synthetic_set(tmp_path: Path) -> None:
    assert run("make", "--data-dir", "set", "--n-images", 130)[0] == 0
    code, output = run("show", "--data-dir", "set", "--out", "gallery.png", "--n-cells", 3)
    assert code == 0
    assert output.count("3 cells") == 6
    with Image.open("gallery.png") as picture:
        assert picture.size[0] > 400
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    code, output = run("show", "--data-dir", "set", "--out", tmp_path / "set" / "no" / "x.png")
    assert code == 2
    assert "cannot write" in output
