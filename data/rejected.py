"""Image files that cannot be used: listed with reasons, left out if allowed, never replaced."""

import csv
import io
import os
from pathlib import Path

from bpsweep.data.catalog import Catalog
from bpsweep.data.errors import CacheError
from bpsweep.data.folders import list_first, write_whole


class RejectedFilesError(Exception):
    """Some files were read and cannot be used; `reasons` is by name."""

    def __init__(self, reasons: dict[str, str]) -> None:
        """Carry the reasons to whoever decides."""
        super().__init__(f"{len(reasons)} unusable files")
        self.reasons = reasons


def drop_rejected(catalog: Catalog, listed: Path, max_rejected: int) -> Catalog:
    """The catalogue without the files that are missing or that `listed` names.

    Raises:
        CacheError: they are more than `max_rejected`, or all.
    """
    rejected = _find_rejected(catalog, listed)
    if len(rejected) > max_rejected or len(rejected) == len(catalog):
        shown = [f"{name}: {reason}" for name, reason in rejected.items()]
        named = f", all listed in {listed}" if listed.exists() else ""
        raise CacheError(
            f"{len(rejected)} of {len(catalog)} image files in {str(catalog.folder)!r} cannot be "
            f"used, and none is ever replaced: {list_first(shown, '; ')}{named}; "
            "mend them, take their rows out of meta.csv, or allow some to be left out with "
            "--max-rejected"
        )
    return catalog.take(~catalog.table["filename"].isin(list(rejected))) if rejected else catalog


def list_rejected(catalog: Catalog, listed: Path, reasons: dict[str, str]) -> None:
    """Write what was found unusable, and what is missing, as `filename,reason`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("filename", "reason"), *(_find_rejected(catalog, listed) | reasons).items()])
    write_whole(listed, text.getvalue().encode())


def _find_rejected(catalog: Catalog, listed: Path) -> dict[str, str]:
    rejected = {
        name: "the file is missing; copy or fetch it"
        for name in catalog.table["filename"]
        if not os.path.lexists(catalog.folder / name)
    }
    if listed.exists():
        with listed.open(newline="", encoding="utf-8") as file:
            rejected |= {row["filename"]: row["reason"] for row in csv.DictReader(file)}
    return rejected
