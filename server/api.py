"""Our own small JSON interface, for `bpsweep run` and `bpsweep retry`."""

import json
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from bpsweep.server import leases, replay
from bpsweep.server.context import Context, get_context
from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.jsontext import make_strict
from bpsweep.server.limits import parse_object, read_body
from bpsweep.server.store import Connection, Row, projects, runs, sweeps, trials

router = APIRouter(prefix="/api")


@router.get("/sweeps/{entity}/{project}/{sweep}")
def get_sweep(entity: str, project: str, sweep: str, request: Request) -> dict[str, Any]:
    """Return a sweep's progress: its state, counts and runs."""
    context = get_context(request)
    context.auth.require_user(request)
    with context.database.read() as db:
        found = require_sweep(db, entity, project, sweep)
        return describe_sweep(db, found)


@router.post("/sweeps/{entity}/{project}/{sweep}/retry")
async def retry_sweep(entity: str, project: str, sweep: str, request: Request) -> dict[str, Any]:
    """Hand out again what ended without finishing."""
    context = get_context(request)
    context.auth.require_user(request)
    body = await read_body(request, context.settings.max_body_bytes)
    options = parse_object(body) if body.strip() else {}
    if set(options) - {"abandoned", "only_interrupted"} or not all(
        isinstance(value, bool) for value in options.values()
    ):
        raise BadRequestError(
            f'the body may hold "abandoned" and "only_interrupted", true or false, got {options!r}'
        )

    def work() -> dict[str, Any]:
        _expire(context)
        with context.database.write() as db:
            found = require_sweep(db, entity, project, sweep)
            retried = leases.retry_sweep(db, found, **options)
            return {"retried": retried, "state": sweeps.get_sweep(db, found["id"])["state"]}

    return await run_in_threadpool(work)


@router.get("/sweeps/{entity}/{project}/{sweep}/replay")
def replay_sweep(entity: str, project: str, sweep: str, request: Request) -> dict[str, Any]:
    """Compute the search's decisions again from the record and say where they differ."""
    context = get_context(request)
    context.auth.require_user(request)
    with context.database.read() as db:
        found = require_sweep(db, entity, project, sweep)
        strict: dict[str, Any] = make_strict(replay.replay_sweep(db, found))
        return strict


def require_sweep(db: Connection, entity: str, project: str, sweep: str) -> Row:
    """Return a sweep by its path.

    Raises:
        NotFoundError: There is none.
    """
    found_project = projects.require_project(db, entity, project)
    found = sweeps.find_sweep(db, found_project["id"], sweep)
    if found is None:
        raise NotFoundError(f"sweep {entity}/{project}/{sweep} does not exist")
    return found


def describe_sweep(db: Connection, sweep: Row) -> dict[str, Any]:
    """Return a sweep's progress as plain JSON."""
    return {
        "name": sweep["name"],
        "display_name": sweep["display_name"],
        "state": sweep["state"],
        "state_reason": sweep["state_reason"],
        "method": sweep["method"],
        "seed": sweep["seed"],
        "expected": sweep["run_count_expected"],
        "configurations": trials.count_configurations(db, sweep["id"]),
        "counts": runs.count_states(db, sweep["id"]),
        "runs": [describe_run(db, run) for run in runs.list_sweep_runs(db, sweep["id"])],
    }


def describe_run(db: Connection, run: Row) -> dict[str, Any]:
    """Return a run as plain JSON."""
    trial = trials.find_trial(db, run["id"])
    config = {
        key: entry.get("value") if isinstance(entry, dict) else entry
        for key, entry in runs.read_config(run).items()
        if key != "_wandb"
    }
    summary = json.loads(run["summary_metrics"])
    described: dict[str, Any] = {
        "name": run["name"],
        "display_name": run["display_name"],
        "state": run["state"],
        "state_reason": run["state_reason"],
        "stop_reason": run["stop_reason"],
        "retry_of": find_retried(db, run),
        "attempt": trial["attempt"] if trial else 1,
        "reason": trial["reason"] if trial else None,
        "queued": bool(trial and trial["queued"]),
        "config": config,
        "args": {k: v.get("value") for k, v in trials.read_args(trial).items()} if trial else {},
        "summary": {key: value for key, value in summary.items() if key != "_wandb"},
        "step": run["last_step"],
        "epoch": summary.get("epoch"),
        "tags": json.loads(run["tags"]),
        "started_at": run["started_at"],
        "heartbeat_at": run["heartbeat_at"],
        "finished_at": run["finished_at"],
    }
    strict: dict[str, Any] = make_strict(described)
    return strict


def find_retried(db: Connection, run: Row) -> str | None:
    """Return the name of the run whose configuration this run tries again, if it still exists."""
    trial = trials.find_trial(db, run["id"])
    older = trials.find_trial_by_id(db, trial["retry_of"]) if trial else None
    if older is None or older["run_id"] is None:
        return None
    return str(runs.get_run(db, older["run_id"])["name"])


def _expire(context: Context) -> None:
    silent_since = time.time() - context.settings.lease_seconds
    if context.started_at < silent_since:
        with context.database.write() as db:
            leases.expire_leases(db, silent_since)
