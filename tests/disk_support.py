"""Small filesystems of the tests' own, full or read-only; skipped where mounting is not allowed."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", *arguments, str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def mount_tmpfs(folder: Path, n_megabytes: int) -> Iterator[Path]:
    """Mount a filesystem of so many MiB, in memory."""
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={n_megabytes}m", "tmpfs") as mounted:
        yield mounted


@contextlib.contextmanager
def mount_ext4(folder: Path, n_megabytes: int = 64) -> Iterator[Path]:
    """Mount an ext4 that turns read-only after an error, as a user's disk does."""
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(n_megabytes << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no ext4 can be made here: {error}")
    with _mounted(folder, "-o", "loop,errors=remount-ro", str(image)) as mounted:
        yield mounted


def turn_read_only(folder: Path) -> None:
    """Have an ext4 meet an error of its disk, with files open on it."""
    found = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", str(folder)], capture_output=True, text=True, check=True
    )
    trigger = Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error"
    try:
        trigger.write_text("test")
    except OSError as error:
        pytest.skip(f"this kernel lets no error be made: {error}")


def repair(folder: Path) -> None:
    """Make a disk whole again that has turned read-only: off, checked, on again."""
    image = folder.with_suffix(".img")
    subprocess.run(["umount", str(folder)], check=True)
    subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", str(image), str(folder)], check=True)


def limit_files(n_bytes: int) -> list[str]:
    """Return what goes before a command whose files may not be longer."""
    return ["bash", "-c", 'ulimit -f "$0"; exec "$@"', str(n_bytes >> 10)]


def fill(folder: Path, n_left: int = 0) -> Path:
    """Take all room of a filesystem but so many bytes; return the file that holds it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 20)) == 1 << 20:
            pass
        while file.write(bytes(4096)):
            pass
    if n_left:
        with filler.open("rb+") as file:
            file.truncate(max(0, filler.stat().st_size - n_left))
    return filler
