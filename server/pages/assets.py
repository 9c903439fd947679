"""The pages' own files: scripts, styles and plotly, packed once and checked by their content."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.errors import NotFoundError
from server.pages.html import accepts_gzip

router = APIRouter()

FOLDER = Path(__file__).parent.parent / "static"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # kept, but asked about each time: an upgrade shows at once
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, the same packed, its kind, and a name for its content."""

    plain: bytes
    packed: bytes
    kind: str
    etag: str


@router.get("/static/{path:path}")
def get_asset(path: str, request: Request) -> Response:
    """Give out one of the pages' files."""
    if path not in _list_names():
        raise NotFoundError(f"there is no file {path!r} among the pages' own")
    location = FOLDER / path
    asset = _read_asset(path, location.stat().st_mtime_ns)
    headers = {**_HEADERS, "ETag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if accepts_gzip(request):
        return Response(
            asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.kind
        )
    return Response(asset.plain, headers=headers, media_type=asset.kind)


def list_modules() -> list[str]:
    """Return the scripts that pages load, so that a page can ask for all at once."""
    return sorted(name for name in _list_names() if name.endswith(".js") and "/" not in name)


@lru_cache(maxsize=1)
def _list_names() -> frozenset[str]:
    """Return every file's name: a request is looked up here and never becomes a path itself."""
    files = (path for path in FOLDER.rglob("*") if path.is_file())
    return frozenset(path.relative_to(FOLDER).as_posix() for path in files)


@lru_cache(maxsize=256)
def _read_asset(name: str, _: int) -> Asset:
    plain = (FOLDER / name).read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "text/javascript" if name.endswith(".js") else kind
    return Asset(
        plain, gzip.compress(plain, 6), kind, f'"{hashlib.sha256(plain).hexdigest()[:20]}"'
    )
