"""A run's page: curves, settings, load, console, pictures, files, artifacts, why it ended."""

import json
import re
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bpsweep.server import api
from bpsweep.server.board.curves import RunCurves
from bpsweep.server.board.lineage import describe_artifact, list_checksums, list_siblings
from bpsweep.server.board.media import list_media
from bpsweep.server.board.rows import flatten_settings, read_config
from bpsweep.server.context import Context, get_context
from bpsweep.server.errors import NotFoundError
from bpsweep.server.graphql.run_fields import parse_console_line
from bpsweep.server.ids import encode_id
from bpsweep.server.pages.assets import list_modules
from bpsweep.server.pages.html import HEADERS, render, send_json
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
from bpsweep.server.pages.sweeps import get_board, read_since, run_operation
from bpsweep.server.store import Connection, Row, artifacts, files, history, projects, runs
from bpsweep.server.store import users as user_store

router = APIRouter()

_PATH = "/{entity}/{project}/runs/{name}"
TABS = ("overview", "workspace", "logs", "files", "artifacts", "system")
_OUTPUT_LINES = 500
_MAX_OUTPUT_LINES = 5_000
_POINTS = 1_000
_EVENTS = 400
# Colours and cursor movements that programs write for terminals.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


@router.get(f"{_PATH}/live.json")
def get_live(entity: str, project: str, name: str, request: Request) -> Response:
    """Return what has changed in a run: state, console lines from `output` on, its revision."""
    run, _ = _require_run(request, entity, project, name)
    context = get_context(request)
    first = _read_number(request, "output", run["output_lines"])
    watched = get_board(request).watch_run(run)
    with context.database.read() as db:
        output = list_output(db, run, first)
        described = api.describe_run(db, run)
    answer = {
        **describe_life(run),
        "boot": watched.boot,
        "revision": watched.revision,
        "n_lines": run["history_lines"],
        "n_events": run["event_lines"],
        "n_files": run["updated_at"],
        "summary": dict(flatten_settings(described["summary"])),
        "output": output,
        "next_line": output[-1]["number"] + 1 if output else first,
    }
    return send_json(request, answer)


@router.get(f"{_PATH}/curves.json")
def get_curves(entity: str, project: str, name: str, request: Request) -> Response:
    """Return every metric of a run over the axis asked for."""
    run, _ = _require_run(request, entity, project, name)
    watched = get_board(request).watch_run(run)
    axis = request.query_params.get("x", "epoch")
    axis = axis if axis in ("step", "epoch", "time") else "epoch"
    since = read_since(watched, request)
    answer: dict[str, Any] = {"boot": watched.boot, "revision": watched.revision, "metrics": {}}
    entry = next(iter(watched.entries.values()), None)
    if entry is not None and (since == 0 or entry.revision > since):
        curves = entry.curves
        answer["metrics"] = {
            metric: curves.read_series(metric, axis, _POINTS) for metric in sorted(curves.names())
        }
    return send_json(request, answer)


@router.get(f"{_PATH}/system.json")
def get_system(entity: str, project: str, name: str, request: Request) -> Response:
    """Return the load of the run's machine over the run's seconds."""
    run, _ = _require_run(request, entity, project, name)
    with get_context(request).database.read() as db:
        lines = history.read_sample(db, run["id"], "events", _EVENTS)
    load = RunCurves()
    for line in lines:
        load.append(json.loads(line))
    series = {metric: load.read_series(metric, "time", _EVENTS) for metric in sorted(load.names())}
    return send_json(request, {"metrics": series, "n_events": run["event_lines"]})


@router.get(f"{_PATH}/console.json")
def get_console(entity: str, project: str, name: str, request: Request) -> Response:
    """Return older console lines, those before `before`."""
    run, _ = _require_run(request, entity, project, name)
    before = _read_number(request, "before", run["output_lines"])
    first = max(0, before - _MAX_OUTPUT_LINES)
    with get_context(request).database.read() as db:
        lines = list_output(db, run, first, before - first)
    return send_json(request, {"output": lines, "first": first})


@router.get(f"{_PATH}/output.log")
def get_output_file(entity: str, project: str, name: str, request: Request) -> Response:
    """Give out the whole console output as a text file."""
    run, _ = _require_run(request, entity, project, name)
    with get_context(request).database.read() as db:
        lines = history.read_output(db, run["id"], 0, -1)
    text = "".join(_clean(parse_console_line(line)["line"]) + "\n" for line in lines)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{run["name"]}.log"'}
    return Response(text, headers=headers, media_type="text/plain; charset=utf-8")


