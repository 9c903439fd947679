"""Projects and their listings."""

from typing import Any

from ariadne import MutationType, ObjectType, QueryType

from bpsweep.server.errors import BadRequestError
from bpsweep.server.graphql.common import (
    Info,
    build_list_page,
    build_page,
    find_project,
    get_operation,
    pick_id,
    read_path,
    read_window,
)
from bpsweep.server.graphql.viewer import build_entity
from bpsweep.server.ids import format_time
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Row, projects, runs, sweeps

query = QueryType()
mutation = MutationType()
project_type = ObjectType("Project")


@query.field("project")
@query.field("model")
def resolve_project(
    _: None, info: Info, name: str | None = None, entity_name: str | None = None
) -> Row | None:
    return find_project(info, entity_name, name)


@query.field("projects")
@query.field("models")
def resolve_projects(
    _: None,
    info: Info,
    entity_name: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Row:
    entity, _name = read_path(info, entity_name, None)
    return build_list_page(projects.list_projects(get_operation(info).db, entity), first, after)


@mutation.field("upsertModel")
def upsert_model(_: None, info: Info, input: dict[str, Any]) -> Row:
    entity, name = read_path(info, input.get("entity_name"), input.get("name"))
    with get_operation(info).server.database.write() as db:
        inserted = projects.find_project(db, entity, name) is None
        project = projects.ensure_project(db, entity, name)
        if input.get("description") is not None:
            projects.save_description(db, project["id"], input["description"])
            project = projects.get_project(db, project["id"])
    return {"project": project, "model": project, "inserted": inserted}


project_type.set_field("id", pick_id("Project"))


project_type.set_field("internalId", pick_id("ProjectInternalId"))


@project_type.field("entityName")
def resolve_entity_name(project: Row, _: Info) -> str:
    return str(project["entity"])


@project_type.field("entity")
def resolve_entity(project: Row, _: Info) -> Row:
    return build_entity(project["entity"])


@project_type.field("createdAt")
@project_type.field("updatedAt")
def resolve_created_at(project: Row, _: Info) -> str | None:
    return format_time(project["created_at"])


@project_type.field("access")
def resolve_access(_: Row, __: Info) -> str:
    return "PRIVATE"


@project_type.field("isBenchmark")
@project_type.field("readOnly")
def resolve_false(_: Row, __: Info) -> bool:
    return False


@project_type.field("user")
def resolve_user(_: Row, info: Info) -> Row:
    return get_operation(info).user


@project_type.field("run")
@project_type.field("bucket")
def resolve_run(project: Row, info: Info, name: str, **_: Any) -> Row | None:
    return runs.find_run(get_operation(info).db, project["id"], name)


@project_type.field("runs")
def resolve_runs(
    project: Row,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
    **unused: Any,
) -> Row:
    if unused.get("before") or unused.get("last"):
        raise BadRequestError("runs are listed forward: use 'first' and 'after'")
    mongo = parse_json(filters, "filters", dict)
    return list_runs_page(project["id"], info, mongo, order=order, first=first, after=after)


def list_runs_page(
    project_id: int,
    info: Info,
    filters: dict[str, Any],
    *,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Row:
    """Return one page of a project's runs as a connection."""
    offset, length = read_window(first, after)
    found = runs.list_runs(
        get_operation(info).db,
        project_id,
        filters=filters,
        order=order,
        offset=offset,
        limit=length + 1,
    )
    return build_page(found, offset, length)


@project_type.field("runCount")
def resolve_run_count(project: Row, info: Info, filters: str | None = None) -> int:
    mongo = parse_json(filters, "filters", dict)
    return runs.count_runs(get_operation(info).db, project["id"], mongo)


@project_type.field("sweep")
def resolve_sweep(project: Row, info: Info, sweep_name: str) -> Row | None:
    return sweeps.find_sweep(get_operation(info).db, project["id"], sweep_name)


@project_type.field("sweeps")
def resolve_sweeps(
    project: Row,
    info: Info,
    after: str | None = None,
    first: int | None = None,
    filters: str | None = None,
) -> Row:
    if parse_json(filters, "filters", dict):
        raise BadRequestError("this server does not filter sweeps; list them and choose")
    found = sweeps.list_sweeps(get_operation(info).db, project["id"])
    return build_list_page(found, first, after)


@project_type.field("totalSweeps")
def resolve_total_sweeps(project: Row, info: Info) -> int:
    return len(sweeps.list_sweeps(get_operation(info).db, project["id"]))


TYPES = (query, mutation, project_type)
