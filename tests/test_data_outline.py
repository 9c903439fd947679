"""Outlines of nuclei, and images with the nucleus or the background hidden."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.filters import threshold_otsu

from bpsweep.data.blank import SHOWN, blank_cache, find_disc
from bpsweep.data.cache import CacheSettings, ImageCache, build_cache
from bpsweep.data.catalog import Subset, read_catalog, select
from bpsweep.data.conditions import find_damage
from bpsweep.data.errors import CacheError, ImageError
from bpsweep.data.geometry import resize_image
from bpsweep.data.images import read_image, write_image
from bpsweep.data.labels import encode_labels
from bpsweep.data.limits import find_limits
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.data.masks import MASKS_FOLDER, find_masks
from bpsweep.data.nucleus import Damage, Stain, Textures, _draw_outline, render_nucleus
from bpsweep.data.outline import find_outline, find_threshold, widen

TEXTURES = Textures(0)


def render(seed: int, stain: Stain) -> tuple[np.ndarray, np.ndarray]:
    """Render a nucleus; return its image and where it truly is."""
    outline, shape = _draw_outline(np.random.default_rng(seed))
    damage = Damage(40.0)  # many foci must not draw the threshold to them
    image = render_nucleus(damage, stain, TEXTURES, np.random.default_rng(seed))
    return image, outline.radius_squared(shape) < 1


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize("size", [None, 64])
@pytest.mark.parametrize("stain", [Stain(), Stain(0.6, 1.3, 8, 0.5), Stain(1.5, 0.8, -8, 0.2)])
def test_outlines_are_those_of_the_nuclei(size: int | None, stain: Stain) -> None:
    overlaps = []
    for seed in range(20):
        image, true = render(seed, stain)
        if size is not None:
            image = resize_image(image, size)
            true = resize_image(1000 * true.astype(np.uint16), size) > 500
        overlaps.append(overlap(find_outline(image).nucleus, true))
    assert np.median(overlaps) > 0.92
    assert np.quantile(overlaps, 0.1) > 0.6, "a neighbour that touches may be taken along"


def test_the_real_cell_is_outlined(real_set: Path) -> None:
    image = read_image(next(real_set.glob("*.tif")))
    found = find_outline(image)
    # Seen by eye: the nucleus spans rows 13 to 115 and columns 27 to 128; two neighbours cut in.
    down, right = (np.flatnonzero(found.nucleus.any(axis=axis)) for axis in (1, 0))
    assert abs(down[0] - 13) < 6 and abs(down[-1] - 115) < 6
    assert abs(right[0] - 27) < 6 and abs(right[-1] - 128) < 6
    assert not found.nucleus[130:, 130:].any() and found.bright[130:, 130:].any()


@pytest.mark.parametrize("pixels", [np.full((60, 60), 350, np.uint16), None])
def test_an_image_without_a_nucleus_has_no_outline(pixels: np.ndarray | None) -> None:
    if pixels is None:
        pixels = np.random.default_rng(0).normal(350, 12, (90, 80)).astype(np.uint16)
    assert not find_outline(pixels).nucleus.any()


def test_the_threshold_is_otsus() -> None:
    rng = np.random.default_rng(0)
    for low, high, share in [(5.8, 6.5, 0.5), (5.8, 6.2, 0.2), (5.0, 7.0, 0.8)]:
        n_low = round(2000 * (1 - share))
        values = np.r_[rng.normal(low, 0.1, n_low), rng.normal(high, 0.1, 2000 - n_low)]
        ours, theirs = find_threshold(values.astype(np.float32)), threshold_otsu(values, nbins=128)
        step = np.ptp(values) / 128
        between = (values > min(ours, theirs) + step) & (values < max(ours, theirs) - step)
        assert between.mean() < 0.01, "classes are cut at the same place"


def test_widening_is_by_pixels() -> None:
    mask = np.zeros((21, 21), bool)
    mask[10, 10] = True
    wide = widen(mask, 3)
    assert wide[10, 13] and wide[12, 12] and not wide[10, 14] and not wide[13, 13]
    assert (widen(wide, -2.9) == mask).all()


@pytest.fixture(scope="module")
def cache(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    catalog = select(read_catalog(small_set), Subset.parse("hi-4h"))
    return build_cache(catalog, CacheSettings(64), tmp_path_factory.mktemp("caches"))


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("normalize", ["minmax", "clip", "percentile", "plate"])
def test_what_is_hidden_is_one_grey_value_everywhere(
    cache: ImageCache, shown: str, normalize: str
) -> None:
    blanked = blank_cache(cache, shown)
    rows = np.arange(len(cache.images))
    labels = encode_labels(cache.catalog, "single-label")
    settings = LoaderSettings(64, normalize)
    loader = Loader(blanked, labels, rows, settings, shuffle=False, train_rows=rows)
    images = np.concatenate([batch.images[:, 0] for batch in loader.epoch(0)])
    hidden = np.asarray(blanked.images) == 0
    assert (images[hidden] == 0).all()
    assert hidden.any(axis=(1, 2)).all()
    if shown == "background":
        assert hidden[:, find_disc(64)].all(), "the same disc in every image"
    if (shown, normalize) != ("background", "clip"):  # 400 counts and more: only nuclei
        assert images.std(axis=0).max() > 0.02, "something is shown"


def test_what_is_hidden_stays_black_where_a_plates_range_reaches_below_zero(
    cache: ImageCache,
) -> None:
    images = np.where(np.asarray(cache.images) > 600, 4000, 1).astype(np.uint16)
    uneven = replace(cache, images=images, blanked=True)
    assert (find_limits(uneven, "plate", np.arange(len(images))) >= 0).all()


def test_nothing_of_a_nucleus_reaches_its_background(small_set: Path, tmp_path: Path) -> None:
    """Brighter foci change a whole image's range, and must not change the background's."""
    folders = [tmp_path / "faint", tmp_path / "bright"]
    names = read_catalog(small_set).table["filename"].tolist()[:60]
    meta = (small_set / "meta.csv").read_text().splitlines()
    for folder, times in zip(folders, (1, 4), strict=True):
        folder.mkdir()
        (folder / "meta.csv").write_text("\n".join(meta[:61]) + "\n")
        for name in names:
            image = read_image(small_set / name).copy()
            y, x = (length // 2 for length in image.shape)
            image[y - 2 : y + 3, x - 2 : x + 3] *= times
            write_image(folder / name, image)
    caches = [
        build_cache(read_catalog(folder), CacheSettings(64), tmp_path / "caches")
        for folder in folders
    ]
    rows = np.arange(60)
    whole = [find_limits(one, "minmax") for one in caches]
    assert (whole[1][:, 1] > 1.5 * whole[0][:, 1]).mean() > 0.5
    faint, bright = (blank_cache(one, "background") for one in caches)
    both = (np.asarray(faint.images) > 0) & (np.asarray(bright.images) > 0)
    assert both.mean() > 0.95 * (np.asarray(faint.images) > 0).mean()
    assert (faint.images[both] == bright.images[both]).all()
    for normalize in ("minmax", "percentile", "plate"):
        ours, theirs = (find_limits(one, normalize, rows) for one in (faint, bright))
        assert np.abs(ours - theirs).max() < 0.02 * np.ptp(ours)


def test_nothing_of_the_background_reaches_the_nucleus(cache: ImageCache) -> None:
    blanked = blank_cache(cache, "nucleus")
    limits = find_limits(blanked, "minmax")
    outside = np.array([np.percentile(image, 2) for image in cache.images])
    found = limits[:, 1] > 1
    assert (limits[found, 0] > outside[found] + 20).mean() > 0.95, "black is nucleus, not haze"


def test_blanked_images_are_made_once_and_named_by_their_source(cache: ImageCache) -> None:
    first = blank_cache(cache, "nucleus")
    before = (first.folder / "images.npy").stat().st_mtime_ns
    again = blank_cache(cache, "nucleus")
    assert (again.folder / "images.npy").stat().st_mtime_ns == before
    assert first.checksum not in (cache.checksum, blank_cache(cache, "background").checksum)
    assert first.manifest["outlines"] == "segmentation"


def test_an_8_bit_cache_is_not_blanked(small_set: Path, tmp_path: Path) -> None:
    catalog = read_catalog(small_set)
    scaled = build_cache(catalog, CacheSettings(32, scale="minmax"), tmp_path)
    with pytest.raises(CacheError, match="minmax"):
        blank_cache(scaled, "nucleus")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_fetched_masks_are_used_where_every_cell_has_one(
    small_set: Path, tmp_path: Path, dtype: type
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    names = read_catalog(small_set).table["filename"].tolist()[:12]
    meta = (small_set / "meta.csv").read_text().splitlines()
    (folder / "meta.csv").write_text("\n".join(meta[:13]) + "\n")
    (folder / MASKS_FOLDER).mkdir()
    for name in names:
        image = read_image(small_set / name)
        write_image(folder / name, image)
        mask = np.zeros(image.shape, dtype)
        mask[: image.shape[0] // 2] = 255  # the upper half, which no segmentation would find
        cell = name.removesuffix("_proj.tif")
        tifffile.imwrite(folder / MASKS_FOLDER / f"{cell}_mask.tif", mask, compression="zlib")
        write_image(folder / MASKS_FOLDER / f"{cell}_DAPI_proj.tif", image)
    cache = build_cache(read_catalog(folder), CacheSettings(64), tmp_path / "caches")
    blanked = blank_cache(cache, "nucleus")
    assert blanked.manifest["outlines"] == "dapi"
    assert (np.asarray(blanked.images)[:, :29] > 0).all()
    assert (np.asarray(blanked.images)[:, 32:] == 0).all()
    lost = folder / MASKS_FOLDER / f"{names[3].removesuffix('_proj.tif')}_mask.tif"
    tifffile.imwrite(lost, np.zeros((50, 50), dtype))
    with pytest.raises(ImageError, match="every pixel is zero"):
        blank_cache(cache, "nucleus")
    lost.unlink()
    assert find_masks(cache.catalog) is None
    assert blank_cache(cache, "nucleus").manifest["outlines"] == "segmentation"


def test_without_radiation_all_conditions_are_alike() -> None:
    conditions = [("Fe", 0.82), ("Fe", 0.3), ("Fe", 0.0), ("X-ray", 0.1), ("X-ray", 1.0)]
    found = [find_damage(particle, dose, 4, 0.0) for particle, dose in conditions]
    assert len({damage.n_scattered for damage in found}) == 1
    assert {damage.n_tracks for damage in found} == {0}
    published, strong = find_damage("Fe", 0.82, 4), find_damage("Fe", 0.82, 4, 3.0)
    assert strong.n_tracks == pytest.approx(3 * published.n_tracks)
