"""What a subset needs from the bucket, what of it is on disk, and the manifest of checksums."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bpsweep.data.bucket import BUCKET, Checksums, RemoteFile, compute_checksums
from bpsweep.data.catalog import META_NAME, Catalog, Subset, parse_catalog, select
from bpsweep.data.errors import FetchError
from bpsweep.data.fetcher import Fetcher, FetchSettings
from bpsweep.data.folders import list_first, write_whole
from bpsweep.data.masks import MASKS_FOLDER

IMAGES_PREFIX: Final = "Microscopy/train/"
MASKS_PREFIX: Final = "Microscopy/DAPI_MASK_images/"
MANIFEST_NAME: Final = "fetched.json"
LABELS_SHA256: Final = "0951d7a3c9a28683be99f09e2e9019aefbdee96c02af74c2777dc6a5d9d03247"
N_LABELS: Final = 77177

_MASK_NAME: Final = re.compile(r"(P\d+_\d+-[A-H]\d+_\d+_\d+)_[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True)
class FetchPlan:
    """What a subset needs, and what of it is missing.

    Attributes:
        labels: the content of `meta.csv`.
        files: path below the data folder -> object.
        present: checksums of those that are there and right.
    """

    labels: bytes
    files: dict[str, RemoteFile]
    present: dict[str, Checksums]

    @property
    def missing(self) -> dict[str, RemoteFile]:
        """The files to fetch."""
        return {path: remote for path, remote in self.files.items() if path not in self.present}

    @property
    def bytes_missing(self) -> int:
        """Their size."""
        return sum(remote.n_bytes for remote in self.missing.values())


def make_plan(fetcher: Fetcher, folder: Path, subset: Subset) -> FetchPlan:
    """Ask the bucket and look at the folder; nothing is written.

    Raises:
        FetchError: the bucket does not answer, lacks an image, or its labels have changed.
    """
    labels = fetcher.read(IMAGES_PREFIX + META_NAME)
    _check_labels(labels, fetcher.settings)
    catalog = select(parse_catalog(labels, folder), subset)
    files = _list_images(fetcher, catalog)
    if fetcher.settings.with_masks:
        files |= _list_masks(fetcher, catalog)
    return FetchPlan(labels, files, _find_present(folder, files))


def _check_labels(labels: bytes, settings: FetchSettings) -> None:
    found = hashlib.sha256(labels).hexdigest()
    if found != LABELS_SHA256 and not settings.accept_changed_labels:
        n_rows = len(labels.splitlines()) - 1
        raise FetchError(
            f"the bucket's {META_NAME} has changed: it has {n_rows} rows and sha256 {found}, "
            f"where {N_LABELS} rows and {LABELS_SHA256} were published. The bucket is updated in "
            "place; results on other labels cannot be compared with published ones. To go on with "
            "them, give --accept-changed-labels"
        )


def _list_images(fetcher: Fetcher, catalog: Catalog) -> dict[str, RemoteFile]:
    prefixes = [f"{IMAGES_PREFIX}{plate}_" for plate in catalog.table["plate"].unique()]
    found = {remote.key: remote for remote in fetcher.list_all(prefixes)}
    names = catalog.table["filename"].tolist()
    absent = [name for name in names if IMAGES_PREFIX + name not in found]
    if absent:
        raise FetchError(
            f"{len(absent)} of {len(names)} images that {META_NAME} names are not in the bucket: "
            f"{list_first(absent)}"
        )
    return {name: found[IMAGES_PREFIX + name] for name in names}


def _list_masks(fetcher: Fetcher, catalog: Catalog) -> dict[str, RemoteFile]:
    """DAPI images and masks, whose names start like their cell's image."""
    cells = set(catalog.table["filename"].str.removesuffix("_proj.tif"))
    prefixes = [f"{MASKS_PREFIX}{plate}_" for plate in catalog.table["plate"].unique()]
    files = {}
    for remote in fetcher.list_all(prefixes):
        match = _MASK_NAME.fullmatch(remote.key.removeprefix(MASKS_PREFIX))
        if match is not None and match[1] in cells:
            files[f"{MASKS_FOLDER}/{match[0]}"] = remote
    without = len(cells - {Path(path).name.rsplit("_", 1)[0] for path in files})
    if not files:
        raise FetchError(f"the bucket has no masks for any of the {without} selected cells")
    return files


def _find_present(folder: Path, files: dict[str, RemoteFile]) -> dict[str, Checksums]:
    """Files that are there with the listed size and MD5; those of the manifest are not read."""
    known = _read_manifest(folder)
    present = {}
    for path, remote in files.items():
        try:
            status = os.lstat(folder / path)
        except OSError:
            continue
        if status.st_size == remote.n_bytes:
            sums, mtime_ns = known.get(path, (None, 0))
            if sums is None or mtime_ns != status.st_mtime_ns:
                sums = compute_checksums(folder / path)
            if sums.fits(remote):
                present[path] = sums
    return present


def _read_manifest(folder: Path) -> dict[str, tuple[Checksums, int]]:
    """Checksums of earlier fetches, with the modification time that they were made at."""
    try:
        files: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST_NAME).read_bytes())[
            "files"
        ]
        return {
            path: (Checksums(about["n_bytes"], about["md5"], about["sha256"]), about["mtime_ns"])
            for path, about in files.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none, or of another version: files are read again


def write_manifest(
    folder: Path, plan: FetchPlan, sums: dict[str, Checksums], settings: FetchSettings
) -> None:
    known = {path: (about, mtime_ns) for path, (about, mtime_ns) in _read_manifest(folder).items()}
    known |= {path: (about, (folder / path).stat().st_mtime_ns) for path, about in sums.items()}
    manifest = {
        "source": settings.endpoint_url or f"s3://{BUCKET}",
        "labels_sha256": hashlib.sha256(plan.labels).hexdigest(),
        "files": {
            path: asdict(about) | {"mtime_ns": mtime_ns}
            for path, (about, mtime_ns) in sorted(known.items())
        },
    }
    write_whole(folder / MANIFEST_NAME, json.dumps(manifest, indent=1).encode())
