"""Where an artifact comes from and who uses it, and what a run was made from."""

import json
from collections.abc import Mapping
from typing import Any

from bpsweep.server.store import Connection, Row, artifacts, collections, runs

_MAX_FILES = 100
CHECKSUMS = {
    "data_checksum": "images, as decoded and cached",
    "labels_checksum": "labels",
    "split_checksum": "which cells train, validate, test",
}


def describe_artifact(db: Connection, artifact: Row) -> dict[str, Any]:
    """Return a version with its files, the run that made it and the runs that use it."""
    collection = collections.get_collection(db, artifact["collection_id"])
    place = collections.find_membership(db, collection["id"], artifact["id"])
    made_by = runs.get_run(db, artifact["run_id"]) if artifact["run_id"] else None
    users = [runs.get_run(db, number) for number in artifacts.list_users(db, artifact["id"])]
    return {
        "name": collection["name"],
        "version": f"v{place['version_index']}" if place else "deleted",
        "type": collection["type_name"],
        "digest": artifact["digest"],
        "aliases": [
            row["alias"] for row in collections.list_aliases(db, artifact_id=artifact["id"])
        ],
        "size": artifact["size"],
        "n_files": artifact["file_count"],
        "files": artifacts.list_artifact_files(db, artifact["id"], limit=_MAX_FILES),
        "created": artifact["created_at"],
        "metadata": json.loads(artifact["metadata"] or "{}"),
        "made_by": made_by,
        "used_by": users,
    }


def list_checksums(provenance: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what a run was made from: name, checksum, and what it is the checksum of."""
    return [
        (name, str(provenance[name]), about)
        for name, about in CHECKSUMS.items()
        if provenance.get(name)
    ]


def list_siblings(db: Connection, run: Row, provenance: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many runs of the same project name this data, and this split."""
    counts = []
    for name in ("data_checksum", "split_checksum"):
        if not provenance.get(name):
            counts.append(0)
            continue
        filters = {f"config.provenance.value.{name}": provenance[name]}
        counts.append(runs.count_runs(db, run["project_id"], filters))
    return counts[0], counts[1]
