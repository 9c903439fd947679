"""Artifact versions on their way: created, filled by one program or several, committed."""

import json
from typing import Any

from ariadne import MutationType

from bpsweep.server import manifests
from bpsweep.server.errors import BadRequestError
from bpsweep.server.graphql.common import Info, get_operation
from bpsweep.server.ids import decode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, artifacts, projects, runs
from bpsweep.server.store import collections as store
from bpsweep.server.uploads import Uploads, check_name, digest_to_hex, hex_to_digest

mutation = MutationType()
# What clients call the place of files where no region was chosen.
DEFAULT_REGION = "default"


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
    _check_region(values.get("storage_region"))
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
    run = runs.find_run(db, project["id"], values["run_name"]) if values.get("run_name") else None
    run_id = run["id"] if run else None
    aliases = [alias["alias"] for alias in values.get("aliases") or []]
    known = _find_known(db, collection, values, aliases)
    if known is not None:
        if run_id is not None:
            artifacts.record_output(db, run_id, known["id"])
        return known
    parse_json(values.get("metadata"), "metadata", dict)
    return artifacts.create_artifact(
        db,
        collection["id"],
        run_id=run_id,
        digest=values["digest"],
        digest_algorithm=values.get("digest_algorithm") or "MANIFEST_MD5",
        client_id=values.get("client_id") or None,
        distributed_id=values.get("distributed_id") or None,
        description=values.get("description"),
        metadata=values.get("metadata"),
        tags=json.dumps([tag["tag_name"] for tag in values.get("tags") or []]),
        wanted_aliases=json.dumps(aliases),
        history_step=values.get("history_step"),
        ttl_seconds=values.get("ttl_duration_seconds") or -1,
    )


def _find_known(
    db: Connection, collection: Row, values: dict[str, Any], aliases: list[str]
) -> Row | None:
    """Return the version that a client's new artifact is, given the aliases, or None."""
    if values.get("distributed_id"):
        # Several programs fill one version, until one of them finishes it.
        shared = artifacts.find_distributed(db, collection["id"], values["distributed_id"])
        if shared is not None:
            wanted = [*json.loads(shared["wanted_aliases"]), *aliases]
            artifacts.save_artifact(db, shared["id"], wanted_aliases=json.dumps(wanted))
        return shared
    if not values.get("enable_digest_deduplication", True):
        return None
    same = artifacts.find_by_digest(db, collection["id"], values["digest"])
    if same is not None and artifacts.has_increments(db, collection["id"]):
        # This may be an increment too, which holds what is newest beside these files.
        newest = artifacts.find_latest(db, collection["id"])
        same = same if newest is not None and newest["id"] == same["id"] else None
    if same is not None:
        for alias in aliases:
            store.set_alias(db, collection["id"], alias, same["id"])
    return same


def _check_region(region: str | None) -> None:
    if region not in (None, "", DEFAULT_REGION):
        raise BadRequestError(
            f"invalid storageRegion {region!r}: this server keeps every file in its own folder;"
            f" leave storage_region out"
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
        md5 = digest_to_hex(spec["md5"])
        is_present = operation.server.uploads.locate_blob(md5).exists()
        parts = [part["part_number"] for part in spec.get("upload_parts_input") or []]
        node = {
            "kind": "artifact",
            "artifact_id": _require_pending(operation.db, spec["artifact_id"])["id"],
            "name": check_name(spec["name"]),
            "digest": spec["md5"],
            "present": is_present,
            "parts": parts,
            "upload_id": operation.server.parts.start(md5) if parts and not is_present else None,
        }
        edges.append({"node": node, "cursor": spec["name"]})
    return {"files": {"edges": edges, "page_info": {"end_cursor": None, "has_next_page": False}}}


@mutation.field("completeMultipartUploadArtifact")
def complete_upload(_: None, info: Info, input: dict[str, Any]) -> Row:
    """Join the parts of a large file; the action is always to complete."""
    operation = get_operation(info)
    _require_pending(operation.db, input["artifact_id"])
    md5 = input["storage_path"].rpartition("/")[2]
    numbers = [part["part_number"] for part in input["completed_parts"]]
    operation.server.parts.join(input["upload_id"], numbers, md5)
    return {"digest": hex_to_digest(md5)}


@mutation.field("commitArtifact")
def commit_artifact(_: None, info: Info, input: dict[str, Any]) -> Row:
    server = get_operation(info).server
    number = decode_id("Artifact", input["artifact_id"])
    with server.database.write() as db:
        artifact = artifacts.get_artifact(db, number)
        if artifact["state"] == "PENDING":
            _commit_pending(db, server.uploads, artifact)
        return {"artifact": artifacts.get_artifact(db, number)}


def _commit_pending(db: Connection, uploads: Uploads, artifact: Row) -> None:
    manifest = manifests.assemble_manifest(db, uploads, artifact)
    if manifest.is_composed:
        digest = manifest.digest
        row = artifacts.create_manifest(
            db, artifact["id"], type=manifests.FULL, name=manifests.NAME, digest=digest, uploaded=1
        )
        uploads.write_text(uploads.locate_manifest(row["id"]), manifest.text)
        # The client's digest is that of its own part: other files, alone, have the same.
        artifacts.save_artifact(db, artifact["id"], digest=digest)
    artifacts.commit_artifact(db, artifact, manifest.contents)


def _require_pending(db: Connection, graphql_id: str) -> Row:
    artifact = artifacts.get_artifact(db, decode_id("Artifact", graphql_id))
    if artifact["state"] != "PENDING":
        raise BadRequestError(f"the artifact is {artifact['state']}, it cannot be changed any more")
    return artifact


TYPES = (mutation,)
