"""The app factory: one server over one store."""

import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bpsweep.server import api, files, filestream, leases, pages
from bpsweep.server.auth import Auth, UnauthorizedError
from bpsweep.server.board.board import Board
from bpsweep.server.context import Context, get_context
from bpsweep.server.disk import Disk
from bpsweep.server.errors import NoRoomError, ServerError
from bpsweep.server.folder import has_users
from bpsweep.server.graphql.common import Operation
from bpsweep.server.graphql.execute import execute
from bpsweep.server.hosts import HostCheck
from bpsweep.server.limits import parse_object, read_body
from bpsweep.server.parts import Parts
from bpsweep.server.scheduler import Scheduler
from bpsweep.server.settings import Settings
from bpsweep.server.store import Database
from bpsweep.server.uploads import Uploads

logger = logging.getLogger(__name__)

DISK_S = 2.0
"""How often the disk is looked at."""
STALL_S = 5.0
"""Later than this, the process stood still: runs were not heard because nobody listened."""
N_UNUSED = 3
"""How many times in a row, a second apart, nobody is found to use a server that then ends."""


def create_app(settings: Settings) -> FastAPI:
    """Return the server as an ASGI app. The store is opened here and closed at shutdown.

    Raises:
        StoreError: The database cannot be opened.
    """
    context = build_context(settings)
    app = FastAPI(
        title="bpsweep server",
        lifespan=_watch_leases,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.context = context
    app.state.board = Board(context.database, settings.store)
    app.add_exception_handler(ServerError, _answer_error)
    app.add_middleware(HostCheck, names=settings.hosts, any_address=settings.any_address)
    app.post("/graphql")(post_graphql)
    app.get("/healthz")(get_health)
    app.post("/sdk/otel/{rest:path}")(drop_telemetry)
    app.include_router(filestream.router)
    app.include_router(files.router)
    app.include_router(api.router)
    app.include_router(pages.router)  # last: its paths match any entity and project
    return app


def build_context(settings: Settings) -> Context:
    """Open the store and return what the handlers share."""
    disk = Disk(settings.store)
    database = Database(settings.database, disk)
    uploads = Uploads(settings.uploads, settings.max_upload_bytes, disk)
    return Context(
        settings=settings,
        disk=disk,
        database=database,
        uploads=uploads,
        parts=Parts(uploads, settings.link_seconds),
        auth=Auth(settings, database),
        scheduler=Scheduler(database, secrets.token_hex(8), settings.max_attempts),
        started_at=time.time(),
    )


async def post_graphql(request: Request) -> Response:
    """Answer one GraphQL operation."""
    context = get_context(request)
    user = context.auth.require_user(request)
    body = parse_object(await read_body(request, context.settings.max_body_bytes))
    base_url = str(request.base_url).rstrip("/")

    def work() -> Response:
        with context.database.read() as db:
            status, answer = execute(Operation(context, user, base_url, db), body)
        return build_answer(answer, status)

    return await run_in_threadpool(work)


async def get_health(request: Request, nonce: str | None = None) -> dict[str, str]:
    """Say that the server is up, and prove on demand that it is ours; needs no key.

    With its disk in trouble it says of what kind, as `ENOSPC`, but not in which folder.
    """
    context = get_context(request)
    found = {"status": "ok"}
    if context.disk.trouble is not None:
        found["disk"] = errno.errorcode[context.disk.trouble.kind]
    if nonce is not None:
        found["proof"] = context.auth.prove(nonce, request.scope["server"][1])
    return found


async def drop_telemetry(rest: str) -> Response:
    """Take the client's telemetry and forget it: nothing leaves this machine."""
    return Response(status_code=200)


def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServerError)
    # Both shapes: W&B's clients read `errors` or `error`.
    answer = {"error": str(error), "errors": [{"message": str(error)}]}
    headers = {"WWW-Authenticate": "Basic"} if isinstance(error, UnauthorizedError) else None
    return build_answer(answer, error.status, headers)


def build_answer(
    content: dict[str, Any], status: int, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON answer in ASCII: a text may hold what UTF-8 cannot, half a surrogate pair."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, media_type="application/json")


@asynccontextmanager
async def _watch_leases(app: FastAPI) -> AsyncIterator[None]:
    """End silent runs while the server is up; close the store when it goes down."""
    context: Context = app.state.context
    tasks = [
        asyncio.create_task(_expire_forever(context)),
        asyncio.create_task(_watch_disk(context)),
    ]
    if context.settings.while_used:
        tasks.append(asyncio.create_task(_end_when_unused(context.settings.store)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        app.state.board.close()
        context.database.close()


async def _expire_forever(context: Context) -> None:
    pause_s = min(5.0, context.settings.lease_seconds / 4)
    listening_since = time.time()
    while True:
        before = time.time()
        await asyncio.sleep(pause_s)
        is_late = time.time() - before > pause_s + STALL_S  # a laptop asleep, a stopped process
        if is_late or context.disk.trouble is not None:  # what runs said could not be kept
            listening_since = time.time()
        try:
            await run_in_threadpool(expire_leases, context, listening_since)
            await run_in_threadpool(context.database.fold_log)
        except NoRoomError:
            continue  # said already; the next round may find room
        except Exception:
            logger.exception("could not look after the leases")


async def _watch_disk(context: Context) -> None:
    """Find out that the disk takes nothing more before a run does, and that it does again."""
    while True:
        try:
            await run_in_threadpool(context.disk.look, context.database.try_to_write)
        except Exception:
            logger.exception("could not look after the disk")
        await asyncio.sleep(DISK_S)


async def _end_when_unused(store: Path) -> None:
    """End this server, in order, when no process that uses it is left."""
    n_unused = 0
    while n_unused < N_UNUSED:
        await asyncio.sleep(1.0)
        n_unused = 0 if await run_in_threadpool(has_users, store) else n_unused + 1
    logger.warning("nobody uses this server any more; it ends")
    os.kill(os.getpid(), signal.SIGTERM)


def expire_leases(context: Context, listening_since: float = 0.0) -> list[str]:
    """End the runs that have been silent for a lease time during which we were listening."""
    now = time.time()
    lease_s = context.settings.lease_seconds
    if now - max(context.started_at, listening_since) < lease_s:
        return []
    with context.database.read() as db:
        if not leases.has_silent_runs(db, now - lease_s):
            return []
    with context.database.write() as db:
        return leases.expire_leases(db, now - lease_s, max_attempts=context.settings.max_attempts)
