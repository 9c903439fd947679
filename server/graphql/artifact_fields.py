"""How artifacts, their collections, versions and aliases are shown."""

import json
from typing import Any

from ariadne import InterfaceType, ObjectType, QueryType, UnionType

from server.errors import BadRequestError
from server.graphql.collections import build_tag
from server.graphql.common import (
    Info,
    build_list_page,
    build_page,
    get_operation,
    pick,
    read_window,
)
from server.graphql.projects import project_type
from server.ids import decode_id, encode_id, format_time
from server.jsontext import parse_json
from server.store import Row, artifacts, projects, runs
from server.store import collections as store

query = QueryType()
artifact_type = ObjectType("Artifact")
type_type = ObjectType("ArtifactType")
collection_type = InterfaceType("ArtifactCollection")
sequence_type = ObjectType("ArtifactSequence")
portfolio_type = ObjectType("ArtifactPortfolio")
membership_type = ObjectType("ArtifactCollectionMembership")
alias_type = ObjectType("ArtifactAlias")
manifest_type = ObjectType("ArtifactManifest")
creator_type = UnionType("ArtifactCreator")


@query.field("artifact")
def resolve_artifact(_: None, info: Info, id: str) -> Row | None:
    found = artifacts.get_artifact(get_operation(info).db, decode_id("Artifact", id))
    return found if found["state"] != "DELETED" else None


@query.field("artifactCollection")
def resolve_collection_by_id(_: None, info: Info, id: str) -> Row | None:
    for kind in (store.SEQUENCE, store.PORTFOLIO):
        try:
            return store.get_collection(get_operation(info).db, decode_id(kind, id))
        except BadRequestError:
            continue
    raise BadRequestError(f"{id!r} is not the id of an artifact collection")


@query.field("clientIDMapping")
def resolve_client_id(_: None, info: Info, client_id: str) -> Row | None:
    found = artifacts.find_by_client(get_operation(info).db, client_id)
    return {"server_id": encode_id("Artifact", found["id"])} if found else None


# Projects


@project_type.field("artifactTypes")
def resolve_types(
    project: Row, info: Info, after: str | None = None, first: int | None = None, **_: Any
) -> Row:
    return build_list_page(store.list_types(get_operation(info).db, project["id"]), first, after)


@project_type.field("artifactType")
def resolve_type(project: Row, info: Info, name: str) -> Row | None:
    return store.find_type(get_operation(info).db, project["id"], name)


@project_type.field("artifactCollection")
def resolve_collection(project: Row, info: Info, name: str) -> Row | None:
    return store.find_collection(get_operation(info).db, project["id"], name)


@project_type.field("artifactCollections")
def resolve_collections(
    project: Row, info: Info, after: str | None = None, first: int | None = None, **_: Any
) -> Row:
    found = store.list_collections(get_operation(info).db, project["id"])
    return build_list_page(found, first, after)


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


# Types and collections


@type_type.field("id")
def resolve_type_id(row: Row, _: Info) -> str:
    return encode_id("ArtifactType", row["id"])


@type_type.field("artifactCollection")
def resolve_collection_of_type(row: Row, info: Info, name: str) -> Row | None:
    found = store.find_collection(get_operation(info).db, row["project_id"], name)
    return found if found is not None and found["type_id"] == row["id"] else None


@type_type.field("artifactCollections")
def resolve_collections_of_type(
    row: Row, info: Info, after: str | None = None, first: int | None = None, **_: Any
) -> Row:
    found = store.list_collections(get_operation(info).db, row["project_id"], row["id"])
    return build_list_page(found, first, after)


@collection_type.type_resolver
def resolve_collection_kind(collection: Row, *_: Any) -> str:
    return str(collection["kind"])


@collection_type.field("id")
def resolve_collection_id(collection: Row, _: Info) -> str:
    return encode_id(collection["kind"], collection["id"])


@collection_type.field("state")
def resolve_collection_state(collection: Row, _: Info) -> str:
    return str(collection.get("state", "READY"))


@collection_type.field("project")
def resolve_collection_project(collection: Row, info: Info) -> Row:
    return projects.get_project(get_operation(info).db, collection["project_id"])


