"""How artifact types and collections are shown, and the lists of them in a project."""

import json
from typing import Any

from ariadne import InterfaceType, ObjectType, QueryType

from bpsweep.server.errors import BadRequestError
from bpsweep.server.graphql.collections import build_tag
from bpsweep.server.graphql.common import (
    Info,
    as_page,
    build_list_page,
    get_operation,
    pick_id,
    pick_time,
)
from bpsweep.server.graphql.projects import project_type
from bpsweep.server.ids import decode_id, encode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Row, artifacts, projects
from bpsweep.server.store import collections as store

query = QueryType()
type_type = ObjectType("ArtifactType")
collection_type = InterfaceType("ArtifactCollection")
sequence_type = ObjectType("ArtifactSequence")
portfolio_type = ObjectType("ArtifactPortfolio")

type_type.set_field("createdAt", pick_time("created_at"))
collection_type.set_field("createdAt", pick_time("created_at"))
collection_type.set_field("updatedAt", pick_time("updated_at"))


@query.field("artifactCollection")
def resolve_collection_by_id(_: None, info: Info, id: str) -> Row | None:
    for kind in (store.SEQUENCE, store.PORTFOLIO):
        try:
            return store.get_collection(get_operation(info).db, decode_id(kind, id))
        except BadRequestError:
            continue
    raise BadRequestError(f"{id!r} is not the id of an artifact collection")


@project_type.field("artifactTypes")
@as_page
def list_types(project: Row, info: Info) -> list[Row]:
    return store.list_types(get_operation(info).db, project["id"])


@project_type.field("artifactType")
def resolve_type(project: Row, info: Info, name: str) -> Row | None:
    return store.find_type(get_operation(info).db, project["id"], name)


@project_type.field("artifactCollection")
def resolve_collection(project: Row, info: Info, name: str) -> Row | None:
    return store.find_collection(get_operation(info).db, project["id"], name)


@project_type.field("artifactCollections")
@as_page
def list_collections(project: Row, info: Info) -> list[Row]:
    return store.list_collections(get_operation(info).db, project["id"])


type_type.set_field("id", pick_id("ArtifactType"))


@type_type.field("artifactCollection")
def resolve_collection_of_type(row: Row, info: Info, name: str) -> Row | None:
    found = store.find_collection(get_operation(info).db, row["project_id"], name)
    return found if found is not None and found["type_id"] == row["id"] else None


@type_type.field("artifactCollections")
@as_page
def list_collections_of_type(row: Row, info: Info) -> list[Row]:
    return store.list_collections(get_operation(info).db, row["project_id"], row["id"])


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
@as_page
def list_collection_aliases(collection: Row, info: Info) -> list[Row]:
    return store.list_aliases(get_operation(info).db, collection_id=collection["id"])


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


TYPES = (query, type_type, collection_type, sequence_type, portfolio_type)
