"""What a run has logged besides numbers: images with captions, tables, other files."""

import json
import re
from collections.abc import Mapping
from typing import Any

from bpsweep.server.board.curves import AXES
from bpsweep.server.context import Context
from bpsweep.server.store import Connection, Row, files
from bpsweep.server.store.watch import list_media_lines

_MAX_LINES = 200
_MAX_TABLE_BYTES = 2_000_000
_MAX_ROWS, _MAX_COLUMNS = 200, 30
_INLINE = ("image/png", "image/jpeg", "image/gif", "image/webp")
# How our own captions end: "...; P278_..._proj.tif".
_CELL = re.compile(r"; ([^;]+\.tiff?)$")


def list_media(db: Connection, context: Context, run: Row) -> list[dict[str, Any]]:
    """Return what a run has logged, the newest of each name, by name.

    Returns:
        For each name: name, step, kind ("images", "table" or "file"), steps (all there are), and
        images (file, caption), table (columns, rows, n_rows) or file.
    """
    saved = {row["name"]: row for row in files.list_files(db, run["id"])}
    found: dict[str, dict[str, Any]] = {}
    for line in list_media_lines(db, run["id"], _MAX_LINES):
        point = json.loads(line["data"])
        for name, value in point.items():
            if isinstance(value, dict) and "_type" in value:
                steps = [*found.get(name, {}).get("steps", []), line["step"]]
                epoch = next((point[key] for key in AXES["epoch"] if key in point), None)
                item = _describe(context, run, value, saved)
                found[name] = {
                    **item,
                    "name": name,
                    "step": line["step"],
                    "epoch": epoch,
                    "steps": steps,
                }
    return [found[name] for name in sorted(found)]


def _describe(
    context: Context, run: Row, value: Mapping[str, Any], saved: Mapping[str, Row]
) -> dict[str, Any]:
    kind = str(value["_type"])
    if kind in ("images/separated", "image-file"):
        names = value.get("filenames") or [value.get("path")]
        captions = value.get("captions")
        if not isinstance(captions, list):
            captions = [value.get("caption")] * len(names)
        return {"kind": "images", "images": _list_images(names, captions, saved)}
    file = saved.get(str(value.get("path")))
    if kind == "table-file" and file is not None:
        table = read_table(context, run, file)
        if table is not None:
            return {"kind": "table", "table": table, "file": file}
    return {"kind": "file", "type": kind, "file": file}


def _list_images(
    names: list[Any], captions: list[Any], saved: Mapping[str, Row]
) -> list[dict[str, Any]]:
    images = []
    for number, name in enumerate(names):
        file = saved.get(str(name))
        if file is not None and file["mimetype"] in _INLINE:
            caption = captions[number] if number < len(captions) else None
            images.append({"file": file["id"], "caption": "" if caption is None else str(caption)})
    return images


def read_table(context: Context, run: Row, file: Row) -> dict[str, Any] | None:
    """Return a logged table cut to what a page can show, or None where it is none or too large."""
    path = context.uploads.locate_run_file(run["id"], file["id"])
    if not path.is_file() or path.stat().st_size > _MAX_TABLE_BYTES:
        return None
    try:
        content = json.loads(path.read_bytes())
        columns = [str(name) for name in content["columns"]][:_MAX_COLUMNS]
        rows = [list(row)[:_MAX_COLUMNS] for row in content["data"][:_MAX_ROWS]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return {"columns": columns, "rows": rows, "n_rows": len(content["data"])}


def find_cells(media: list[dict[str, Any]]) -> dict[str, int]:
    """Return the files of a run's pictures of cells by the cell's name."""
    found = {}
    for item in media:
        for image in item.get("images", []):
            named = _CELL.search(image["caption"])
            if named:
                found[named.group(1)] = image["file"]
    return found
