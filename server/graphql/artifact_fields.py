"""How artifacts, their versions, aliases, manifests and files are shown."""

import json
from typing import Any

from ariadne import ObjectType, QueryType, UnionType

from bpsweep.server.graphql.collection_fields import find_type
from bpsweep.server.graphql.collections import build_tag
from bpsweep.server.graphql.common import (
    Info,
    as_page,
    build_page,
    get_operation,
    pick,
    pick_id,
    pick_time,
    read_window,
)
from bpsweep.server.graphql.projects import project_type
from bpsweep.server.ids import decode_id, encode_id
from bpsweep.server.store import Row, artifacts, runs
from bpsweep.server.store import collections as store

query = QueryType()
artifact_type = ObjectType("Artifact")
membership_type = ObjectType("ArtifactCollectionMembership")
alias_type = ObjectType("ArtifactAlias")
manifest_type = ObjectType("ArtifactManifest")
creator_type = UnionType("ArtifactCreator")

membership_type.set_field("createdAt", pick_time("created_at"))
artifact_type.set_field("createdAt", pick_time("created_at"))
artifact_type.set_field("updatedAt", pick_time("updated_at"))
artifact_type.set_field("ttlDurationSeconds", pick("ttl_seconds"))
artifact_type.set_field("storageBytes", pick("size"))


@query.field("artifact")
def resolve_artifact(_: None, info: Info, id: str) -> Row | None:
    found = artifacts.get_artifact(get_operation(info).db, decode_id("Artifact", id))
    return found if found["state"] != "DELETED" else None


@query.field("clientIDMapping")
def resolve_client_id(_: None, info: Info, client_id: str) -> Row | None:
    found = artifacts.find_by_client(get_operation(info).db, client_id)
    return {"server_id": encode_id("Artifact", found["id"])} if found else None


@project_type.field("artifactCollectionMembership")
def resolve_membership_by_name(project: Row, info: Info, name: str) -> Row | None:
    return find_named_member(info, project, name)


def find_named_member(info: Info, project: Row, name: str) -> Row | None:
    """Return the version that "collection:alias" names, or None."""
    db = get_operation(info).db
    collection_name, _, label = name.partition(":")
    collection = store.find_collection(db, project["id"], collection_name)
    if collection is None:
        return None
    found = store.find_member(db, collection["id"], label or "latest")
    if found is None or artifacts.get_artifact(db, found["artifact_id"])["state"] == "DELETED":
        return None
    return found


@project_type.field("artifact")
def resolve_artifact_by_name(project: Row, info: Info, name: str) -> Row | None:
    membership = find_named_member(info, project, name)
    if membership is None:
        return None
    return artifacts.get_artifact(get_operation(info).db, membership["artifact_id"])


@membership_type.field("id")
def resolve_membership_id(row: Row, _: Info) -> str:
    return encode_id(f"Membership{row['collection_id']}", row["artifact_id"])


@membership_type.field("aliases")
def resolve_membership_aliases(row: Row, info: Info) -> list[Row]:
    return store.list_aliases(
        get_operation(info).db, artifact_id=row["artifact_id"], collection_id=row["collection_id"]
    )


@membership_type.field("artifactCollection")
@alias_type.field("artifactCollection")
def resolve_membership_collection(row: Row, info: Info) -> Row:
    return store.get_collection(get_operation(info).db, row["collection_id"])


@membership_type.field("artifact")
def resolve_membership_artifact(row: Row, info: Info) -> Row:
    return artifacts.get_artifact(get_operation(info).db, row["artifact_id"])


alias_type.set_field("id", pick_id("ArtifactAlias"))


@alias_type.field("artifactCollectionName")
def resolve_alias_collection_name(row: Row, info: Info) -> str:
    return str(store.get_collection(get_operation(info).db, row["collection_id"])["name"])


artifact_type.set_field("id", pick_id("Artifact"))


@artifact_type.field("artifactSequence")
def resolve_sequence(artifact: Row, info: Info) -> Row:
    return store.get_collection(get_operation(info).db, artifact["collection_id"])


