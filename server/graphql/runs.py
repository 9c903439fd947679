"""Runs: created and changed by their programs and by `wandb.Api()`."""

import json
from typing import Any

from ariadne import MutationType

from bpsweep.server import leases, sweepfile
from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.graphql.common import Info, get_operation, read_path
from bpsweep.server.ids import decode_id, make_name
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, artifacts, history, projects, runs, sweeps
from bpsweep.server.store.collections import change_tags

mutation = MutationType()

# Input field -> column, for what a client may simply set.
_SETTABLE = {
    "group_name": "group_name",
    "description": "description",
    "display_name": "display_name",
    "notes": "notes",
    "commit": "commit_hash",
    "host": "host",
    "job_program": "program",
    "job_repo": "repo",
    "job_type": "job_type",
}
MAX_NAME = 128


@mutation.field("upsertBucket")
def upsert_bucket(_: None, info: Info, input: dict[str, Any]) -> Row:
    operation = get_operation(info)
    with operation.server.database.write() as db:
        run = _find_bucket(db, info, input)
        inserted = run is None
        if run is None:
            run = _create_bucket(db, info, input)
        elif not input.get("id"):
            _continue_run(db, run, input)
        if run["user_id"] is None:  # an agent was given it; now its program has come, with a key
            runs.save_run(db, run["id"], user_id=operation.user["id"])
        _save_values(db, run, input)
        run = runs.get_run(db, run["id"])
    return {"bucket": run, "inserted": inserted, "server_settings": {"server_messages": []}}


def _find_bucket(db: Connection, info: Info, values: dict[str, Any]) -> Row | None:
    if values.get("id"):
        return runs.get_run(db, decode_id("Run", values["id"]))
    names = read_path(info, values.get("entity_name"), values.get("model_name"))
    project = projects.ensure_project(db, *names)
    return runs.find_run(db, project["id"], values["name"]) if values.get("name") else None


def _create_bucket(db: Connection, info: Info, values: dict[str, Any]) -> Row:
    names = read_path(info, values.get("entity_name"), values.get("model_name"))
    project = projects.ensure_project(db, *names)
    name = values.get("name") or make_name()
    if len(name) > MAX_NAME or set(name) & set("/\\#?%:") or not name.strip():
        raise BadRequestError(
            f"{name[:MAX_NAME]!r} cannot be a run id: no / \\ # ? % :, at most 128"
        )
    sweep = sweeps.find_sweep(db, project["id"], values["sweep"]) if values.get("sweep") else None
    run = runs.create_run(
        db,
        project["id"],
        name,
        sweep_id=sweep["id"] if sweep else None,
        user_id=get_operation(info).user["id"],
        display_name=values.get("display_name"),
        state="pending" if values.get("state") == "pending" else "running",
    )
    _fork_run(db, run, values)
    if run["state"] == "running":
        leases.start_run(db, run)
    return run


def _fork_run(db: Connection, run: Row, values: dict[str, Any]) -> None:
    """Begin a run where its config says that it branches off (`wandb.init(fork_from=...)`)."""
    config = parse_json(values.get("config"), "config", dict)
    entry = config.get("_wandb")
    inner = entry.get("value") if isinstance(entry, dict) else None
    point = inner.get("branch_point") if isinstance(inner, dict) else None
    if not isinstance(point, dict) or point.get("run_id") == run["name"]:
        return
    name, step = point.get("run_id"), point.get("step")
    parent = runs.find_run(db, run["project_id"], name) if isinstance(name, str) else None
    if parent is None:
        raise NotFoundError(f"run {name!r}, to be forked, does not exist in this project")
    history.fork_history(db, run["id"], parent, require_step(parent, step))


def require_step(run: Row, step: Any) -> int:
    """Return a step at which a run can be rewound or forked.

    Raises:
        BadRequestError: It has not logged so far.
    """
    if (
        isinstance(step, bool)
        or not isinstance(step, int | float)
        or not 0 <= step <= run["last_step"]
    ):
        raise BadRequestError(
            f"run {run['name']} can be taken up at a step from 0 to {run['last_step']}, its last;"
            f" got {step!r}"
        )
    return int(step)


def _continue_run(db: Connection, run: Row, values: dict[str, Any]) -> None:
    """Take a word from a run's program that names the run without having its id."""
    if run["state"] == "crashed" and not leases.take_back(db, run):
        raise BadRequestError(
            f"run {run['name']} has crashed and another run has taken over its configuration"
        )
    if values.get("host") is None or run["state"] in ("running", "preempting"):
        leases.note_life(db, run)
        return
    if run["started_at"] is not None:
        # Either a program begins anew under this name (one that resumes knows the run's id), or an
        # old client says a last word about a run that has ended. The file stream will tell.
        runs.save_run(db, run["id"], restarting=1)
    if run["state"] in ("pending", "preempted", "crashed"):
        leases.start_run(db, run)


