"""The published images from the public bucket (or any S3): whole, checked, and only once.

A file has its final name only after its size and MD5 were found right, so a later call, also
after a kill, needs only what is missing.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bpsweep.data.bucket import Checksums
from bpsweep.data.catalog import META_NAME, SYNTHETIC_MARKER, Subset
from bpsweep.data.errors import FetchError
from bpsweep.data.fetch_plan import FetchPlan, make_plan, write_manifest
from bpsweep.data.fetcher import Fetcher, FetchSettings
from bpsweep.data.folders import PART_SUFFIX, advise, lock_folder, write_whole
from bpsweep.data.masks import MASKS_FOLDER

_SPARE_BYTES: Final = 64 << 20  # disk space left alone
_MAX_FAILED: Final = 5  # files given up before the whole fetch is


@dataclass(frozen=True)
class FetchProgress:
    """How far a fetch is, what was there before included."""

    n_done: int
    n_files: int
    bytes_done: int
    n_bytes: int


def plan_fetch(folder: Path, subset: Subset, settings: FetchSettings) -> FetchPlan:
    """Ask the bucket what a subset consists of and look what is missing; nothing is written.

    Raises:
        FetchError: the bucket does not answer, lacks an image, or its labels have changed.
    """
    with Fetcher(settings) as fetcher:
        return make_plan(fetcher, folder, subset)


def fetch_subset(
    folder: Path,
    subset: Subset,
    settings: FetchSettings,
    progress: Callable[[FetchProgress], None] | None = None,
) -> FetchPlan:
    """Fetch labels and the missing images of a subset, and leave a manifest of checksums.

    Returns:
        What was planned: what was missing is there now.

    Raises:
        FetchError: some file cannot be fetched (what was fetched stays), the disk is too small or
            cannot be written, or what `plan_fetch` raises.
    """
    if (folder / SYNTHETIC_MARKER).exists():
        raise FetchError(f"{str(folder)!r} holds a synthetic set; choose another --data-dir")
    try:
        with lock_folder(folder), Fetcher(settings) as fetcher:
            plan = make_plan(fetcher, folder, subset)
            _check_space(folder, plan)
            for left in folder.rglob(f".*{PART_SUFFIX}"):  # by a fetch that was killed
                left.unlink()
            if settings.with_masks:
                (folder / MASKS_FOLDER).mkdir(exist_ok=True)
            write_whole(folder / META_NAME, plan.labels)
            sums = dict(plan.present)
            try:
                _fetch_missing(fetcher, folder, plan, sums, progress)
            finally:
                write_manifest(folder, plan, sums, settings)
    except OSError as error:
        raise FetchError(
            f"cannot write to {str(folder)!r}: {error.strerror or error}; "
            f"{advise(error)} or choose another folder with --data-dir"
        ) from error
    return plan


def _fetch_missing(
    fetcher: Fetcher,
    folder: Path,
    plan: FetchPlan,
    sums: dict[str, Checksums],
    progress: Callable[[FetchProgress], None] | None,
) -> None:
    """Fetch what is missing; `sums` gains every file that arrived."""
    futures = {
        fetcher.start_file(remote, folder / path): path for path, remote in plan.missing.items()
    }
    n_bytes = sum(remote.n_bytes for remote in plan.files.values())
    bytes_done = n_bytes - plan.bytes_missing
    failed: list[str] = []
    for future in as_completed(futures):
        try:
            sums[futures[future]] = future.result()
        except FetchError as error:
            failed.append(str(error))
            if len(failed) >= _MAX_FAILED:
                break
            continue
        bytes_done += plan.files[futures[future]].n_bytes
        if progress is not None:
            progress(FetchProgress(len(sums), len(plan.files), bytes_done, n_bytes))
    if failed:
        n_left = len(plan.files) - len(sums)
        raise FetchError(
            f"{n_left} of {len(plan.files)} files were not fetched: {'; '.join(failed)}; call "
            "again, only what is missing will be fetched"
        )


def _check_space(folder: Path, plan: FetchPlan) -> None:
    free = shutil.disk_usage(folder).free
    if plan.bytes_missing + _SPARE_BYTES > free:
        raise FetchError(
            f"{len(plan.missing)} files of {plan.bytes_missing / 1e6:.0f} MB are to be fetched and "
            f"{free / 1e6:.0f} MB are free in {str(folder)!r}; free space there, choose another "
            "folder with --data-dir, or a smaller --subset"
        )
