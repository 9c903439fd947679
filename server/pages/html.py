"""How a page is put together: the templates, what is escaped, and what a browser may do with it."""

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bpsweep.server.ids import format_time
from bpsweep.server.jsontext import make_strict
from bpsweep.server.pages.assets import accepts_gzip, read_version

_TEMPLATES = Path(__file__).parent.parent / "templates"
HEADERS = {
    # No script and no style but our own files, nothing from elsewhere: what a run logs stays text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = show_time
    environment.filters["value"] = show_value
    environment.filters["path"] = lambda text: quote(str(text), safe="")
    environment.filters["size"] = show_size
    return environment


def show_value(value: Any) -> str:
    """Return a config or summary value as short text."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict | list):
        text = json.dumps(value)
        return text if len(text) <= 200 else text[:200] + "…"
    return str(value)


def show_time(seconds: float | None) -> str:
    """Return a time as 2026-01-31 12:00:00 UTC."""
    text = format_time(seconds)
    return text.replace("T", " ").replace("Z", " UTC") if text else "–"


def show_size(n_bytes: int | None) -> str:
    """Return a number of bytes as people say it: 1.2 MB."""
    value = float(n_bytes or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1_000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


_environment = _build_environment()


def render(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    static = f"/static/{read_version()}"
    html = _environment.get_template(template).render(static=static, **values)
    return Response(html, status, HEADERS, "text/html; charset=utf-8")


def send_json(request: Request, content: Any, status: int = 200) -> Response:
    """Return strict JSON to a page's script, packed where the browser takes it.

    Args:
        request: What is answered.
        content: Plain values, or the JSON text itself.
        status: The HTTP status.
    """
    return send_packed(request, pack(content), status)


def pack(content: Any) -> bytes:
    """Return strict JSON as gzip, so that it can be kept for the next who asks the same."""
    if not isinstance(content, str):
        content = json.dumps(make_strict(content), separators=(",", ":"), allow_nan=False)
    return gzip.compress(content.encode(), 3)


def send_packed(request: Request, packed: bytes, status: int = 200) -> Response:
    """Return JSON that has been packed, unpacked where the browser wants it so."""
    headers = {**HEADERS, "Vary": "Accept-Encoding"}
    if not accepts_gzip(request):
        return Response(gzip.decompress(packed), status, headers, "application/json")
    headers["Content-Encoding"] = "gzip"
    return Response(packed, status, headers, "application/json")
