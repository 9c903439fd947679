"""An artifact's manifest: the list of its files, read from what clients uploaded.

A client uploads one manifest that lists everything, or one that lists only what is new: on top of
the version before (an incremental artifact), or beside those of other programs that fill the same
version (a distributed artifact). The server then writes the whole list, so that a version reads
the same however it came to be.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bpsweep.server.errors import BadRequestError
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Connection, Row, artifacts
from bpsweep.server.uploads import Uploads, check_name, digest_to_hex

FULL, PATCH, INCREMENTAL = "FULL", "PATCH", "INCREMENTAL"
NAME = "wandb_manifest.json"
# The first line of the text whose MD5 is the digest of a version 1 manifest.
_DIGEST_HEADER = b"wandb-artifact-manifest-v1\n"


@dataclass(frozen=True)
class Manifest:
    """One artifact's manifest.

    Attributes:
        document: The JSON object that clients read; its "contents" are the files by name.
        is_composed: Whether it is more than one client uploaded, so that nobody holds it yet.
    """

    document: dict[str, Any]
    is_composed: bool

    @property
    def contents(self) -> dict[str, Any]:
        """The files by name, each with a digest and perhaps size, ref and birthArtifactID."""
        contents: dict[str, Any] = self.document["contents"]
        return contents

    @property
    def text(self) -> str:
        """The manifest as clients download it."""
        return json.dumps(self.document)

    @property
    def digest(self) -> str:
        """The MD5 (hex) of names and digests, as the client computes an artifact's digest."""
        hasher = hashlib.md5(_DIGEST_HEADER, usedforsecurity=False)
        for name, entry in sorted(self.contents.items()):
            hasher.update(f"{name}:{entry['digest']}\n".encode())
        return hasher.hexdigest()


def assemble_manifest(db: Connection, uploads: Uploads, artifact: Row) -> Manifest:
    """Return the whole manifest of an artifact from its uploaded ones, all its files being here.

    Raises:
        BadRequestError: There is no manifest, it is malformed, or a file has not been uploaded.
    """
    uploaded = artifacts.list_manifests(db, artifact["id"])
    if not uploaded:
        raise BadRequestError("the artifact's manifest has not been uploaded")
    document: dict[str, Any] = {}
    contents: dict[str, Any] = {}
    for row in uploaded:
        document = _read_document(uploads, row)
        if row["type"] == FULL:
            contents = {}
        elif row["type"] == INCREMENTAL:
            contents |= _read_newest(db, uploads, artifact)
        contents |= document["contents"]
    _check_contents(uploads, contents)
    is_composed = any(row["type"] != FULL for row in uploaded)
    return Manifest({**document, "contents": contents}, is_composed)


def _read_newest(db: Connection, uploads: Uploads, artifact: Row) -> dict[str, Any]:
    """Return the files of the newest version before an artifact.

    The client names the version that was the newest when it began to upload. Another program may
    have committed one since, whose files are to be kept too.
    """
    newest = artifacts.find_latest(db, artifact["collection_id"])
    if newest is None:
        return {}
    manifest = artifacts.list_manifests(db, newest["id"])[-1]
    # The records are whole even where the manifest is of a store that did not compose them yet.
    recorded: dict[str, Any] = {
        row["name"]: {key: row[key] for key in ("digest", "size", "ref") if row[key] is not None}
        for row in artifacts.list_artifact_files(db, newest["id"])
    }
    contents: dict[str, Any] = _read_document(uploads, manifest)["contents"]
    return recorded | contents


def _read_document(uploads: Uploads, row: Row) -> dict[str, Any]:
    text = uploads.locate_manifest(row["id"]).read_text(encoding="utf-8")
    document: dict[str, Any] = parse_json(text, "the manifest", dict)
    contents = document.get("contents", {})
    if not isinstance(contents, dict):
        raise BadRequestError(
            f"the manifest's contents are a JSON object, got {type(contents).__name__}"
        )
    return {**document, "contents": contents}


def _check_contents(uploads: Uploads, contents: dict[str, Any]) -> None:
    for name, entry in contents.items():
        check_name(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
            raise BadRequestError(f"the manifest's entry {name!r} has no digest")
        is_here = entry.get("ref") or uploads.locate_blob(digest_to_hex(entry["digest"])).exists()
        if not is_here:
            raise BadRequestError(f"the artifact's file {name!r} has not been uploaded")
