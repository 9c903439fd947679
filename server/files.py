"""Uploads and downloads: the bytes of run files, artifact files and manifests."""

import mimetypes
import re
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response

from bpsweep.server import manifests
from bpsweep.server.context import Context, get_context
from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.store import artifacts, files
from bpsweep.server.uploads import digest_to_hex, hex_to_digest

router = APIRouter()

# What a browser may show in place; everything else is downloaded, so that an uploaded page can
# never act in the name of a logged-in user.
_INLINE = {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"}
_MANIFEST_ROUTE = f"/storage/manifests/{{number}}/{manifests.NAME}"
_HEX_DIGEST = re.compile(r"[0-9a-f]{32}")


@router.put("/storage/run-files/{number}")
async def put_run_file(number: int, request: Request) -> Response:
    """Take a file that a run saves."""
    context = get_context(request)
    context.auth.require_link(request)

    def find() -> tuple[str, Path]:
        with context.database.read() as db:
            row = files.get_file(db, number)
            return row["name"], context.uploads.locate_run_file(row["run_id"], number)

    name, target = await run_in_threadpool(find)
    stored = await context.uploads.receive(target, _iterate_body(request))
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    md5 = hex_to_digest(stored.md5)

    def save() -> None:
        with context.database.write() as db:
            files.save_upload(db, number, size=stored.size, md5=md5, mimetype=mimetype)

    await run_in_threadpool(save)
    return Response(status_code=200)


@router.get("/storage/run-files/{number}")
def get_run_file(number: int, request: Request) -> Response:
    """Give out a run's file."""
    context = get_context(request)
    context.auth.require_link(request)
    with context.database.read() as db:
        row = files.get_file(db, number)
    path = context.uploads.locate_run_file(row["run_id"], number)
    return send_file(path, row["name"], row["mimetype"])


@router.put("/storage/wandb_artifacts/{md5}")
async def put_blob(md5: str, request: Request) -> Response:
    """Take an artifact file; its content must have the announced MD5."""
    context = get_context(request)
    context.auth.require_link(request)
    target = context.uploads.locate_blob(md5)
    await context.uploads.receive(target, _iterate_body(request), md5=md5)
    return Response(status_code=200)


@router.get("/storage/wandb_artifacts/{md5}")
def get_blob(md5: str, request: Request) -> Response:
    """Give out an artifact file."""
    context = get_context(request)
    context.auth.require_link(request)
    return send_file(context.uploads.locate_blob(md5), md5, None)


@router.put("/storage/parts/{upload_id}/{number}")
async def put_part(upload_id: str, number: int, request: Request) -> Response:
    """Take a part of a large artifact file; its MD5 comes back as the tag by which it is named."""
    context = get_context(request)
    context.auth.require_link(request)
    target = context.parts.locate(upload_id, number)
    announced = request.headers.get("content-md5")
    md5 = digest_to_hex(announced) if announced else None
    stored = await context.uploads.receive(target, _iterate_body(request), md5=md5)
    return Response(status_code=200, headers={"ETag": f'"{stored.md5}"'})


@router.put(_MANIFEST_ROUTE)
async def put_manifest(number: int, request: Request) -> Response:
    """Take an artifact's manifest, as long as the artifact is not committed."""
    context = get_context(request)
    context.auth.require_link(request)
    await run_in_threadpool(_require_open_manifest, context, number)
    await context.uploads.receive(context.uploads.locate_manifest(number), _iterate_body(request))

    def save() -> None:
        with context.database.write() as db:
            artifacts.save_manifest(db, number, uploaded=1)

    await run_in_threadpool(save)
    return Response(status_code=200)


@router.get(_MANIFEST_ROUTE)
def get_manifest(number: int, request: Request) -> Response:
    """Give out an artifact's manifest."""
    context = get_context(request)
    context.auth.require_link(request)
    return send_file(context.uploads.locate_manifest(number), "manifest.json", "application/json")


@router.get("/artifactsV2/{rest:path}")
@router.get("/artifacts/{rest:path}")
def get_artifact_file(rest: str, request: Request) -> Response:
    """Give out an artifact file by the addresses that clients build: a digest is in them."""
    context = get_context(request)
    context.auth.require_user(request)
    digests = [part for part in rest.split("/") if _HEX_DIGEST.fullmatch(part)]
    if not digests:
        raise NotFoundError(f"no file lies at {request.url.path}")
    return send_file(context.uploads.locate_blob(digests[-1]), PurePosixPath(rest).name, None)


def _require_open_manifest(context: Context, number: int) -> None:
    with context.database.read() as db:
        manifest = artifacts.get_manifest(db, number)
        if artifacts.get_artifact(db, manifest["artifact_id"])["state"] != "PENDING":
            raise BadRequestError("the artifact is committed, its manifest cannot change any more")


def send_file(path: Path, name: str, mimetype: str | None) -> Response:
    """Return a response with a file, shown in place only if a browser cannot run it.

    Raises:
        NotFoundError: The file has not arrived.
    """
    if not path.is_file():
        raise NotFoundError(f"the file {name!r} has not been uploaded")
    kind = mimetype or "application/octet-stream"
    shown = "inline" if kind in _INLINE else "attachment"
    return FileResponse(
        path,
        media_type=kind,
        headers={
            "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(PurePosixPath(name).name)}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-cache",
        },
    )


async def _iterate_body(request: Request) -> AsyncIterator[bytes]:
    """Yield a request's body; a gzip body is stored as it was packed by no client we know."""
    if request.headers.get("content-encoding", "identity") not in ("identity", ""):
        raise BadRequestError("uploads are sent unpacked, without Content-Encoding")
    async for chunk in request.stream():
        yield chunk
