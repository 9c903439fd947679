"""Files of runs and of artifacts, with signed links to upload and download them."""

import mimetypes
from typing import Any

from ariadne import MutationType, ObjectType

from bpsweep.server import manifests
from bpsweep.server.errors import NotFoundError
from bpsweep.server.graphql.common import Info, get_operation, read_path
from bpsweep.server.ids import decode_id, encode_id, format_time
from bpsweep.server.store import Connection, Row, artifacts, files, projects, runs
from bpsweep.server.uploads import check_name, digest_to_hex

mutation = MutationType()
file_type = ObjectType("File")


@mutation.field("createRunFiles")
def create_run_files(_: None, info: Info, input: dict[str, Any]) -> Row:
    names = [check_name(name) for name in input["files"]]
    with get_operation(info).server.database.write() as db:
        run = _require_run(db, info, input)
        made = [files.ensure_file(db, run["id"], name) for name in names]
    return {
        "run_id": encode_id("Run", run["id"]),
        "upload_headers": [],
        "files": [
            {"name": row["name"], "upload_url": sign(info, "PUT", _run_file_path(row))}
            for row in made
        ],
    }


@mutation.field("markRunFilesUploaded")
def mark_uploaded(_: None, info: Info, input: dict[str, Any]) -> Row:
    """Nothing to do: an upload is recorded when its bytes are here."""
    _require_run(get_operation(info).db, info, input)
    return {"success": True}


@mutation.field("deleteFiles")
def delete_files(_: None, info: Info, input: dict[str, Any]) -> Row:
    server = get_operation(info).server
    with server.database.write() as db:
        found = [files.get_file(db, decode_id("File", file_id)) for file_id in input["files"]]
        for row in found:
            files.delete_file(db, row["id"])
    for row in found:
        server.uploads.locate_run_file(row["run_id"], row["id"]).unlink(missing_ok=True)
    return {"success": True}


def _require_run(db: Connection, info: Info, values: dict[str, Any]) -> Row:
    names = read_path(info, values["entity_name"], values["project_name"])
    project = projects.require_project(db, *names)
    run = runs.find_run(db, project["id"], values["run_name"])
    if run is None:
        raise NotFoundError(f"run {'/'.join(names)}/{values['run_name']} does not exist")
    return run


def sign(info: Info, method: str, path: str) -> str:
    """Return the address of a file with a signature that lets anyone use it for a while."""
    operation = get_operation(info)
    return operation.base_url + operation.server.auth.sign_link(method, path)


# A file row is one of three kinds: a run's file, an artifact's file, an artifact's manifest.


@file_type.field("id")
def resolve_id(file: Row, _: Info) -> str:
    if file["kind"] == "run":
        return encode_id("File", file["id"])
    if file["kind"] == "manifest":
        return encode_id("ManifestFile", file["id"])
    return encode_id("ArtifactFile", file["artifact_id"]) + f":{file['name']}"


@file_type.field("displayName")
def resolve_display_name(file: Row, _: Info) -> str:
    return str(file["name"])


@file_type.field("directUrl")
@file_type.field("url")
def resolve_url(file: Row, info: Info, upload: bool = False) -> str:
    if file.get("ref"):
        return str(file["ref"])
    return sign(info, "PUT" if upload else "GET", _locate(file))


@file_type.field("uploadUrl")
def resolve_upload_url(file: Row, info: Info) -> str | None:
    return None if file.get("present") else sign(info, "PUT", _locate(file))


@file_type.field("uploadMultipartUrls")
def resolve_upload_parts(file: Row, info: Info) -> Row | None:
    """Return where to upload each part of a large file, None where it is uploaded as a whole."""
    upload_id = file.get("upload_id")
    if not upload_id:
        return None
    urls = [
        {"part_number": number, "upload_url": sign(info, "PUT", _part_path(upload_id, number))}
        for number in file["parts"]
    ]
    return {"upload_id": upload_id, "upload_url_parts": urls}


@file_type.field("uploadHeaders")
def resolve_upload_headers(_: Row, __: Info) -> list[str]:
    return []


@file_type.field("storagePath")
def resolve_storage_path(file: Row, _: Info) -> str:
    return _locate(file).removeprefix("/storage/")


@file_type.field("sizeBytes")
def resolve_size(file: Row, _: Info) -> int:
    return file.get("size") or 0


@file_type.field("mimetype")
def resolve_mimetype(file: Row, _: Info) -> str | None:
    return file.get("mimetype") or mimetypes.guess_type(file["name"])[0]


@file_type.field("updatedAt")
def resolve_updated_at(file: Row, _: Info) -> str | None:
    return format_time(file.get("updated_at"))


@file_type.field("md5")
@file_type.field("digest")
def resolve_md5(file: Row, _: Info) -> str | None:
    return file.get("digest") or file.get("md5")


@file_type.field("artifact")
def resolve_artifact(file: Row, info: Info) -> Row | None:
    number = file.get("artifact_id")
    return artifacts.get_artifact(get_operation(info).db, number) if number else None


def _locate(file: Row) -> str:
    if file["kind"] == "run":
        return _run_file_path(file)
    if file["kind"] == "manifest":
        return f"/storage/manifests/{file['id']}/{manifests.NAME}"
    return f"/storage/wandb_artifacts/{digest_to_hex(file['digest'])}"


def _run_file_path(file: Row) -> str:
    return f"/storage/run-files/{file['id']}"


def _part_path(upload_id: str, number: int) -> str:
    return f"/storage/parts/{upload_id}/{number}"


TYPES = (mutation, file_type)