@artifact_type.field("artifactType")
def resolve_artifact_type(artifact: Row, info: Info) -> Row | None:
    sequence = store.get_collection(get_operation(info).db, artifact["collection_id"])
    return find_type(info, sequence)


@artifact_type.field("versionIndex")
def resolve_version_index(artifact: Row, info: Info) -> int | None:
    db = get_operation(info).db
    found = store.find_membership(db, artifact["collection_id"], artifact["id"])
    return found["version_index"] if found else None


@artifact_type.field("ttlIsInherited")
def resolve_ttl_is_inherited(artifact: Row, _: Info) -> bool:
    return bool(artifact["ttl_seconds"] < 0)


@artifact_type.field("tags")
def resolve_artifact_tags(artifact: Row, _: Info) -> list[Row]:
    return [build_tag(name) for name in json.loads(artifact["tags"])]


@artifact_type.field("commitHash")
def resolve_commit_hash(artifact: Row, _: Info) -> str:
    return str(artifact["digest"])


@artifact_type.field("aliases")
def resolve_artifact_aliases(artifact: Row, info: Info) -> list[Row]:
    return store.list_aliases(get_operation(info).db, artifact_id=artifact["id"])


@artifact_type.field("currentManifest")
def resolve_manifest(artifact: Row, info: Info) -> Row | None:
    found = artifacts.list_manifests(get_operation(info).db, artifact["id"])
    return found[-1] if found else None


@artifact_type.field("createdBy")
def resolve_creator(artifact: Row, info: Info) -> Row:
    operation = get_operation(info)
    run = runs.get_run(operation.db, artifact["run_id"]) if artifact["run_id"] else None
    return run or operation.user


@creator_type.type_resolver
def resolve_creator_kind(row: Row, *_: Any) -> str:
    return "Run" if "sweep_id" in row else "User"


@artifact_type.field("usedBy")
@as_page
def list_users(artifact: Row, info: Info) -> list[Row]:
    db = get_operation(info).db
    return [runs.get_run(db, number) for number in artifacts.list_users(db, artifact["id"])]


@artifact_type.field("artifactMemberships")
def resolve_memberships(artifact: Row, info: Info) -> Row:
    found = store.list_memberships(get_operation(info).db, artifact_id=artifact["id"])
    return {"edges": [{"node": row} for row in found]}


@artifact_type.field("files")
def resolve_files(
    artifact: Row,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Row:
    return list_files_page(info, artifact, names or None, after, first)


@membership_type.field("files")
def resolve_membership_files(
    row: Row,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Row:
    artifact = artifacts.get_artifact(get_operation(info).db, row["artifact_id"])
    return list_files_page(info, artifact, names or None, after, first)


@artifact_type.field("filesByManifestEntries")
def resolve_files_by_entries(
    artifact: Row,
    info: Info,
    entries: list[dict[str, Any]] | None = None,
    after: str | None = None,
    first: int | None = None,
    **_: Any,
) -> Row:
    names = None if entries is None else [entry["name"] for entry in entries]
    return list_files_page(info, artifact, names, after, first)


def list_files_page(
    info: Info, artifact: Row, names: list[str] | None, after: str | None, first: int | None
) -> Row:
    """Return a page of an artifact's files, of these names or all, as a connection."""
    offset, length = read_window(first, after)
    db = get_operation(info).db
    found = artifacts.list_artifact_files(
        db, artifact["id"], names=names, offset=offset, limit=length + 1
    )
    total = artifacts.count_artifact_files(db, artifact["id"], names=names)
    rows = [{**row, "kind": "artifact", "updated_at": artifact["updated_at"]} for row in found]
    return build_page(rows, offset, length, total)


manifest_type.set_field("id", pick_id("Manifest"))


@manifest_type.field("file")
def resolve_manifest_file(manifest: Row, _: Info) -> Row:
    return {"kind": "manifest", "id": manifest["id"], "name": manifest["name"]}


TYPES = (query, artifact_type, membership_type, alias_type, manifest_type, creator_type)
