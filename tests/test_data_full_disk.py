"""A cache on a disk that takes nothing more: the reason is told, and nothing half-written stays."""

import subprocess
import sys
from pathlib import Path

import pytest
from disk_support import fill, limit_files, mount_ext4, mount_tmpfs, turn_read_only
from test_data_catalog import make_set

from bpsweep.data.cache import CacheSettings, build_cache, open_cache
from bpsweep.data.catalog import read_catalog
from bpsweep.data.errors import CacheError

SETTINGS = CacheSettings(128)  # 40 images of 128 x 128 x 2 bytes: 1.3 MB


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set")


def list_all(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_full_disk_leaves_no_half_cache_and_is_made_good(images: Path, tmp_path: Path) -> None:
    catalog = read_catalog(images)
    with mount_tmpfs(tmp_path / "small", 4) as small:
        filler = fill(small, n_left=1 << 20)
        with pytest.raises(CacheError, match="It takes 1 MB; free space there") as caught:
            build_cache(catalog, SETTINGS, small / "cache")
        assert str(small / "cache") in str(caught.value)
        assert list_all(small / "cache") == []
        filler.unlink()
        build_cache(catalog, SETTINGS, small / "cache")
        assert open_cache(catalog, SETTINGS, small / "cache") is not None


def test_a_read_only_disk_is_named(images: Path, tmp_path: Path) -> None:
    with mount_ext4(tmp_path / "disk") as disk:
        (disk / "cache").mkdir()
        turn_read_only(disk)
        with pytest.raises(CacheError, match="have it mounted for writing"):
            build_cache(read_catalog(images), SETTINGS, disk / "cache")
        assert list_all(disk / "cache") == []


def test_a_file_size_limit_is_named(images: Path, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from bpsweep.data.cache import CacheSettings, build_cache\n"
        "from bpsweep.data.catalog import read_catalog\n"
        "build_cache(read_catalog(pathlib.Path(sys.argv[1])), CacheSettings(128),"
        " pathlib.Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [*limit_files(1 << 20), sys.executable, "-c", program, images, tmp_path / "cache"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in done.stderr and "ulimit -f unlimited" in done.stderr, done.stderr
    assert list_all(tmp_path / "cache") == []
