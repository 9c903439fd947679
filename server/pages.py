"""The plain pages: projects, sweeps, runs.

Rendered here and escaped, without a script and without a request to anywhere else.
"""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from server import api, search
from server.charts import build_charts
from server.context import Context, get_context
from server.errors import NotFoundError
from server.graphql.run_fields import parse_console_line
from server.ids import format_time
from server.limits import read_body
from server.store import (
    Connection,
    Row,
    artifacts,
    collections,
    files,
    history,
    projects,
    runs,
    sweeps,
    users,
)

router = APIRouter()

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"
_MAX_FORM_BYTES = 10_000
_MAX_RUNS = 1_000
_OUTPUT_LINES = 200
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
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
    environment.filters["time"] = lambda seconds: format_time(seconds) or "–"
    environment.filters["value"] = show_value
    environment.filters["path"] = lambda text: quote(str(text), safe="")
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


_environment = _build_environment()


def render(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    html = _environment.get_template(template).render(**values)
    return Response(html, status, _HEADERS, "text/html; charset=utf-8")


@router.get("/login")
def get_login(request: Request) -> Response:
    """Ask for the key."""
    return render("login.html", next=_safe_path(request.query_params.get("next", "/")), error="")


@router.post("/login")
async def post_login(request: Request) -> Response:
    """Start a session for whoever has the key."""
    context = get_context(request)
    body = await read_body(request, _MAX_FORM_BYTES)
    form = parse_qs(body.decode("utf-8", "replace"))
    target = _safe_path(form.get("next", ["/"])[0])
    user = context.auth.check_key(form.get("key", [""])[0].strip())
    if user is None:
        return render("login.html", 401, next=target, error="This is not the key of this server.")
    response = RedirectResponse(target, 303)
    context.auth.start_session(response, user)
    return response


@router.post("/logout")
def post_logout() -> Response:
    """End the session of this browser."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie("bpsweep_session")
    return response


@router.get("/authorize")
def get_authorize(request: Request) -> Response:
    """Say where the key is: the client points users here who have none."""
    return render("authorize.html", store=get_context(request).settings.store.name)


@router.get("/")
def get_index(request: Request) -> Response:
    """List everything."""
    context, user = get_context(request), _find_user(request)
    if user is None:
        return _ask_to_log_in(request)
    with context.database.read() as db:
        groups = [
            {
                "project": project,
                "sweeps": [
                    _describe_sweep(db, row) for row in sweeps.list_sweeps(db, project["id"])
                ],
                "runs": runs.count_runs(db, project["id"]),
            }
            for project in projects.list_projects(db)
        ]
    return render("index.html", user=user, groups=groups)


@router.get("/{entity}/{project}")
@router.get("/{entity}/{project}/workspace")
@router.get("/{entity}/{project}/sweeps")
@router.get("/{entity}/{project}/runs")
def get_project(entity: str, project: str, request: Request) -> Response:
    """Show a project: its sweeps and runs."""
    context, user = get_context(request), _find_user(request)
    if user is None:
        return _ask_to_log_in(request)
    with context.database.read() as db:
        found = projects.find_project(db, entity, project)
        if found is None:
            return _show_missing(user, f"There is no project {entity}/{project} here.")
        listed = runs.list_runs(db, found["id"], order="-created_at", limit=_MAX_RUNS)
        return render(
            "project.html",
            user=user,
            project=found,
            sweeps=[_describe_sweep(db, row) for row in sweeps.list_sweeps(db, found["id"])],
            runs=[api.describe_run(db, run) for run in listed],
            total=runs.count_runs(db, found["id"]),
        )


@router.get("/{entity}/{project}/sweeps/{name}")
def get_sweep(entity: str, project: str, name: str, request: Request) -> Response:
    """Show a sweep: its runs with the searched values first."""
    context, user = get_context(request), _find_user(request)
    if user is None:
        return _ask_to_log_in(request)
    with context.database.read() as db:
        try:
            sweep = api.require_sweep(db, entity, project, name)
        except NotFoundError as error:
            return _show_missing(user, str(error))
        described = _describe_sweep(db, sweep)
        listed = [
            api.describe_run(db, run) for run in runs.list_sweep_runs(db, sweep["id"])[:_MAX_RUNS]
        ]
    metric = described["metric"]
    return render(
        "sweep.html",
        user=user,
        entity=entity,
        project=project,
        sweep=described,
        runs=listed,
        searched=_list_varied(listed),
        metric=metric,
        has_best=any(f"best/{metric}" in run["summary"] for run in listed),
        live=sweep["state"] in ("PENDING", "RUNNING"),
    )


def _list_varied(listed: list[dict[str, Any]]) -> list[str]:
    """Return the parameters whose value differs between runs; all where there is one run."""
    names = sorted({key for run in listed for key in run["args"]})
    values = {name: {json.dumps(run["args"].get(name)) for run in listed} for name in names}
    return [name for name in names if len(values[name]) > 1] or names


@router.get("/{entity}/{project}/runs/{name}")
@router.get("/{entity}/{project}/runs/{name}/{tab}")
def get_run(
    entity: str, project: str, name: str, request: Request, tab: str = "overview"
) -> Response:
    """Show a run: what it was given, what it logged, why it ended."""
    context, user = get_context(request), _find_user(request)
    if user is None:
        return _ask_to_log_in(request)
    with context.database.read() as db:
        found = projects.find_project(db, entity, project)
        run = runs.find_run(db, found["id"], name) if found else None
        if run is None:
            return _show_missing(user, f"There is no run {entity}/{project}/{name} here.")
        values = _collect_run(db, context, run)
    return render("run.html", user=user, entity=entity, project=project, **values)


def _collect_run(db: Connection, context: Context, run: Row) -> dict[str, Any]:
    saved = files.list_files(db, run["id"])
    first = max(0, run["output_lines"] - _OUTPUT_LINES)
    output = history.read_output(db, run["id"], first, _OUTPUT_LINES)
    owner = users.get_user(db, run["user_id"]) if run["user_id"] else None
    duration_s = (run["finished_at"] or time.time()) - (run["started_at"] or time.time())
    return {
        "run": run,
        "described": api.describe_run(db, run),
        "owner": owner["name"] if owner else "–",
        "tags": json.loads(run["tags"]),
        "duration_s": round(duration_s),
        "charts": build_charts(history.read_sample(db, run["id"], "history", 400)),
        "images": [row for row in saved if row["mimetype"] in _IMAGES][-60:],
        "files": saved,
        "output": [parse_console_line(row) for row in output],
        "logged": [_describe_artifact(db, row) for row in artifacts.list_logged(db, run["id"])],
        "used": [_describe_artifact(db, row) for row in artifacts.list_used(db, run["id"])],
        "live": run["state"] in runs.OPEN,
    }


def _describe_artifact(db: Connection, artifact: Row) -> dict[str, Any]:
    collection = collections.get_collection(db, artifact["collection_id"])
    place = collections.find_membership(db, collection["id"], artifact["id"])
    return {
        "name": f"{collection['name']}:v{place['version_index'] if place else '?'}",
        "type": collection["type_name"],
        "aliases": [
            row["alias"] for row in collections.list_aliases(db, artifact_id=artifact["id"])
        ],
        "size": artifact["size"],
        "files": artifact["file_count"],
    }


def _describe_sweep(db: Connection, sweep: Row) -> dict[str, Any]:
    config, _ = search.read_config(sweep["config"])
    counts = runs.count_states(db, sweep["id"])
    return {
        **sweep,
        "counts": counts,
        "n_runs": sum(counts.values()),
        "metric": config.get("metric", {}).get("name"),
        "goal": config.get("metric", {}).get("goal", "minimize"),
    }


def _find_user(request: Request) -> Row | None:
    return get_context(request).auth.find_page_user(request)


def _ask_to_log_in(request: Request) -> Response:
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)


def _show_missing(user: Row, message: str) -> Response:
    return render("missing.html", 404, user=user, message=message)


def _safe_path(target: str) -> str:
    """Return a path on this server, never an address elsewhere."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_local else "/"
