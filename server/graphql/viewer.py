"""Who asks, which server answers, and the entities and organizations that there are not."""

from typing import Any

from ariadne import ObjectType, QueryType

from bpsweep.server.graphql.common import Info, find_project, get_operation, pick_id
from bpsweep.server.ids import encode_id
from bpsweep.server.store import Row

# What the client may use because this server has it; names are W&B's.
FEATURES = (
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "LARGE_FILENAMES",
    "FILESTREAM_GZIP",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "MARK_RUN_FILES_UPLOADED",
    "SWEEPS_LOCAL_SCHEDULER",
)

query = QueryType()
user_type = ObjectType("User")
entity_type = ObjectType("Entity")


@query.field("viewer")
def resolve_viewer(_: None, info: Info) -> Row:
    return get_operation(info).user


@query.field("user")
def resolve_user(_: None, info: Info, user_name: str | None = None) -> Row | None:
    user = get_operation(info).user
    return user if user_name in (None, user["name"]) else None


@query.field("users")
def resolve_users(_: None, info: Info, **__: Any) -> Row:
    return {"edges": [{"node": get_operation(info).user}]}


@query.field("serverInfo")
def resolve_server_info(_: None, info: Info) -> Row:
    return {
        # The client compares its version with these and warns outside of them.
        "cli_version_info": {"min_cli_version": "0.17.0", "max_cli_version": "0.99.0"},
        "latest_local_version_info": None,
        "features": [{"name": name, "is_enabled": True} for name in FEATURES],
        "frontend_host": get_operation(info).base_url,
    }


@query.field("entity")
def resolve_entity(_: None, info: Info, name: str | None = None) -> Row:
    return build_entity(name or get_operation(info).user["name"])


@query.field("organization")
def resolve_organization(_: None, __: Info, name: str) -> None:
    """There are no organizations here, whatever the name."""


user_type.set_field("id", pick_id("User"))


@user_type.field("username")
@user_type.field("entity")
def resolve_username(user: Row, _: Info) -> str:
    return str(user["name"])


@user_type.field("email")
def resolve_email(user: Row, _: Info) -> str:
    return f"{user['name']}@localhost"


@user_type.field("admin")
def resolve_admin(_: Row, __: Info) -> bool:
    return False


@user_type.field("flags")
def resolve_flags(_: Row, __: Info) -> str:
    return "{}"


@user_type.field("teams")
def resolve_teams(user: Row, _: Info) -> Row:
    return {"edges": [{"node": build_entity(user["name"])}]}


@user_type.field("apiKeys")
def resolve_no_edges(_: Row, __: Info) -> Row:
    return {"edges": []}


@user_type.field("organizations")
def resolve_no_organizations(_: Row, __: Info) -> list[Row]:
    return []


@entity_type.field("user")
def resolve_entity_user(entity: Row, info: Info) -> Row | None:
    user = get_operation(info).user
    return user if user["name"] == entity["name"] else None


@entity_type.field("members")
def resolve_members(entity: Row, info: Info) -> list[Row]:
    user = resolve_entity_user(entity, info)
    if user is None:
        return []
    member = {"id": encode_id("User", user["id"]), "name": user["name"], "username": user["name"]}
    return [{**member, "role": "admin", "admin": True, "pending": False, "account_type": "USER"}]


@entity_type.field("project")
def resolve_entity_project(entity: Row, info: Info, name: str | None = None) -> Row | None:
    return find_project(info, entity["name"], name)


def build_entity(name: str) -> Row:
    """Return an entity; every name is one, as projects are kept under any."""
    return {
        "id": encode_id("Entity", sum(map(ord, name))),
        "name": name,
        "available": True,
        "read_only": False,
        "is_team": False,
        "entity_type": "user",
        "read_only_admin": False,
        "private_only": False,
        "storage_bytes": 0,
        "code_saving_enabled": True,
        "default_access": "PRIVATE",
        "organization": None,
    }


TYPES = (query, user_type, entity_type)
