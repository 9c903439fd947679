"""Artifacts: used, changed, aliased, linked, deleted."""

from typing import Any

from ariadne import MutationType

from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.graphql.common import Info, get_operation
from bpsweep.server.ids import decode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, artifacts, projects, runs
from bpsweep.server.store import collections as store
from bpsweep.server.uploads import check_name

mutation = MutationType()


@mutation.field("useArtifact")
def use_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        artifact = artifacts.get_artifact(db, number)
        project = projects.require_project(db, input["entity_name"], input["project_name"])
        run = runs.find_run(db, project["id"], input["run_name"])
        if run is None:
            raise NotFoundError(f"run {input['run_name']!r} does not exist")
        artifacts.record_use(db, run["id"], number, input.get("used_as"))
    return {"artifact": artifact}


@mutation.field("updateArtifact")
def update_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        artifact = artifacts.get_artifact(db, number)
        add = [tag["tag_name"] for tag in input.get("tags_to_add") or []]
        remove = [tag["tag_name"] for tag in input.get("tags_to_delete") or []]
        changed: dict[str, Any] = {"tags": store.change_tags(artifact["tags"], add, remove)}
        for name in ("description", "metadata"):
            if input.get(name) is not None:
                changed[name] = input[name]
        parse_json(input.get("metadata"), "metadata", dict)
        if input.get("ttl_duration_seconds") is not None:
            changed["ttl_seconds"] = input["ttl_duration_seconds"]
        artifacts.save_artifact(db, number, **changed)
        if input.get("aliases") is not None:
            _replace_aliases(db, artifact, [alias["alias"] for alias in input["aliases"]])
        return {"artifact": artifacts.get_artifact(db, number)}


def _replace_aliases(db: Connection, artifact: Row, wanted: list[str]) -> None:
    collection_id = artifact["collection_id"]
    for row in store.list_aliases(db, artifact_id=artifact["id"], collection_id=collection_id):
        if row["alias"] not in wanted:
            store.drop_alias(db, collection_id, row["alias"], artifact["id"])
    for alias in wanted:
        store.set_alias(db, collection_id, alias, artifact["id"])


@mutation.field("deleteArtifact")
def delete_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        artifact = artifacts.get_artifact(db, number)
        named = {row["alias"] for row in store.list_aliases(db, artifact_id=number)}
        if named - {"latest"} and not input.get("delete_aliases"):
            raise BadRequestError(
                f"the artifact has the aliases {sorted(named)}: delete them too, or remove them"
            )
        artifacts.delete_artifact(db, artifact)
        return {"artifact": artifacts.get_artifact(db, number)}


@mutation.field("addAliases")
def add_aliases(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        for alias in input["aliases"]:
            collection = require_collection(db, alias)
            store.set_alias(db, collection["id"], alias["alias"], number)
    return {"success": True}


@mutation.field("deleteAliases")
def delete_aliases(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        for alias in input["aliases"]:
            collection = require_collection(db, alias)
            store.drop_alias(db, collection["id"], alias["alias"], number)
    return {"success": True}


@mutation.field("linkArtifact")
def link_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    with get_operation(info).server.database.write() as db:
        artifact = _find_linked(db, input)
        source = store.get_collection(db, artifact["collection_id"])
        project = projects.ensure_project(
            db, input.get("entity_name") or "", input.get("project_name") or ""
        )
        portfolio = store.ensure_collection(
            db,
            project["id"],
            store.PORTFOLIO,
            check_name(input.get("artifact_portfolio_name") or ""),
            source["type_name"],
            None,
        )
        version = store.add_member(db, portfolio["id"], artifact["id"])
        wanted = [alias["alias"] for alias in input.get("aliases") or []]
        for alias in dict.fromkeys(["latest", *wanted]):
            store.set_alias(db, portfolio["id"], alias, artifact["id"])
        membership = store.find_membership(db, portfolio["id"], artifact["id"])
    return {"version_index": version, "artifact_membership": membership}


def _find_linked(db: Connection, values: dict[str, Any]) -> Row:
    if values.get("artifact_id"):
        return artifacts.get_artifact(db, decode_id("Artifact", values["artifact_id"]))
    found = artifacts.find_by_client(db, values.get("client_id") or "")
    if found is None:
        raise NotFoundError("the artifact to link does not exist")
    return found


@mutation.field("unlinkArtifact")
def unlink_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    portfolio = decode_id("ArtifactPortfolio", input["artifact_portfolio_id"])
    number = decode_id("Artifact", input["artifact_id"])
    with get_operation(info).server.database.write() as db:
        store.remove_member(db, portfolio, number)
    return {"success": True}


def require_collection(db: Connection, values: dict[str, Any]) -> Row:
    """Return the collection that an input names.

    Raises:
        NotFoundError: There is none.
    """
    project = projects.require_project(db, values["entity_name"], values["project_name"])
    found = store.find_collection(db, project["id"], values["artifact_collection_name"])
    if found is None:
        raise NotFoundError(f"collection {values['artifact_collection_name']!r} does not exist")
    return found


TYPES = (mutation,)
