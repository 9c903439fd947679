"""The first page: every project and sweep, and a form that makes a sweep from its YAML."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bpsweep.server import search, sweepfile
from bpsweep.server.board.status import describe_brief
from bpsweep.server.context import get_context
from bpsweep.server.errors import BadRequestError
from bpsweep.server.pages.assets import list_modules
from bpsweep.server.pages.html import render, send_json
from bpsweep.server.pages.session import (
    ask_to_log_in,
    describe_disk,
    find_user,
    make_form_token,
    read_form,
    require_own_form,
    require_user,
)
from bpsweep.server.pages.sweeps import run_operation
from bpsweep.server.settings import DEFAULT_PROJECT
from bpsweep.server.space import NESTING
from bpsweep.server.store import Connection, Row, projects, runs, sweeps

router = APIRouter()

_CREATE = """mutation UpsertSweep($config: String, $entity: String, $project: String) {
    upsertSweep(input: {config: $config, entityName: $entity, projectName: $project}) {
    sweep { name project { name entityName } } } }"""


@router.get("/")
def get_index(request: Request) -> Response:
    """List everything."""
    context, user = get_context(request), find_user(request)
    if user is None:
        return ask_to_log_in(request)
    with context.database.read() as db:
        groups = list_groups(db)
    return render(
        "index.html",
        user=user,
        disk_note=describe_disk(request),
        token=make_form_token(request),
        modules=list_modules("index.js"),
        groups=groups,
        default_project=DEFAULT_PROJECT,
    )


@router.get("/sweeps.json")
def get_sweeps(request: Request) -> Response:
    """Return every project with its sweeps and how far they are."""
    require_user(request)
    with get_context(request).database.read() as db:
        return send_json(request, {"groups": list_groups(db)})


@router.get("/disk.json")
def get_disk(request: Request) -> Response:
    """Return what every page says of a disk that takes nothing more."""
    require_user(request)
    return send_json(request, {"note": describe_disk(request)})


def list_groups(db: Connection) -> list[dict[str, Any]]:
    """Return the projects, the newest first, each with its sweeps."""
    return [describe_project(db, project) for project in projects.list_projects(db)]


def describe_project(db: Connection, project: Row) -> dict[str, Any]:
    """Return a project with its sweeps, the newest first."""
    return {
        "entity": project["entity"],
        "project": project["name"],
        "n_runs": runs.count_runs(db, project["id"]),
        "sweeps": [describe_brief(db, row) for row in sweeps.list_sweeps(db, project["id"])],
    }


@router.post("/check-sweep")
async def post_check(request: Request) -> Response:
    """Say what is wrong with a sweep's YAML, or what it would do."""
    form = await read_form(request)
    require_own_form(request, form)
    return send_json(request, await run_in_threadpool(check_config, form.get("config", "")))


def check_config(text: str) -> dict[str, Any]:
    """Return the problems and warnings of a sweep's YAML, and the number of runs it asks for."""
    if not text.strip():
        return {"problems": [], "warnings": [], "empty": True}
    try:
        config, warnings = sweepfile.check_config(text)
    except BadRequestError as error:
        problems = str(error).removeprefix("invalid sweep config: ").split("; ")
        return {"problems": problems, "warnings": []}
    space = search.build_space(config) if "parameters" in config else None
    return {
        "problems": [],
        "warnings": warnings,
        "method": config["method"],
        "expected": search.count_expected(config),
        "searched": [parameter.name.replace(NESTING, ".") for parameter in space.searched]
        if space
        else [],
        "metric": (config.get("metric") or {}).get("name"),
        "project": config.get("project"),
    }


@router.post("/new-sweep")
async def post_sweep(request: Request) -> Response:
    """Make a sweep from the YAML that was typed, pasted or uploaded."""
    form = await read_form(request)
    user = require_own_form(request, form)

    def make() -> str:
        variables = {
            "config": form.get("config", ""),
            "entity": form.get("entity") or user["name"],
            "project": form.get("project") or None,
        }
        sweep = run_operation(request, user, _CREATE, variables)["upsertSweep"]["sweep"]
        project = sweep["project"]
        return f"/{project['entityName']}/{project['name']}/sweeps/{sweep['name']}"

    return RedirectResponse(await run_in_threadpool(make), 303)
