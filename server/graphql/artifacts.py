"""Artifacts: created, filled, committed, used, aliased, linked, deleted."""

import json
from typing import Any

from ariadne import MutationType

from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.graphql.common import Info, get_operation
from bpsweep.server.ids import decode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, artifacts, projects, runs
from bpsweep.server.store import collections as store
from bpsweep.server.uploads import Uploads, check_name, digest_to_hex

mutation = MutationType()


@mutation.field("createArtifactType")
def create_type(_: None, info: Info, input: dict[str, Any]) -> Row:
    with get_operation(info).server.database.write() as db:
        project = projects.ensure_project(db, input["entity_name"], input["project_name"])
        return {"artifact_type": store.ensure_type(db, project["id"], input["name"])}


@mutation.field("createArtifact")
def create_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    with get_operation(info).server.database.write() as db:
        return {"artifact": _create_artifact(db, input)}


def _create_artifact(db: Connection, values: dict[str, Any]) -> Row:
    if values.get("client_id"):
        known = artifacts.find_by_client(db, values["client_id"])
        if known is not None:
            return known
    names = values.get("artifact_collection_names") or [values.get("artifact_collection_name")]
    name = check_name(str(names[0] or ""))
    project = projects.ensure_project(db, values["entity_name"], values["project_name"])
    collection = store.ensure_collection(
        db,
        project["id"],
        store.SEQUENCE,
        name,
        values["artifact_type_name"],
        values.get("sequence_client_id"),
    )
    aliases = [alias["alias"] for alias in values.get("aliases") or []]
    if values.get("enable_digest_deduplication", True):
        same = artifacts.find_by_digest(db, collection["id"], values["digest"])
        if same is not None:
            for alias in aliases:
                store.set_alias(db, collection["id"], alias, same["id"])
            return same
    run = runs.find_run(db, project["id"], values["run_name"]) if values.get("run_name") else None
    parse_json(values.get("metadata"), "metadata", dict)
    return artifacts.create_artifact(
        db,
        collection["id"],
        run_id=run["id"] if run else None,
        digest=values["digest"],
        digest_algorithm=values.get("digest_algorithm") or "MANIFEST_MD5",
        client_id=values.get("client_id") or None,
        distributed_id=values.get("distributed_id"),
        description=values.get("description"),
        metadata=values.get("metadata"),
        tags=json.dumps([tag["tag_name"] for tag in values.get("tags") or []]),
        wanted_aliases=json.dumps(aliases),
        history_step=values.get("history_step"),
        ttl_seconds=values.get("ttl_duration_seconds") or -1,
    )


@mutation.field("createArtifactManifest")
def create_manifest(_: None, info: Info, input: dict[str, Any]) -> Row:
    base = input.get("base_artifact_id")
    with get_operation(info).server.database.write() as db:
        artifact = _require_pending(db, input["artifact_id"])
        manifest = artifacts.create_manifest(
            db,
            artifact["id"],
            type=input.get("type") or "FULL",
            name=input["name"],
            digest=input["digest"],
            base_artifact_id=decode_id("Artifact", base) if base else None,
        )
    return {"artifact_manifest": manifest}


@mutation.field("updateArtifactManifest")
def update_manifest(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id("Manifest", input["artifact_manifest_id"])
    with get_operation(info).server.database.write() as db:
        artifacts.get_manifest(db, number)
        if input.get("digest") is not None:
            artifacts.save_manifest(db, number, digest=input["digest"])
        return {"artifact_manifest": artifacts.get_manifest(db, number)}


@mutation.field("createArtifactFiles")
def create_files(_: None, info: Info, input: dict[str, Any]) -> Row:
    """Answer where to upload each file, or that its content is here already."""
    operation = get_operation(info)
    edges = []
    for spec in input["artifact_files"]:
        blob = operation.server.uploads.locate_blob(digest_to_hex(spec["md5"]))
        node = {
            "kind": "artifact",
            "artifact_id": _require_pending(operation.db, spec["artifact_id"])["id"],
            "name": check_name(spec["name"]),
            "digest": spec["md5"],
            "present": blob.exists(),
        }
        edges.append({"node": node, "cursor": spec["name"]})
    return {"files": {"edges": edges, "page_info": {"end_cursor": None, "has_next_page": False}}}


@mutation.field("commitArtifact")
def commit_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    server = get_operation(info).server
    number = decode_id("Artifact", input["artifact_id"])
    with server.database.write() as db:
        artifact = artifacts.get_artifact(db, number)
        if artifact["state"] == "PENDING":
            contents = read_contents(db, server.uploads, number)
            artifacts.commit_artifact(db, artifact, contents)
        return {"artifact": artifacts.get_artifact(db, number)}


def read_contents(db: Connection, uploads: Uploads, number: int) -> dict[str, Any]:
    """Return an artifact's files by name from its uploaded manifests, all checked to be here.

    Raises:
        BadRequestError: There is no manifest, it is malformed, or a file has not been uploaded.
    """
    contents: dict[str, Any] = {}
    manifests = artifacts.list_manifests(db, number)
    if not manifests:
        raise BadRequestError("the artifact's manifest has not been uploaded")
    for manifest in manifests:
        text = uploads.locate_manifest(manifest["id"]).read_text(encoding="utf-8")
        parsed = parse_json(text, "the manifest", dict)
        entries = parsed.get("contents", {})
        if manifest["type"] == "INCREMENTAL" and manifest["base_artifact_id"]:
            base = artifacts.list_artifact_files(db, manifest["base_artifact_id"])
            contents |= {row["name"]: row for row in base}
        elif manifest["type"] == "FULL":
            contents = {}
        contents |= entries if isinstance(entries, dict) else {}
    for name, entry in contents.items():
        check_name(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
            raise BadRequestError(f"the manifest's entry {name!r} has no digest")
        is_here = entry.get("ref") or uploads.locate_blob(digest_to_hex(entry["digest"])).exists()
        if not is_here:
            raise BadRequestError(f"the artifact's file {name!r} has not been uploaded")
    return contents


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


def _require_pending(db: Connection, graphql_id: str) -> Row:
    artifact = artifacts.get_artifact(db, decode_id("Artifact", graphql_id))
    if artifact["state"] != "PENDING":
        raise BadRequestError(f"the artifact is {artifact['state']}, it cannot be changed any more")
    return artifact


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
