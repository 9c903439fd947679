"""The cache: its pixels, when it is found again, and that it is never half there."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from test_data_catalog import HEADER, REAL_TIFF, make_set

from bpsweep.data.cache import CacheSettings, Scale, build_cache, open_cache
from bpsweep.data.catalog import read_catalog
from bpsweep.data.errors import CacheError
from bpsweep.data.geometry import resize_image
from bpsweep.data.intensity import scale_counts
from bpsweep.data.limits import find_limits

SETTINGS = CacheSettings(16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set")


def test_cached_rows_are_the_files_resized(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    steps = []
    cache = build_cache(catalog, SETTINGS, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps[-1] == (40, 40)
    assert cache.images.shape == (40, 16, 16)
    assert cache.images.dtype == cache.ranges.dtype == np.uint16
    assert not cache.images.flags.writeable
    for row, name in enumerate(catalog.table["filename"]):
        pixels = tifffile.imread(folder / name)
        assert (cache.images[row] == resize_image(pixels, 16)).all()
        assert cache.ranges[row].tolist() == [pixels.min(), pixels.max()]
    assert list(cache.manifest["files"]) == catalog.table["filename"].tolist()
    assert cache.manifest["catalog_checksum"] == catalog.checksum
    found = open_cache(catalog, SETTINGS, tmp_path / "cache")
    assert found is not None
    assert found.checksum == cache.checksum
    assert names(tmp_path / "cache") == [cache.folder.name]


def test_the_real_image(real_set: Path, tmp_path: Path) -> None:
    (tmp_path / REAL_TIFF).write_bytes((real_set / REAL_TIFF).read_bytes())
    (tmp_path / "meta.csv").write_text(f"{HEADER}\n{REAL_TIFF},0.82,Fe,4\n")
    cache = build_cache(read_catalog(tmp_path), CacheSettings(64), tmp_path / "cache")
    pixels = tifffile.imread(real_set / REAL_TIFF)
    assert cache.ranges.tolist() == [[257, 2470]]
    # Area average: the mean is kept, and so is the light of each quarter.
    assert cache.images.mean() == pytest.approx(pixels.mean(), rel=1e-3)
    assert cache.images[0, :32].mean() == pytest.approx(
        (pixels[:70].sum() + pixels[70].sum() / 2) / (70.5 * 149), rel=1e-3
    )


@pytest.mark.parametrize("size", [8, 30, 31, 45, 100])
def test_resizing_keeps_level_gradient_and_mean(size: int) -> None:
    ramp = np.tile(np.arange(1000, 1000 + 31 * 40, 40, dtype=np.uint16), (45, 1))
    resized = resize_image(ramp, size).astype(float)
    assert (resized == resized[0]).all()
    assert resized.mean() == pytest.approx(ramp.mean(), rel=1e-3)
    inner = np.diff(resized[0])[2:-2]
    assert inner == pytest.approx(40 * 31 / size, abs=1.01)
    assert (resize_image(np.full((60, 280), 777, np.uint16), size) == 777).all()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def change_pixel(folder: Path, name: str) -> None:
    path = folder / name
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a careless copy would


def drop_row(folder: Path, _name: str) -> None:
    lines = (folder / "meta.csv").read_text().splitlines()
    (folder / "meta.csv").write_text("\n".join(lines[:-1]) + "\n")


def swap_rows(folder: Path, _name: str) -> None:
    header, one, two, *rest = (folder / "meta.csv").read_text().splitlines()
    (folder / "meta.csv").write_text("\n".join([header, two, one, *rest]) + "\n")


def relabel_row(folder: Path, _name: str) -> None:
    text = (folder / "meta.csv").read_text()
    (folder / "meta.csv").write_text(text.replace("0.82,Fe", "0.3,Fe", 1))


@pytest.mark.parametrize("change", [change_pixel, drop_row, swap_rows, relabel_row])
def test_a_stale_cache_is_not_found(folder: Path, tmp_path: Path, change: object) -> None:
    catalog = read_catalog(folder)
    build_cache(catalog, SETTINGS, tmp_path / "cache")
    change(folder, catalog.table["filename"][3])
    assert open_cache(read_catalog(folder), SETTINGS, tmp_path / "cache") is None


def test_other_settings_are_another_cache(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    build_cache(catalog, SETTINGS, tmp_path / "cache")
    assert open_cache(catalog, CacheSettings(17), tmp_path / "cache") is None
    with pytest.raises(CacheError, match="image_size 5 is not between 8 and 512"):
        CacheSettings(5)


def test_missing_files_are_listed(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    for name in catalog.table["filename"][:12]:
        (folder / name).unlink()
    with pytest.raises(
        CacheError, match=r"12 of 40 image files .*_000_proj\.tif: the file is missing.*and 2 more"
    ):
        build_cache(catalog, SETTINGS, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def spoil(folder: Path) -> list[str]:
    """Make three files of the set unusable; return their names."""
    files = read_catalog(folder).table["filename"]
    bad = [files[4], files[30], files[31]]
    (folder / bad[0]).write_bytes(b"")
    (folder / bad[1]).write_bytes((folder / bad[1]).read_bytes()[:60])
    (folder / bad[2]).unlink()
    (folder / bad[2]).symlink_to("/etc/hostname")
    return bad


def test_unusable_files_are_listed_and_no_cache_is_left(folder: Path, tmp_path: Path) -> None:
    bad = spoil(folder)
    catalog = read_catalog(folder)
    for max_rejected in (0, 2):
        with pytest.raises(CacheError, match=r"3 of 40 image.*empty.*truncated.*a link.*rejected"):
            build_cache(catalog, SETTINGS, tmp_path / "cache", max_rejected=max_rejected)
    (listed,) = (tmp_path / "cache").iterdir()
    assert listed.name.endswith(".rejected.csv")
    assert pd.read_csv(listed)["filename"].tolist() == bad


def test_as_many_as_allowed_are_left_out_and_none_replaced(folder: Path, tmp_path: Path) -> None:
    bad = spoil(folder)
    gone = read_catalog(folder).table["filename"][0]
    (folder / gone).unlink()
    catalog = read_catalog(folder)
    with pytest.raises(CacheError, match=r"1 of 40 .*missing"):
        open_cache(catalog, SETTINGS, tmp_path / "cache")
    assert open_cache(catalog, SETTINGS, tmp_path / "cache", max_rejected=4) is None
    cache = build_cache(catalog, SETTINGS, tmp_path / "cache", max_rejected=4)
    kept = [name for name in catalog.table["filename"] if name not in {*bad, gone}]
    assert cache.catalog.table["filename"].tolist() == kept
    assert cache.images.shape == (36, 16, 16)
    for row in (0, 20, 35):
        assert (cache.images[row] == resize_image(tifffile.imread(folder / kept[row]), 16)).all()
    found = open_cache(catalog, SETTINGS, tmp_path / "cache", max_rejected=4)
    assert found is not None
    assert found.folder == cache.folder


@pytest.mark.parametrize("scale", ["minmax", "clip", "percentile"])
def test_eight_bits_are_the_normalised_image(folder: Path, tmp_path: Path, scale: Scale) -> None:
    catalog = read_catalog(folder)
    counts = build_cache(catalog, SETTINGS, tmp_path / "cache")
    eight = build_cache(catalog, CacheSettings(16, scale=scale), tmp_path / "cache")
    assert eight.images.dtype == np.uint8
    expected = scale_counts(counts.images, find_limits(counts, scale))
    assert eight.images / 255 == pytest.approx(expected, abs=0.5 / 255 + 1e-6)


def test_native_geometry_keeps_the_scale(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    cache = build_cache(catalog, CacheSettings(30, "native"), tmp_path / "cache")
    for image, name in zip(cache.images, catalog.table["filename"], strict=True):
        pixels = tifffile.imread(folder / name)
        height, width = pixels.shape
        inside = image[max(0, (30 - height) // 2) :][: min(height, 30)]
        inside = inside[:, max(0, (30 - width) // 2) :][:, : min(width, 30)]
        middle = pixels[max(0, (height - 30) // 2) :][:30, max(0, (width - 30) // 2) :][:, :30]
        assert (inside == middle).all()
        assert np.count_nonzero(image != pixels.min()) <= middle.size


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CacheError, match=r"cannot write the image cache .* Not a directory.*BPSWEEP_HOME"
    ):
        build_cache(read_catalog(folder), SETTINGS, tmp_path / "file" / "cache")


def test_an_error_halfway_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(read_catalog(folder), SETTINGS, tmp_path / "cache", interrupt)
    assert names(tmp_path / "cache") == []


BUILD = """
import sys, time
from pathlib import Path
from bpsweep.data.cache import CacheSettings, Scale, build_cache
from bpsweep.data.catalog import read_catalog
def progress(done, total):
    print("progress", flush=True)
    time.sleep(float(sys.argv[2]))
