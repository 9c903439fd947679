"""Sweeps and agents: created, changed, read; the agents' heartbeats."""

import json
import secrets
import time
from typing import Any

from ariadne import MutationType, ObjectType

from bpsweep.server import leases, scheduler, search, sweepfile
from bpsweep.server.errors import BadRequestError, ConflictError, NotFoundError
from bpsweep.server.graphql.common import (
    Info,
    as_page,
    get_operation,
    pick_id,
    pick_time,
    read_path,
)
from bpsweep.server.graphql.projects import list_runs_page
from bpsweep.server.ids import decode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, agents, history, projects, runs, sweeps, trials

mutation = MutationType()
sweep_type = ObjectType("Sweep")
agent_type = ObjectType("Agent")

STATES = ("PENDING", "RUNNING", "PAUSED", "FINISHED", "CANCELED")
_STOPPED = {"FINISHED": "the sweep was stopped", "CANCELED": "the sweep was canceled"}


@mutation.field("upsertSweep")
def upsert_sweep(_: None, info: Info, input: dict[str, Any]) -> Row:
    warnings: list[str] = []
    with get_operation(info).server.database.write() as db:
        if input.get("id"):
            sweep = _require_sweep(db, input["id"])
            if input.get("config"):
                warnings = _update_config(db, sweep, input)
        else:
            sweep, warnings = _create_sweep(db, info, input)
        if input.get("id") and input.get("state"):
            _change_state(db, sweeps.get_sweep(db, sweep["id"]), input["state"].upper())
        sweep = sweeps.get_sweep(db, sweep["id"])
    return {
        "sweep": sweep,
        "config_validation_warnings": warnings,
        "inserted": not input.get("id"),
    }


def _create_sweep(db: Connection, info: Info, values: dict[str, Any]) -> tuple[Row, list[str]]:
    config, warnings = sweepfile.check_config(values.get("config") or "")
    names = read_path(
        info,
        values.get("entity_name") or config.get("entity"),
        values.get("project_name") or config.get("project"),
    )
    project = projects.ensure_project(db, *names)
    sweep = sweeps.create_sweep(
        db,
        project["id"],
        display_name=values.get("display_name") or config.get("name"),
        description=values.get("description") or config.get("description"),
        config=values["config"],
        method=config["method"],
        controller=values.get("controller"),
        scheduler=values.get("scheduler"),
        seed=config.get("seed", secrets.randbelow(2**31)),
        run_count_expected=search.count_expected(config),
    )
    filters = parse_json(values.get("prior_runs_filters"), "priorRunsFilters", dict)
    if filters:
        prior = runs.list_runs(db, project["id"], filters=filters)
        sweeps.set_prior_runs(db, sweep["id"], [run["id"] for run in prior])
        expected = search.count_expected(config, scheduler.list_prior_keys(db, sweep, config))
        sweeps.save_sweep(db, sweep["id"], run_count_expected=expected)
    return sweep, warnings


def _update_config(db: Connection, sweep: Row, values: dict[str, Any]) -> list[str]:
    config, warnings = sweepfile.check_config(values["config"])
    before = sweepfile.read_config(sweep["config"])
    changed = {
        "display_name": values.get("display_name") or config.get("name"),
        "description": values.get("description") or config.get("description"),
    }
    begun = sweep["state"] != "PENDING" or trials.count_configurations(db, sweep["id"])
    if begun and _leave_out(config) != _leave_out(before):
        raise ConflictError(
            f"sweep {sweep['name']} has begun ({sweep['state']}): only its name, description and"
            " run_cap can still be changed; create a new sweep for another search"
        )
    if config != before:
        changed |= {
            "config": values["config"],
            "method": config["method"],
            "run_count_expected": search.count_expected(config),
        }
    sweeps.save_sweep(db, sweep["id"], **changed)
    if config.get("run_cap") != before.get("run_cap"):
        leases.reopen_sweep(db, sweep["id"])
    return warnings


def _leave_out(config: dict[str, Any]) -> dict[str, Any]:
    """Return what of a config decides which configurations a sweep tries."""
    free = ("name", "description", "run_cap")
    return {key: value for key, value in config.items() if key not in free}


def _change_state(db: Connection, sweep: Row, state: str) -> None:
    if state not in STATES:
        raise BadRequestError(f"a sweep's state is one of {', '.join(STATES)}, got {state!r}")
    if state == sweep["state"]:
        return
    sweeps.save_sweep(db, sweep["id"], state=state, state_reason=_STOPPED.get(state))
    for run in runs.list_sweep_runs(db, sweep["id"]) if state in _STOPPED else []:
        if not leases.withdraw_run(db, run, _STOPPED[state]) and state == "CANCELED":
            leases.request_stop(db, run, _STOPPED[state])
    if state == "RUNNING":
        leases.free_deleted(db, sweep)
        leases.finish_if_done(db, sweep["id"])