@collection_type.field("defaultArtifactType")
def resolve_collection_type(collection: Row, info: Info) -> Row | None:
    return find_type(info, collection)


def find_type(info: Info, collection: Row) -> Row | None:
    """Return a collection's type."""
    db = get_operation(info).db
    return store.find_type(db, collection["project_id"], collection["type_name"])


@collection_type.field("tags")
def resolve_collection_tags(collection: Row, _: Info) -> Row:
    return {"edges": [{"node": build_tag(name)} for name in json.loads(collection["tags"])]}


@collection_type.field("aliases")
def resolve_collection_aliases(
    collection: Row, info: Info, after: str | None = None, first: int | None = None
) -> Row:
    found = store.list_aliases(get_operation(info).db, collection_id=collection["id"])
    return build_list_page(found, first, after)


@collection_type.field("artifacts")
def resolve_versions(
    collection: Row,
    info: Info,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> Row:
    found = store_versions(info, collection)
    wanted = parse_json(filters, "filters", dict).get("state", "COMMITTED")
    if wanted != "COMMITTED":
        raise BadRequestError(f"versions are filtered by state COMMITTED alone, got {filters!r}")
    if order and order.startswith("+"):
        found = found[::-1]
    page = build_list_page(found, first, after)
    for edge in page["edges"]:
        edge["version"] = f"v{edge['node']['version_index']}"
    return page


def store_versions(info: Info, collection: Row) -> list[Row]:
    """Return a collection's versions, the newest first."""
    return artifacts.list_versions(get_operation(info).db, collection["id"])


@collection_type.field("artifactMembership")
def resolve_membership(collection: Row, info: Info, alias_name: str | None = None) -> Row | None:
    return store.find_member(get_operation(info).db, collection["id"], alias_name or "latest")


@sequence_type.field("latestArtifact")
def resolve_latest(collection: Row, info: Info) -> Row | None:
    return artifacts.find_latest(get_operation(info).db, collection["id"])


for _type in (type_type, collection_type, membership_type, artifact_type):

    @_type.field("createdAt")
    def resolve_created_at(row: Row, _: Info) -> str | None:
        return format_time(row["created_at"])


for _changing in (collection_type, artifact_type):

    @_changing.field("updatedAt")
    def resolve_updated_at(row: Row, _: Info) -> str | None:
        return format_time(row["updated_at"])


# Versions


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


@alias_type.field("id")
def resolve_alias_id(row: Row, _: Info) -> str:
    return encode_id("ArtifactAlias", row["id"])


@alias_type.field("artifactCollectionName")
def resolve_alias_collection_name(row: Row, info: Info) -> str:
    return str(store.get_collection(get_operation(info).db, row["collection_id"])["name"])


artifact_type.set_field("ttlDurationSeconds", pick("ttl_seconds"))
artifact_type.set_field("storageBytes", pick("size"))


@artifact_type.field("id")
def resolve_artifact_id(artifact: Row, _: Info) -> str:
    return encode_id("Artifact", artifact["id"])


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
def resolve_used_by(artifact: Row, info: Info) -> Row:
    db = get_operation(info).db
    found = [runs.get_run(db, number) for number in artifacts.list_users(db, artifact["id"])]
    return build_list_page(found, None, None)


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
    return list_files_page(info, artifact, names, after, first)


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
    """Return a page of an artifact's files as a connection."""
    offset, length = read_window(first, after)
    found = artifacts.list_artifact_files(
        get_operation(info).db, artifact["id"], names=names, offset=offset, limit=length + 1
    )
    rows = [{**row, "kind": "artifact", "updated_at": artifact["updated_at"]} for row in found]
    return build_page(rows, offset, length, artifact["file_count"])


@manifest_type.field("id")
def resolve_manifest_id(manifest: Row, _: Info) -> str:
    return encode_id("Manifest", manifest["id"])


@manifest_type.field("file")
def resolve_manifest_file(manifest: Row, _: Info) -> Row:
    return {"kind": "manifest", "id": manifest["id"], "name": manifest["name"]}


TYPES = (
    query,
    artifact_type,
    type_type,
    collection_type,
    sequence_type,
    portfolio_type,
    membership_type,
    alias_type,
    manifest_type,
    creator_type,
)
