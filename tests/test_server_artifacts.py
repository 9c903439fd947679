"""Versions of artifacts: from parts, from several programs, by name, by type and by run."""

import json

import pytest
from server_support import ENTITY, PROJECT, make_digest, open_local_server
from test_server_files import (
    COMMIT,
    CREATE_ARTIFACT,
    CREATE_ARTIFACT_FILES,
    get_path,
)

from bpsweep.server.manifests import Manifest

CREATE_MANIFEST = """mutation C($input: CreateArtifactManifestInput!) {
    createArtifactManifest(input: $input) { artifactManifest { id file { uploadUrl } } } }"""
LATEST = {"artifactCollectionName": "c", "alias": "latest"}
READ = """query Q($name: String!, $names: [String!]) {
    project(name: "p", entityName: "bpsweep") { artifactCollectionMembership(name: $name) {
    versionIndex artifact { id digest size fileCount currentManifest { file { directUrl } }
    files(names: $names) { totalCount edges { node { displayName storagePath } } } } } } }"""


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store") as opened:
        for run in ("r", "s"):
            opened.start_run(run)
        yield opened


def make_manifest(files):
    entries = {
        name: {"digest": make_digest(content), "size": len(content)}
        for name, content in files.items()
    }
    return {"version": 1, "storagePolicy": "wandb-storage-policy-v1", "contents": entries}


def start_version(server, files, *, run="r", name="c", **values):
    """Create a version as the client does: its digest is that of its own files."""
    values = {
        "entityName": ENTITY,
        "projectName": PROJECT,
        "runName": run,
        "artifactTypeName": "dataset",
        "artifactCollectionName": name,
        "digest": Manifest(make_manifest(files), False).digest,
        "enableDigestDeduplication": True,
        **values,
    }
    return server.query(CREATE_ARTIFACT, input=values)["createArtifact"]["artifact"]


def fill_version(server, artifact, files, kind="FULL"):
    specs = [
        {"artifactID": artifact["id"], "name": name, "md5": make_digest(content)}
        for name, content in files.items()
    ]
    edges = server.query(CREATE_ARTIFACT_FILES, files=specs)["createArtifactFiles"]["files"]
    for edge, content in zip(edges["edges"], files.values(), strict=True):
        if edge["node"]["uploadUrl"]:
            url = get_path(edge["node"]["uploadUrl"])
            assert server.http.put(url, content=content).status_code == 200
    values = {
        "artifactID": artifact["id"],
        "name": "wandb_manifest.part.json",
        "digest": "",
        "entityName": ENTITY,
        "projectName": PROJECT,
        "type": kind,
    }
    data = server.query(CREATE_MANIFEST, input=values)["createArtifactManifest"]
    url = get_path(data["artifactManifest"]["file"]["uploadUrl"])
    assert server.http.put(url, content=json.dumps(make_manifest(files))).status_code == 200


def log_version(server, files, kind="FULL", **values):
    artifact = start_version(server, files, **values)
    if artifact["state"] == "PENDING":
        fill_version(server, artifact, files, kind)
        server.query(COMMIT, id=artifact["id"])
    return artifact


def read_version(server, name="c:latest", names=None):
    """Return a version as a client reads it: number, digest, manifest's contents, its files."""
    project = server.query(READ, name=name, names=names)["project"]
    found = project["artifactCollectionMembership"]
    artifact = found["artifact"]
    link = get_path(artifact["currentManifest"]["file"]["directUrl"])
    contents = server.http.get(link).json()["contents"]
    listed = [edge["node"]["displayName"] for edge in artifact["files"]["edges"]]
    return {**artifact, "version": found["versionIndex"], "contents": contents, "listed": listed}


def test_an_incremental_version_holds_what_the_one_before_held(server):
    log_version(server, {"a": b"one", "b": b"two"})
    log_version(server, {"b": b"changed", "c": b"three"}, "INCREMENTAL")
    found = read_version(server)
    whole = make_manifest({"a": b"one", "b": b"changed", "c": b"three"})
    assert found["contents"] == whole["contents"]
    assert found["listed"] == ["a", "b", "c"]
    assert (found["version"], found["size"], found["fileCount"]) == (1, 15, 3)
    assert found["digest"] == Manifest(whole, False).digest
    assert read_version(server, "c:v0")["listed"] == ["a", "b"]


def test_the_digest_of_a_part_never_stands_for_the_whole(server):
    log_version(server, {"a": b"one"})
    log_version(server, {"b": b"two"}, "INCREMENTAL")
    log_version(server, {"b": b"two"})
    assert read_version(server)["listed"] == ["b"]