@mutation.field("deleteSweep")
def delete_sweep(_: None, info: Info, input: dict[str, Any]) -> Row:
    with get_operation(info).server.database.write() as db:
        sweeps.delete_sweep(db, _require_sweep(db, input["id"])["id"])
    return {"success": True}


@mutation.field("createAgent")
def create_agent(_: None, info: Info, input: dict[str, Any]) -> Row:
    names = read_path(info, input.get("entity_name"), input.get("project_name"))
    with get_operation(info).server.database.write() as db:
        project = projects.require_project(db, *names)
        sweep = sweeps.find_sweep(db, project["id"], input["sweep"])
        if sweep is None:
            raise NotFoundError(f"sweep {'/'.join(names)}/{input['sweep']} does not exist")
        sweeps.save_sweep(db, sweep["id"], heartbeat_at=time.time())
        return {"agent": agents.create_agent(db, sweep["id"], input["host"])}


@mutation.field("agentHeartbeat")
def answer_heartbeat(_: None, info: Info, input: dict[str, Any]) -> Row:
    operation = get_operation(info)
    run_states = parse_json(input.get("run_state"), "runState", dict)
    number = decode_id("Agent", input["id"])
    commands = operation.server.scheduler.answer_heartbeat(number, run_states)
    return {"agent": agents.find_agent(operation.db, number), "commands": json.dumps(commands)}


def _require_sweep(db: Connection, graphql_id: str) -> Row:
    return sweeps.get_sweep(db, decode_id("Sweep", graphql_id))


for _type in (sweep_type, agent_type):
    _type.set_field("createdAt", pick_time("created_at"))
    _type.set_field("heartbeatAt", pick_time("heartbeat_at"))
sweep_type.set_field("updatedAt", pick_time("updated_at"))


sweep_type.set_field("id", pick_id("Sweep"))


@sweep_type.field("earlyStopJobRunning")
def resolve_early_stop(_: Row, __: Info) -> bool:
    return False


@sweep_type.field("runCount")
def resolve_run_count(sweep: Row, info: Info) -> int:
    return sweeps.count_sweep_runs(get_operation(info).db, sweep["id"])


@sweep_type.field("bestLoss")
def resolve_best_loss(sweep: Row, info: Info) -> float | None:
    metric = sweepfile.read_config(sweep["config"]).get("metric")
    if metric is None:
        return None
    found = [
        history.read_result(json.loads(run["summary_metrics"]), metric)
        for run in runs.list_sweep_runs(get_operation(info).db, sweep["id"])
    ]
    values = [value for value in found if value is not None]
    best = max if metric.get("goal") == "maximize" else min
    return best(values) if values else None


@sweep_type.field("project")
def resolve_project(sweep: Row, info: Info) -> Row:
    return projects.get_project(get_operation(info).db, sweep["project_id"])


@sweep_type.field("runs")
def resolve_runs(
    sweep: Row,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
    **_: Any,
) -> Row:
    mongo = {"$and": [{"sweep": sweep["name"]}, parse_json(filters, "filters", dict)]}
    return list_runs_page(sweep["project_id"], info, mongo, order=order, first=first, after=after)


@sweep_type.field("priorRuns")
@as_page
def list_prior_runs(sweep: Row, info: Info) -> list[Row]:
    db = get_operation(info).db
    return [runs.get_run(db, number) for number in sweeps.list_prior_run_ids(db, sweep["id"])]


@sweep_type.field("agent")
def resolve_agent(sweep: Row, info: Info, agent_name: str) -> Row | None:
    return agents.find_named_agent(get_operation(info).db, sweep["id"], agent_name)


@sweep_type.field("agents")
@as_page
def list_agents(sweep: Row, info: Info) -> list[Row]:
    return agents.list_agents(get_operation(info).db, sweep["id"])


agent_type.set_field("id", pick_id("Agent"))


@agent_type.field("state")
def resolve_agent_state(agent: Row, info: Info) -> str:
    lease_s = get_operation(info).server.settings.lease_seconds
    return "RUNNING" if time.time() - agent["heartbeat_at"] < lease_s else "KILLED"


@agent_type.field("runs")
@as_page
def list_agent_runs(agent: Row, info: Info) -> list[Row]:
    return runs.list_agent_runs(get_operation(info).db, agent["id"])


TYPES = (mutation, sweep_type, agent_type)
