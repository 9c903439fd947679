"""Artifact collections: renamed, given another type, tagged and deleted."""

from typing import Any

from ariadne import MutationType

from bpsweep.server.graphql.artifacts import require_collection
from bpsweep.server.graphql.common import Info, get_operation
from bpsweep.server.ids import decode_id, encode_id
from bpsweep.server.store import Row
from bpsweep.server.store import collections as store
from bpsweep.server.uploads import check_name

mutation = MutationType()


@mutation.field("updateArtifactSequence")
def update_sequence(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id(store.SEQUENCE, input["artifact_sequence_id"])
    return _update_collection(info, number, input)


@mutation.field("updateArtifactPortfolio")
def update_portfolio(_: None, info: Info, input: dict[str, Any]) -> Row:
    number = decode_id(store.PORTFOLIO, input["artifact_portfolio_id"])
    return _update_collection(info, number, input)


def _update_collection(info: Info, number: int, values: dict[str, Any]) -> Row:
    changed = {
        name: values[name] for name in ("name", "description") if values.get(name) is not None
    }
    if "name" in changed:
        check_name(changed["name"])
    with get_operation(info).server.database.write() as db:
        store.save_collection(db, number, **changed)
        return {"artifact_collection": store.get_collection(db, number)}


@mutation.field("moveArtifactSequence")
def change_type(_: None, info: Info, input: dict[str, Any]) -> Row:
    """Give a sequence, with all its versions, another type, made if need be."""
    number = decode_id(store.SEQUENCE, input["artifact_sequence_id"])
    with get_operation(info).server.database.write() as db:
        collection = store.get_collection(db, number)
        wanted = store.ensure_type(
            db, collection["project_id"], check_name(input["destination_artifact_type_name"])
        )
        store.save_collection(db, number, type_id=wanted["id"])
        return {"artifact_collection": store.get_collection(db, number)}


@mutation.field("deleteArtifactSequence")
def delete_sequence(_: None, info: Info, input: dict[str, Any]) -> Row:
    return _delete_collection(info, decode_id(store.SEQUENCE, input["artifact_sequence_id"]))


@mutation.field("deleteArtifactPortfolio")
def delete_portfolio(_: None, info: Info, input: dict[str, Any]) -> Row:
    return _delete_collection(info, decode_id(store.PORTFOLIO, input["artifact_portfolio_id"]))


def _delete_collection(info: Info, number: int) -> Row:
    with get_operation(info).server.database.write() as db:
        collection = store.get_collection(db, number)
        store.delete_collection(db, number)
    return {"artifact_collection": {**collection, "state": "DELETED"}}


@mutation.field("createArtifactCollectionTagAssignments")
def add_tags(_: None, info: Info, input: dict[str, Any]) -> Row:
    names = [tag["tag_name"] for tag in input["tags"]]
    _change_tags(info, input, names, [])
    return {"tags": [build_tag(name) for name in names]}


@mutation.field("deleteArtifactCollectionTagAssignments")
def remove_tags(_: None, info: Info, input: dict[str, Any]) -> Row:
    _change_tags(info, input, [], [tag["tag_name"] for tag in input["tags"]])
    return {"success": True}


def _change_tags(info: Info, values: dict[str, Any], add: list[str], remove: list[str]) -> None:
    with get_operation(info).server.database.write() as db:
        collection = require_collection(db, values)
        tags = store.change_tags(collection["tags"], add, remove)
        store.save_collection(db, collection["id"], tags=tags)


def build_tag(name: str) -> Row:
    """Return a tag; its name is its identity."""
    return {"id": encode_id("Tag", sum(map(ord, name))), "name": name}


TYPES = (mutation,)
