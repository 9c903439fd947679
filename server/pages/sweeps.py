"""A sweep's page: its runs as a table, as parallel coordinates and as curves, live."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bpsweep.server import api, leases, sweepfile
from bpsweep.server.board.board import Board
from bpsweep.server.board.curves import AXES
from bpsweep.server.board.status import describe_status, list_swept
from bpsweep.server.board.watched import WatchedRuns
from bpsweep.server.context import get_context
from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.graphql.common import Operation
from bpsweep.server.graphql.execute import execute
from bpsweep.server.ids import encode_id
from bpsweep.server.pages.assets import list_modules
from bpsweep.server.pages.html import pack, render, send_json, send_packed
from bpsweep.server.pages.session import (
    ask_to_log_in,
    describe_disk,
    find_user,
    make_form_token,
    read_form,
    render_missing,
    require_own_form,
    require_user,
)
from bpsweep.server.store import Row

router = APIRouter()

_PATH = "/{entity}/{project}/sweeps/{name}"
_MAX_POINTS = 60_000
"""How many points all curves of one figure have together; more would not be seen."""
STATES = {"pause": "PAUSED", "resume": "RUNNING", "stop": "FINISHED", "cancel": "CANCELED"}


def get_board(request: Request) -> Board:
    """Return the board of the app that serves a request."""
    board: Board = request.app.state.board
    return board


@router.get(_PATH)
def get_sweep(entity: str, project: str, name: str, request: Request) -> Response:
    """Show a sweep."""
    context, user = get_context(request), find_user(request)
    if user is None:
        return ask_to_log_in(request)
    with context.database.read() as db:
        try:
            sweep = api.require_sweep(db, entity, project, name)
        except NotFoundError as error:
            return render_missing(request, user, str(error))
        status = describe_status(db, sweep)
    return render(
        "sweep.html",
        user=user,
        disk_note=describe_disk(request),
        token=make_form_token(request),
        modules=list_modules("sweep.js"),
        entity=entity,
        project=project,
        sweep=sweep,
        head=status,
    )


@router.get(f"{_PATH}/table.json")
def get_table(entity: str, project: str, name: str, request: Request) -> Response:
    """Return the status, and the rows that are newer than the page's."""
    sweep, watched = _watch(entity, project, name, request)
    since = read_since(watched, request)

    def make() -> bytes:
        with get_context(request).database.read() as db:
            status = describe_status(db, sweep)
        config = sweepfile.read_config(sweep["config"])
        return pack(write_table(watched, config, since, {"status": status}))

    return send_packed(request, watched.answer(("table", since), make))


@router.get(f"{_PATH}/curves.json")
def get_curves(entity: str, project: str, name: str, request: Request) -> Response:
    """Return one metric's curves of the runs that are newer than the page's."""
    _, watched = _watch(entity, project, name, request)
    return send_curves(watched, request)


@router.get(f"{_PATH}/verdict.json")
def get_verdict(entity: str, project: str, name: str, request: Request) -> Response:
    """Return which configurations reach the target, in the report's words."""
    sweep, watched = _watch(entity, project, name, request)
    path = f"{entity}/{project}/{name}"
    answer = get_board(request).verdicts.read(sweep, path, watched)
    return send_json(request, answer)


def write_table(
    watched: WatchedRuns, config: dict[str, Any], since: int, extra: dict[str, Any]
) -> str:
    """Return the JSON text that a page's table lives on: what is newer than its revision."""
    head = {
        "boot": watched.boot,
        "revision": watched.revision,
        "all": since == 0,
        **extra,
    }
    if since < watched.revision or since == 0:
        head["swept"] = list_swept(config, watched.list_rows())
        head["metrics"] = watched.list_metrics()
    text = json.dumps(head, separators=(",", ":"))
    return f'{text[:-1]},"runs":{watched.write_rows(since)}}}'


def send_curves(watched: WatchedRuns, request: Request) -> Response:
    """Return one metric's curves of the runs that are newer than the page's.

    Raises:
        BadRequestError: The axis is not one of ours.
    """
    metric = request.query_params.get("metric", "")
    axis = request.query_params.get("x", "epoch")
    if axis not in AXES:
        raise BadRequestError(f"x is one of {', '.join(AXES)}, got {axis!r}")
    since = read_since(watched, request)
    limit = max(20, min(1_000, _MAX_POINTS // max(len(watched.entries), 1)))

    def make() -> bytes:
        head = {"boot": watched.boot, "revision": watched.revision, "all": since == 0}
        text = json.dumps(head, separators=(",", ":"))
        return pack(f'{text[:-1]},"curves":{watched.write_curves(metric, axis, limit, since)}}}')

    return send_packed(request, watched.answer(("curves", metric, axis, since), make))


def read_since(watched: WatchedRuns, request: Request) -> int:
    """Return the revision that a page has, 0 for nothing that is still good.

    The query says `since`, a revision, under `boot`, a name for the server's memory of these runs.
    """
    since = request.query_params.get("since", "0")
    if request.query_params.get("boot") != watched.boot or not since.isdecimal():
        return 0
    return int(since) if int(since) <= watched.revision else 0


@router.post(f"{_PATH}/state")
async def post_state(entity: str, project: str, name: str, request: Request) -> Response:
    """Pause, resume, stop or cancel a sweep, or try again what failed."""
    form = await read_form(request)
    user = require_own_form(request, form)
    action = form.get("action", "")
    if action not in (*STATES, "retry"):
        raise BadRequestError(f"action is one of {', '.join((*STATES, 'retry'))}, got {action!r}")
    await run_in_threadpool(_change_sweep, request, user, (entity, project, name), action)
    if request.headers.get("accept", "").startswith("application/json"):
        return send_json(request, {"done": action})
    return RedirectResponse(f"/{entity}/{project}/sweeps/{name}", 303)


def _change_sweep(request: Request, user: Row, path: tuple[str, str, str], action: str) -> None:
    context = get_context(request)
    if action == "retry":
        with context.database.write() as db:
            leases.retry_sweep(db, api.require_sweep(db, *path))
        return
    with context.database.read() as db:
        sweep = api.require_sweep(db, *path)
    variables = {"id": encode_id("Sweep", sweep["id"]), "state": STATES[action]}
    mutation = """mutation UpsertSweep($id: ID, $state: String) {
        upsertSweep(input: {id: $id, state: $state}) { sweep { state } } }"""
    run_operation(request, user, mutation, variables)


def run_operation(
    request: Request, user: Row, query: str, variables: dict[str, Any]
) -> dict[str, Any]:
    """Run one of the operations that W&B's client uses, so that a page and it do the same.

    Raises:
        BadRequestError: It is refused; the message is the one that the client would show.
    """
    context = get_context(request)
    base_url = str(request.base_url).rstrip("/")
    with context.database.read() as db:
        operation = Operation(context, user, base_url, db)
        _, answer = execute(operation, {"query": query, "variables": variables})
    if answer.get("errors"):
        raise BadRequestError(str(answer["errors"][0]["message"]))
    data: dict[str, Any] = answer["data"]
    return data


def _watch(entity: str, project: str, name: str, request: Request) -> tuple[Row, WatchedRuns]:
    require_user(request)
    with get_context(request).database.read() as db:
        sweep = api.require_sweep(db, entity, project, name)
    return sweep, get_board(request).watch_sweep(sweep)