def _save_values(db: Connection, run: Row, values: dict[str, Any]) -> None:
    changed = {
        column: values[field]
        for field, column in _SETTABLE.items()
        if values.get(field) is not None
    }
    if values.get("tags") is not None:
        changed["tags"] = json.dumps(list(dict.fromkeys(values["tags"])))
    if values.get("config") is not None:
        parse_json(values["config"], "config", dict)
        changed["config"] = values["config"]
    if values.get("summary_metrics") is not None:
        parse_json(values["summary_metrics"], "summaryMetrics", dict)
        changed["summary_metrics"] = values["summary_metrics"]
    is_at_work = run["state"] in ("running", "preempting")
    if values.get("id") and values.get("host") is not None and not is_at_work:
        leases.start_run(db, run)  # a program that resumes this run
    if changed:
        runs.save_run(db, run["id"], **changed)


@mutation.field("deleteRun")
def delete_run(_: None, info: Info, input: dict[str, Any]) -> Row:
    return _delete_runs(info, [input["id"]], input)


@mutation.field("deleteRuns")
def delete_runs(_: None, info: Info, input: dict[str, Any]) -> Row:
    return _delete_runs(info, input["ids"], input)


def _delete_runs(info: Info, ids: list[str], values: dict[str, Any]) -> Row:
    server = get_operation(info).server
    numbers = [decode_id("Run", graphql_id) for graphql_id in ids]
    with server.database.write() as db:
        for number in numbers:
            run = runs.find_run_by_id(db, number)
            if run is None:
                continue  # asked again, after an answer that was lost: gone is what was wanted
            if values.get("delete_artifacts"):
                _delete_artifacts(db, number)
            runs.delete_run(db, number)
            leases.finish_if_done(db, run["sweep_id"])
    for number in numbers:
        server.uploads.delete_run(number)
    return {"client_mutation_id": values.get("client_mutation_id"), "success": True}


def _delete_artifacts(db: Connection, run_id: int) -> None:
    for artifact in artifacts.list_made(db, run_id):
        artifacts.delete_artifact(db, artifact)


@mutation.field("stopRun")
def stop_run(_: None, info: Info, input: dict[str, Any]) -> Row:
    with get_operation(info).server.database.write() as db:
        run = runs.get_run(db, decode_id("Run", input["id"]))
        reason = _explain_stop(db, run)
        if leases.withdraw_run(db, run, reason):
            leases.finish_if_done(db, run["sweep_id"])
        else:
            leases.request_stop(db, run, reason)
    return {"success": True}


def _explain_stop(db: Connection, run: Row) -> str:
    """Return who asks for the end of a run; the client asks alike for a user and a scheduler."""
    sweep = sweeps.get_sweep(db, run["sweep_id"]) if run["sweep_id"] else None
    config = sweepfile.read_config(sweep["config"]) if sweep else {}
    if sweepfile.is_scheduled(config):
        return f"pruned by the scheduler ({config['scheduler']['engine']}), or stopped by hand"
    return "stopped by the user"


@mutation.field("updateRunState")
def update_run_state(_: None, info: Info, input: dict[str, Any]) -> Row:
    allowed = {
        "pending": ("running", "failed", "crashed", "preempted"),
        "failed": ("pending", "running"),
    }
    with get_operation(info).server.database.write() as db:
        run = runs.get_run(db, decode_id("Run", input["id"]))
        if run["sweep_id"] is not None:
            raise BadRequestError("the state of a run in a sweep is the sweep's to change")
        if run["state"] not in allowed.get(input["state"], ()):
            raise BadRequestError(f"a {run['state']} run cannot become {input['state']!r}")
        if input["state"] == "failed":
            runs.end_run(db, run["id"], "failed", "marked failed by the user")
        else:
            runs.save_run(db, run["id"], state="pending", state_reason=None, finished_at=None)
    return {"success": True}


@mutation.field("modifyRuns")
def modify_runs(_: None, info: Info, input: dict[str, Any]) -> Row:
    names = read_path(info, input.get("entity_name"), input.get("project_name"))
    filters = parse_json(input.get("filters"), "filters", dict)
    with get_operation(info).server.database.write() as db:
        project = projects.require_project(db, *names)
        found = runs.list_runs(db, project["id"], filters=filters)
        for run in found:
            tags = change_tags(
                run["tags"], input.get("add_tags") or [], input.get("remove_tags") or []
            )
            runs.save_run(db, run["id"], tags=tags)
    return {"runs_count": len(found)}


@mutation.field("rewindRun")
def rewind_run(_: None, info: Info, input: dict[str, Any]) -> Row:
    if input["metric_name"] != "_step":
        raise BadRequestError(f"a run is rewound by '_step', got {input['metric_name']!r}")
    names = read_path(info, input.get("entity_name"), input.get("project_name"))
    with get_operation(info).server.database.write() as db:
        project = projects.require_project(db, *names)
        run = runs.find_run(db, project["id"], input["run_name"])
        if run is None:
            raise NotFoundError(f"run {'/'.join(names)}/{input['run_name']} does not exist")
        history.rewind_history(db, run["id"], require_step(run, input["metric_value"]))
        tail = history.read_tail(db, run["id"], "history")
        runs.save_run(db, run["id"], summary_metrics=tail[0] if tail else "{}")
        return {"rewound_run": runs.get_run(db, run["id"])}


@mutation.field("notifyScriptableRunAlert")
def take_alert(_: None, __: Info, input: dict[str, Any]) -> Row:
    """Alerts have nobody to go to here; the run goes on."""
    return {"success": True}


TYPES = (mutation,)
