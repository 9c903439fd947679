"""A project's page: its sweeps, and all its runs in one table; runs side by side; artifacts."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from bpsweep.server.board.comparison import (
    describe_confusion,
    list_cells,
    list_differences,
    read_run_predictions,
)
from bpsweep.server.board.lineage import describe_artifact
from bpsweep.server.board.rows import flatten_settings, read_config
from bpsweep.server.board.watched import WatchedRuns
from bpsweep.server.context import get_context
from bpsweep.server.errors import NotFoundError
from bpsweep.server.pages.assets import list_modules
from bpsweep.server.pages.html import pack, render, send_packed
from bpsweep.server.pages.index import describe_project
from bpsweep.server.pages.session import (
    ask_to_log_in,
    describe_disk,
    find_user,
    make_form_token,
    render_missing,
    require_user,
)
from bpsweep.server.pages.sweeps import get_board, read_since, send_curves, write_table
from bpsweep.server.store import Row, artifacts, collections, projects, runs

router = APIRouter()

_PATH = "/{entity}/{project}"
MAX_COMPARED = 12


@router.get(f"{_PATH}/table.json")
def get_table(entity: str, project: str, request: Request) -> Response:
    """Return the rows of a project's runs that are newer than the page's."""
    watched = _watch(entity, project, request)
    since = read_since(watched, request)
    answer = watched.answer(("table", since), lambda: pack(write_table(watched, {}, since, {})))
    return send_packed(request, answer)


@router.get(f"{_PATH}/curves.json")
def get_curves(entity: str, project: str, request: Request) -> Response:
    """Return one metric's curves of the runs that are newer than the page's."""
    return send_curves(_watch(entity, project, request), request)


@router.get(f"{_PATH}/compare")
def get_comparison(entity: str, project: str, request: Request) -> Response:
    """Show runs side by side."""
    context, user = get_context(request), find_user(request)
    if user is None:
        return ask_to_log_in(request)
    names = [name for name in request.query_params.get("runs", "").split(",") if name]
    with context.database.read() as db:
        found = projects.find_project(db, entity, project)
        rows = [runs.find_run(db, found["id"], name) for name in names] if found else []
        chosen = [row for row in rows if row is not None][:MAX_COMPARED]
        configs = [dict(flatten_settings(read_config(run))) for run in chosen]
        different, shared = list_differences(configs)
        kept = [read_run_predictions(db, context, run) for run in chosen]
        cells = list_cells(db, context, chosen, kept)
    return render(
        "compare.html",
        status=200 if found else 404,
        user=user,
        disk_note=describe_disk(request),
        token=make_form_token(request),
        modules=list_modules("compare.js"),
        entity=entity,
        project=project,
        runs=chosen,
        missing=[name for name, row in zip(names, rows, strict=False) if row is None],
        different=different,
        shared=shared,
        confusions=[None if p is None else describe_confusion(p) for p in kept],
        cells=cells,
        synthetic=any(_is_synthetic(run) for run in chosen),
    )


@router.get(f"{_PATH}/artifacts/{{type_name}}/{{name}}/{{version}}")
def get_artifact(
    entity: str, project: str, type_name: str, name: str, version: str, request: Request
) -> Response:
    """Show a version of an artifact: its files, who made it, who uses it."""
    context, user = get_context(request), find_user(request)
    if user is None:
        return ask_to_log_in(request)
    token = make_form_token(request)
    with context.database.read() as db:
        found = projects.find_project(db, entity, project)
        collection = collections.find_collection(db, found["id"], name) if found else None
        member = collections.find_member(db, collection["id"], version) if collection else None
        if collection is None or member is None:
            message = f"There is no artifact {entity}/{project}/{name}:{version} here."
            return render_missing(request, user, message)
        artifact = describe_artifact(db, artifacts.get_artifact(db, member["artifact_id"]))
        versions = artifacts.list_versions(db, collection["id"])
    return render(
        "artifact.html",
        user=user,
        disk_note=describe_disk(request),
        token=token,
        entity=entity,
        project=project,
        artifact=artifact,
        versions=versions,
    )


@router.get(_PATH)
@router.get(f"{_PATH}/workspace")
@router.get(f"{_PATH}/sweeps")
@router.get(f"{_PATH}/runs")
def get_project(entity: str, project: str, request: Request) -> Response:
    """Show a project: its sweeps and runs."""
    context, user = get_context(request), find_user(request)
    if user is None:
        return ask_to_log_in(request)
    token = make_form_token(request)
    with context.database.read() as db:
        found = projects.find_project(db, entity, project)
        if found is None:
            message = f"There is no project {entity}/{project} here."
            return render_missing(request, user, message)
        group = describe_project(db, found)
    return render(
        "project.html",
        user=user,
        disk_note=describe_disk(request),
        token=token,
        modules=list_modules("project.js"),
        entity=entity,
        project=project,
        group=group,
    )


def _watch(entity: str, project: str, request: Request) -> WatchedRuns:
    require_user(request)
    with get_context(request).database.read() as db:
        found = projects.find_project(db, entity, project)
    if found is None:
        raise NotFoundError(f"There is no project {entity}/{project} here.")
    metric = request.query_params.get("best") or None
    largest = request.query_params.get("goal") != "minimize"
    return get_board(request).watch_project(found, metric, largest=largest)


def _is_synthetic(run: Row) -> bool:
    provenance: Any = read_config(run).get("provenance")
    return isinstance(provenance, dict) and bool(provenance.get("synthetic"))
