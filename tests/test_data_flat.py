"""Images with nothing in them pass every part; where there is nothing to learn, that is said."""

from pathlib import Path

import numpy as np
import pytest
from flat_support import COUNTS, flat_images, list_images, make_flat, make_set
from hypothesis import given, settings

from bpsweep.data.blank import SHOWN, blank_cache
from bpsweep.data.cache import CacheSettings, ImageCache, build_cache
from bpsweep.data.catalog import read_catalog
from bpsweep.data.flat import describe_flat, find_flat
from bpsweep.data.foci import find_foci
from bpsweep.data.gallery import GallerySettings, draw_gallery
from bpsweep.data.geometry import GEOMETRIES, fit_image
from bpsweep.data.intensity import NORMALIZATIONS
from bpsweep.data.labels import encode_labels
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.data.outline import find_outline, find_threshold


@settings(max_examples=150, deadline=None)
@given(flat_images)
def test_any_flat_image_has_an_outline_or_none(pixels: np.ndarray) -> None:
    for image in (pixels, fit_image(pixels, 64, "resize"), fit_image(pixels, 8, "native")):
        found = find_outline(image)
        assert found.nucleus.shape == found.bright.shape == image.shape
        assert not (found.nucleus & ~found.bright).any()
        if image.min() == image.max():
            assert not found.bright.any()


@settings(max_examples=150, deadline=None)
@given(flat_images)
def test_any_flat_image_has_few_foci_or_none(pixels: np.ndarray) -> None:
    found = find_foci(pixels)
    assert found.shape == (len(found), 2)
    assert (found >= 0).all() and (found < pixels.shape).all()
    if pixels.min() == pixels.max():
        assert not len(found)


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_saturated_spot_is_one_focus(side: int) -> None:
    pixels = np.full((120, 120), 300, np.uint16)
    pixels[20:100, 20:100] = 800
    pixels[60 : 60 + side, 60 : 60 + side] = 65535
    ((row, column),) = find_foci(pixels)
    assert abs(row - 60) <= side and abs(column - 60) <= side


def test_a_nucleus_on_a_background_of_one_count_is_found() -> None:
    """As where a lab has set all outside the nuclei to zero, be the nucleus large or small."""
    for size in (0.4, 0.7, 1.2):
        down = np.linspace(-1, 1, 90)
        nucleus = down[:, None] ** 2 + down[None, :] ** 2 < size**2
        pixels = np.where(nucleus, np.random.default_rng(0).normal(800, 30, (90, 90)), 0)
        found = find_outline(pixels.astype(np.uint16)).nucleus
        assert (found & nucleus).sum() > 0.95 * (found | nucleus).sum()


def test_values_that_are_all_alike_have_nothing_above_their_threshold() -> None:
    for count in COUNTS:
        values = np.full(100, np.log(count + 1), np.float32)
        values[::3] = np.nextafter(values[0], np.float32(99))
        assert not (values > find_threshold(values)).any()


@pytest.fixture(scope="module", params=GEOMETRIES)
def cache(
    small_set: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> ImageCache:
    root = tmp_path_factory.mktemp("flat")
    catalog = read_catalog(make_set(root / "set", small_set, list_images()))
    return build_cache(catalog, CacheSettings(32, request.param), root / "caches")


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_flat_images_are_normalised_whole_and_blanked(cache: ImageCache, normalize: str) -> None:
    rows = np.arange(len(cache.images))
    labels = encode_labels(cache.catalog, "single-label")
    for shown in (None, *SHOWN):
        one = cache if shown is None else blank_cache(cache, shown)
        loader = Loader(one, labels, rows, LoaderSettings(16, normalize), False, rows)
        images = np.concatenate([batch.images for batch in loader.epoch(0)])
        assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
        if shown is not None:
            assert (images[:, 0][np.asarray(one.images) == 0] == 0).all()


def test_flat_images_are_named(cache: ImageCache) -> None:
    names = cache.catalog.table["filename"].tolist()
    constant = [name for row, name in enumerate(names) if np.ptp(cache.ranges[row]) == 0]
    assert find_flat(cache) == constant and len(constant) > 30
    said = describe_flat(cache)
    assert said.startswith(f"{len(constant)} of 240 images are of one grey value: {constant[0]}")
    nuclei = blank_cache(cache, "nucleus")
    shown = [image[image > 0] for image in np.asarray(nuclei.images)]
    expected = [name for name, one in zip(names, shown, strict=True) if len(np.unique(one)) < 2]
    assert find_flat(nuclei) == expected
    assert set(constant) <= set(find_flat(blank_cache(cache, "background")))


def test_a_set_with_nothing_flat_says_nothing(small_set: Path, tmp_path: Path) -> None:
    cache = build_cache(read_catalog(small_set), CacheSettings(32), tmp_path / "caches")
    assert describe_flat(cache) == ""


def test_flat_images_are_drawn_with_foci_and_outlines(small_set: Path, tmp_path: Path) -> None:
    catalog = read_catalog(make_set(tmp_path / "set", small_set, list_images()))
    settings = GallerySettings(n_cells=8, outline=True)
    drawn = draw_gallery(catalog, tmp_path / "gallery.png", settings)
    assert (tmp_path / "gallery.png").stat().st_size > 0
    assert np.isfinite(drawn["mean_foci"]).all()


def test_two_counts_apart_by_one_are_not_a_nucleus() -> None:
    assert not find_outline(make_flat("disc", (64, 64), 40000, 40001)).nucleus.any()
