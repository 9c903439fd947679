"""The pages' own files: scripts, styles and plotly, packed once and checked by their content."""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from bpsweep.server.errors import NotFoundError

router = APIRouter()

FOLDER = Path(__file__).parent.parent / "static"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
_ASK_AGAIN = "no-cache"
# Under an address with the files' version in it: what is there never changes.
_KEEP = "public, max-age=31536000, immutable"
_IMPORT = re.compile(r'from "\./([\w-]+\.js)"')


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
    version, _, rest = path.partition("/")
    is_versioned = version == read_version()
    path = rest if is_versioned else path
    if path not in _list_names():
        raise NotFoundError(f"there is no file {path!r} among the pages' own")
    location = FOLDER / path
    asset = _read_asset(path, location.stat().st_mtime_ns)
    kept = _KEEP if is_versioned else _ASK_AGAIN
    headers = {**_HEADERS, "ETag": asset.etag, "Cache-Control": kept}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if accepts_gzip(request):
        return Response(
            asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.kind
        )
    return Response(asset.plain, headers=headers, media_type=asset.kind)


def accepts_gzip(request: Request) -> bool:
    """Return whether a browser takes gzip."""
    return "gzip" in request.headers.get("accept-encoding", "")


@lru_cache(maxsize=32)
def list_modules(entry: str) -> list[str]:
    """Return a page's script and all that it imports, so that a browser asks for them at once."""
    found, new = [entry], [entry]
    while new:
        text = (FOLDER / new.pop()).read_text(encoding="utf-8")
        for name in _IMPORT.findall(text):
            if name not in found:
                found.append(name)
                new.append(name)
    return found


@lru_cache(maxsize=1)
def read_version() -> str:
    """Return a name for the content of all files, which stands in their addresses."""
    digest = hashlib.sha256()
    for name in sorted(_list_names()):
        digest.update(name.encode() + (FOLDER / name).read_bytes())
    return digest.hexdigest()[:16]


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