@router.post(f"{_PATH}/stop")
async def post_stop(entity: str, project: str, name: str, request: Request) -> Response:
    """Ask a run to end."""
    user = require_own_form(request, await read_form(request))
    run, _ = await run_in_threadpool(_require_run, request, entity, project, name)
    variables = {"id": encode_id("Run", run["id"])}
    mutation = "mutation StopRun($id: ID!) { stopRun(input: {id: $id}) { success } }"
    await run_in_threadpool(run_operation, request, user, mutation, variables)
    if request.headers.get("accept", "").startswith("application/json"):
        return send_json(request, {"done": "stop"})
    return RedirectResponse(f"/{entity}/{project}/runs/{name}", 303)


@router.get(_PATH)
@router.get(f"{_PATH}/{{tab}}")
def get_run(
    entity: str, project: str, name: str, request: Request, tab: str = "overview"
) -> Response:
    """Show a run: what it was given, what it logged, why it ended."""
    user = find_user(request)
    if user is None:
        return ask_to_log_in(request)
    token = make_form_token(request)
    try:
        run, _ = _require_run(request, entity, project, name)
    except NotFoundError as error:
        return render_missing(request, user, str(error))
    context = get_context(request)
    with context.database.read() as db:
        values = collect_run(db, context, run)
    return render(
        "run.html",
        user=user,
        disk_note=describe_disk(request),
        token=token,
        modules=list_modules("run.js"),
        entity=entity,
        project=project,
        tab=tab if tab in TABS else "overview",
        **values,
    )


def collect_run(db: Connection, context: Context, run: Row) -> dict[str, Any]:
    """Return what a run's page shows before its script has asked for anything."""
    described = api.describe_run(db, run)
    config = read_config(run)
    provenance = config.get("provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    owner = user_store.get_user(db, run["user_id"]) if run["user_id"] else None
    return {
        "run": run,
        "life": describe_life(run),
        "described": described,
        "config": dict(flatten_settings(config)),
        "summary": dict(flatten_settings(described["summary"])),
        "provenance": provenance,
        "checksums": list_checksums(provenance),
        "siblings": list_siblings(db, run, provenance),
        "versions": provenance.get("versions") or {},
        "synthetic": bool(provenance.get("synthetic")),
        "owner": owner["name"] if owner else "–",
        "tags": json.loads(run["tags"]),
        "media": list_media(db, context, run),
        "files": files.list_files(db, run["id"]),
        "output": list_output(db, run, max(0, run["output_lines"] - _OUTPUT_LINES)),
        "made": [describe_artifact(db, row) for row in artifacts.list_logged(db, run["id"])],
        "used": [describe_artifact(db, row) for row in artifacts.list_used(db, run["id"])],
        "stop_record": describe_stop(run),
    }


def describe_life(run: Row) -> dict[str, Any]:
    """Return a run's state and times, with seconds counted by the server's clock."""
    now = time.time()
    end = run["finished_at"] or now
    return {
        "state": run["state"],
        "live": run["state"] in runs.OPEN,
        "stop_reason": run["stop_reason"],
        "state_reason": run["state_reason"],
        "exit_code": run["exit_code"],
        "duration_s": round(end - run["started_at"], 1) if run["started_at"] else None,
        "heard_s": round(now - run["heartbeat_at"], 1) if run["heartbeat_at"] else None,
    }


def describe_stop(run: Row) -> dict[str, Any] | None:
    """Return what early termination knew when it gave the run up, or None."""
    if not run["stop_record"]:
        return None
    others = json.loads(run["stop_record"])
    own = next((other for other in others if other["name"] == run["name"]), None)
    return {
        "n_runs": len(others),
        "n_values": len(own["metric_values"]) if own else 0,
        "states": sorted({str(other["state"]) for other in others}),
    }


def list_output(db: Connection, run: Row, first: int, limit: int = _MAX_OUTPUT_LINES) -> list[Row]:
    """Return console lines from a number on, without the signs meant for terminals."""
    lines = [parse_console_line(row) for row in history.read_output(db, run["id"], first, limit)]
    return [{**line, "line": _clean(line["line"])} for line in lines]


def _clean(text: str) -> str:
    """Return what a terminal would show of a line: progress bars write over themselves."""
    return _ESCAPES.sub("", text).rstrip("\r").rsplit("\r", 1)[-1]


def _require_run(request: Request, entity: str, project: str, name: str) -> tuple[Row, Row]:
    require_user(request)
    with get_context(request).database.read() as db:
        found = projects.find_project(db, entity, project)
        run = runs.find_run(db, found["id"], name) if found else None
    if found is None or run is None:
        raise NotFoundError(f"There is no run {entity}/{project}/{name} here.")
    return run, found


def _read_number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default