place = Path(sys.argv[1])
build_cache(read_catalog(place / "set"), CacheSettings(16), place / "cache", progress)
print("built", flush=True)
"""


def start_build(place: Path, pause_s: float) -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", BUILD, str(place), str(pause_s)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)}
    )


def test_a_killed_build_leaves_no_cache_and_is_made_good(folder: Path, tmp_path: Path) -> None:
    with start_build(tmp_path, 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "progress\n"
        process.send_signal(signal.SIGKILL)
    catalog = read_catalog(folder)
    assert open_cache(catalog, SETTINGS, tmp_path / "cache") is None
    cache = build_cache(catalog, SETTINGS, tmp_path / "cache")
    assert names(tmp_path / "cache") == [cache.folder.name]


def test_ctrl_c_ends_a_build_with_nothing_left(folder: Path, tmp_path: Path) -> None:
    with start_build(tmp_path, 60) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert time.monotonic() - started < 5
    assert names(tmp_path / "cache") == []


def test_two_builders_at_once_share_one_cache(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    built, folders = [], []

    def build() -> None:
        cache = build_cache(catalog, SETTINGS, tmp_path / "cache", lambda *step: built.append(step))
        folders.append(cache.folder)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(folders) == 4
    assert names(tmp_path / "cache") == [folders[0].name]


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    catalog = read_catalog(folder)
    cache = build_cache(catalog, SETTINGS, tmp_path / "cache")
    (cache.folder / "manifest.json").write_text("{")
    with pytest.raises(CacheError, match=r"is damaged: .* delete that folder"):
        open_cache(catalog, SETTINGS, tmp_path / "cache")
