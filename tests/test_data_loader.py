"""The loader: the same batches again, each image turned as a whole, values in [0, 1]."""

from pathlib import Path

import numpy as np
import pytest
from test_data_catalog import HEADER, REAL_TIFF, make_set

from bpsweep.data.augment import turn_image
from bpsweep.data.cache import CacheSettings, ImageCache, build_cache
from bpsweep.data.catalog import read_catalog
from bpsweep.data.errors import DataError
from bpsweep.data.labels import encode_labels
from bpsweep.data.loader import Loader, LoaderSettings

ROWS = np.arange(3, 40)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return build_cache(
        read_catalog(make_set(tmp_path / "set")), CacheSettings(32), tmp_path / "cache"
    )


def make_loader(cache: ImageCache, shuffle: bool = True, **settings: object) -> Loader:
    labels = np.eye(7, dtype=np.uint8)[np.arange(len(cache.images)) % 7]
    return Loader(cache, labels, ROWS, LoaderSettings(**{"batch_size": 8} | settings), shuffle)


def test_an_epoch_has_every_row_once_with_its_label(cache: ImageCache) -> None:
    loader = make_loader(cache)
    batches = list(loader.epoch(0))
    assert [len(batch.rows) for batch in batches] == [8, 8, 8, 8, 5]
    assert len(loader) == 5
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == ROWS.tolist()
    assert rows.tolist() != ROWS.tolist()
    for batch in batches:
        assert batch.images.shape == (len(batch.rows), 1, 32, 32)
        assert batch.images.dtype == batch.labels.dtype == np.float32
        assert 0 <= batch.images.min() <= batch.images.max() <= 1
        assert (batch.labels.argmax(axis=1) == batch.rows % 7).all()
    in_order = np.concatenate([batch.rows for batch in make_loader(cache, False).epoch(0)])
    assert in_order.tolist() == ROWS.tolist()


def test_batches_follow_from_seed_and_epoch_alone(cache: ImageCache) -> None:
    def images(seed: int, epoch: int, **more: object) -> np.ndarray:
        loader = make_loader(cache, seed=seed, augment=True, **more)
        return np.concatenate([batch.images for batch in loader.epoch(epoch)])

    assert (images(1, 2) == images(1, 2)).all()
    assert (images(1, 2) != images(1, 3)).any()
    assert (images(1, 2) != images(2, 2)).any()


def test_augmentation_moves_pixels_and_changes_none(cache: ImageCache) -> None:
    plain = make_loader(cache, False)
    moved = make_loader(cache, False, augment=True)
    n_moved = 0
    for before, after in zip(plain.epoch(0), moved.epoch(0), strict=True):
        for one, other in zip(before.images, after.images, strict=True):
            assert (np.sort(one, axis=None) == np.sort(other, axis=None)).all()
            n_moved += int((one != other).any())
    assert n_moved > 30


def test_the_eight_turns_are_the_dihedral_group() -> None:
    image = np.arange(9).reshape(3, 3)
    turned = {turn_image(image, turn).tobytes() for turn in range(8)}
    expected = {np.rot90(side, k).tobytes() for side in (image, image.T) for k in range(4)}
    assert turned == expected
    assert len(turned) == 8


def test_normalisations(cache: ImageCache) -> None:
    images, ranges = cache.images[ROWS].astype(float), cache.ranges[ROWS].astype(float)
    low, high = ranges[:, :1, None], ranges[:, 1:, None]
    p1, p99 = cache.percentiles[ROWS, :1, None], cache.percentiles[ROWS, 1:, None]
    assert (low < p1).all()
    assert (p99 < high).all()
    expected = {
        "minmax": (images - low) / (high - low),
        "clip": np.clip((images - 400) / 3600, 0, 1),
        "percentile": np.clip((images - p1) / (p99 - p1), 0, 1),
    }
    for normalize, values in expected.items():
        loader = make_loader(cache, False, normalize=normalize)
        found = np.concatenate([batch.images[:, 0] for batch in loader.epoch(0)])
        assert found == pytest.approx(values, abs=1e-5)


def test_plates_are_standardised_by_their_training_images_alone(cache: ImageCache) -> None:
    labels = np.zeros((len(cache.images), 2), np.uint8)
    settings = LoaderSettings(40, "plate")
    train = np.arange(8, 40)
    (batch,) = Loader(cache, labels, ROWS, settings, False, train_rows=train).epoch(0)
    plates = cache.catalog.table["barcode"] + cache.catalog.table["plate"]
    for row, found in zip(ROWS, batch.images[:, 0], strict=True):
        same = cache.images[train][(plates[train] == plates[row]).to_numpy()].astype(float)
        z_score = (cache.images[row] - same.mean()) / same.std()
        assert found == pytest.approx(np.clip((z_score + 2) / 8, 0, 1), abs=1e-4)
    with pytest.raises(DataError, match="normalize 'plate' needs the training rows"):
        Loader(cache, labels, ROWS, settings, False)
    with pytest.raises(DataError, match=r"plate P2.* has no training image"):
        Loader(cache, labels, ROWS, settings, False, train_rows=np.array([0, 4]))


def test_eight_bit_caches_load_as_they_were_scaled(cache: ImageCache, tmp_path: Path) -> None:
    settings = CacheSettings(32, scale="minmax")
    eight = build_cache(cache.catalog, settings, tmp_path / "eight")
    for batch, same in zip(
        make_loader(eight, seed=3, augment=True).epoch(1),
        make_loader(cache, seed=3, augment=True).epoch(1),
        strict=True,
    ):
        assert batch.images == pytest.approx(same.images, abs=0.51 / 255)
    with pytest.raises(
        DataError, match="'clip' cannot be had from a cache that holds 8 bits of 'minmax'"
    ):
        make_loader(eight, normalize="clip")


def test_the_real_image(real_set: Path, tmp_path: Path) -> None:
    (tmp_path / REAL_TIFF).write_bytes((real_set / REAL_TIFF).read_bytes())
    (tmp_path / "meta.csv").write_text(f"{HEADER}\n{REAL_TIFF},0.82,Fe,4\n")
    catalog = read_catalog(tmp_path)
    cache = build_cache(catalog, CacheSettings(200), tmp_path / "cache")
    labels = encode_labels(catalog, "multi-label")
    (batch,) = Loader(cache, labels, np.array([0]), LoaderSettings(4), shuffle=False).epoch(0)
    assert batch.labels.tolist() == [[1, 0, 0, 0, 0, 1, 0]]
    assert batch.images.shape == (1, 1, 200, 200)
    assert np.unravel_index(batch.images[0, 0].argmax(), (200, 200)) == pytest.approx(
        (42, 140), abs=3
    )
    assert batch.images.max() > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size 0 is not a positive number"),
        (
            {"normalize": "min-max"},
            "normalize 'min-max' is not one of minmax, clip, percentile, plate",
        ),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_settings_that_make_no_batches(settings: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        LoaderSettings(**{"batch_size": 8} | settings)