def test_an_increment_that_comes_again_does_not_bring_an_older_version_back(server):
    log_version(server, {"a": b"one"}, "INCREMENTAL", clientID="1")
    log_version(server, {"b": b"two"}, "INCREMENTAL", clientID="2")
    log_version(server, {"a": b"one"}, "INCREMENTAL", clientID="3", aliases=[LATEST])
    assert read_version(server)["listed"] == ["a", "b"]
    newest = log_version(server, {"a": b"one", "b": b"two"}, clientID="4", aliases=[LATEST])
    assert newest["state"] == "COMMITTED"


def test_two_programs_that_add_at_once_lose_nothing(server):
    log_version(server, {"a": b"one"})
    first, second = (start_version(server, {name: b"more"}) for name in ("b", "c"))
    for artifact, name in ((first, "b"), (second, "c")):
        fill_version(server, artifact, {name: b"more"}, "INCREMENTAL")
    for artifact in (first, second):
        server.query(COMMIT, id=artifact["id"])
    assert read_version(server, "c:v1")["listed"] == ["a", "b"]
    assert read_version(server, "c:v2")["listed"] == ["a", "b", "c"]


def test_programs_fill_one_version_together(server):
    first = start_version(server, {"a": b"one"}, run="r", distributedID="group", clientID="1")
    second = start_version(server, {"b": b"two"}, run="s", distributedID="group", clientID="2")
    assert first["id"] == second["id"]
    fill_version(server, first, {"a": b"one"}, "PATCH")
    fill_version(server, second, {"b": b"two"}, "PATCH")
    server.query(COMMIT, id=first["id"])
    found = read_version(server)
    assert list(found["contents"]) == found["listed"] == ["a", "b"]
    again = start_version(server, {"a": b"x"}, distributedID="group", clientID="3")
    assert again["id"] != first["id"]


@pytest.mark.parametrize(
    ("names", "listed"),
    [(None, ["a", "b", "c"]), ([], ["a", "b", "c"]), (["c", "a"], ["a", "c"]), (["x"], [])],
)
def test_files_are_found_by_name(server, names, listed):
    log_version(server, {"a": b"one", "b": b"two", "c": b"three"})
    found = read_version(server, names=names)
    assert (found["listed"], found["files"]["totalCount"]) == (listed, len(listed))
    for edge in found["files"]["edges"]:
        assert edge["node"]["storagePath"].startswith("wandb_artifacts/")


def test_a_run_that_logs_what_was_there_has_logged_it(server):
    first = log_version(server, {"a": b"one"}, run="r")
    same = log_version(server, {"a": b"one"}, run="s")
    assert same["id"] == first["id"]
    query = """query Q($run: String!) { project(name: "p", entityName: "bpsweep") {
        run(name: $run) { id outputArtifacts { edges { node { id } } } } } }"""
    for run in ("r", "s"):
        logged = server.query(query, run=run)["project"]["run"]["outputArtifacts"]["edges"]
        assert [edge["node"]["id"] for edge in logged] == [first["id"]]
    found = server.query(query, run="s")["project"]["run"]
    delete = """mutation D($id: ID!) { deleteRun(input: {id: $id, deleteArtifacts: true}) {
        success } }"""
    server.query(delete, id=found["id"])
    assert read_version(server)["listed"] == ["a"]


def test_a_region_that_is_not_there_is_refused(server):
    with pytest.raises(AssertionError, match="invalid storageRegion 'moon'"):
        start_version(server, {"a": b"one"}, storageRegion="moon")
    assert start_version(server, {"a": b"one"}, storageRegion="default")["state"] == "PENDING"


def test_a_collection_gets_another_type(server):
    log_version(server, {"a": b"one"})
    query = """query Q { project(name: "p", entityName: "bpsweep") { artifactCollection(name: "c") {
        id defaultArtifactType { name } } } }"""
    collection = server.query(query)["project"]["artifactCollection"]
    move = """mutation M($input: MoveArtifactSequenceInput!) { moveArtifactSequence(input: $input) {
        artifactCollection { defaultArtifactType { name } } } }"""
    values = {"artifactSequenceID": collection["id"], "destinationArtifactTypeName": "model"}
    moved = server.query(move, input=values)["moveArtifactSequence"]["artifactCollection"]
    assert moved["defaultArtifactType"]["name"] == "model"
    log_version(server, {"b": b"two"}, artifactTypeName="model")
    assert read_version(server)["version"] == 1
