import hashlib
import json
from urllib.parse import urlsplit

import pytest
from server_support import ENTITY, KEY, PROJECT, make_digest, open_local_server

from bpsweep.server.errors import BadRequestError
from bpsweep.server.uploads import check_name

CREATE_FILES = """mutation C($files: [String!]!) { createRunFiles(input: {entityName: "bpsweep",
    projectName: "p", runName: "r", files: $files}) { runID files { name uploadUrl } } }"""
CREATE_ARTIFACT = """mutation C($input: CreateArtifactInput!) {
    createArtifact(input: $input) { artifact { id state } } }"""
CREATE_MANIFEST = """mutation C($id: ID!) { createArtifactManifest(input: {artifactID: $id,
    name: "wandb_manifest.json", digest: "", entityName: "bpsweep", projectName: "p",
    runName: "r", type: FULL}) { artifactManifest { id file { uploadUrl directUrl } } } }"""
CREATE_ARTIFACT_FILES = """mutation C($files: [CreateArtifactFileSpecInput!]!) {
    createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) {
    files { edges { node { uploadUrl storagePath } } } } }"""
COMMIT = """mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) {
    artifact { id digest } } }"""


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store", max_upload_bytes=1_000) as opened:
        opened.start_run("r")
        yield opened


def get_path(url):
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def create_file(server, name):
    (file,) = server.query(CREATE_FILES, files=[name])["createRunFiles"]["files"]
    return get_path(file["uploadUrl"])


def list_outside(tmp_path):
    return {path for path in tmp_path.rglob("*") if "store" not in path.relative_to(tmp_path).parts}


def test_a_file_comes_back_as_it_was(server):
    upload = create_file(server, "media/images/a b.png")
    assert server.http.put(upload, content=b"png").status_code == 200
    query = """query Q { project(name: "p", entityName: "bpsweep") { run(name: "r") { fileCount
        files(names: []) { edges { node { name sizeBytes md5 mimetype directUrl } } } } } }"""
    run = server.query(query)["project"]["run"]
    (edge,) = run["files"]["edges"]
    assert edge["node"]["sizeBytes"] == 3
    assert edge["node"]["md5"] == make_digest(b"png")
    answer = server.http.get(get_path(edge["node"]["directUrl"]))
    assert answer.content == b"png"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_of_a_run_are_counted_and_found_by_name(server):
    for name in ("a.txt", "b.txt", "c.txt"):
        server.http.put(create_file(server, name), content=b"x")
    query = """query Q($names: [String]) { project(name: "p", entityName: "bpsweep") {
        run(name: "r") { files(names: $names, first: 1) { totalCount edges { node { name } } } } }
        }"""
    for names, total in ((None, 3), ([], 3), (["./a.txt"], 1), (["a.txt", "c.txt"], 2)):
        found = server.query(query, names=names)["project"]["run"]["files"]
        assert found["totalCount"] == total
        assert found["edges"][0]["node"]["name"] == "a.txt"


def test_an_uploaded_page_is_never_shown_in_place(server):
    upload = create_file(server, "evil.html")
    server.http.put(upload, content=b"<script>alert(1)</script>")
    answer = server.http.get(upload.split("?")[0], auth=("api", KEY))
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    [
        "../escape.txt",
        "a/../../escape.txt",
        "/etc/escape.txt",
        "..",
        "a/..",
        "..\\escape.txt",
        "C:/escape.txt",
        "nul\x00.txt",
        "",
        "x" * 2_000,
    ],
)
def test_names_that_lead_out_are_refused(server, tmp_path, name):
    with pytest.raises(BadRequestError, match="not a relative file name"):
        check_name(name)
    before = list_outside(tmp_path)
    answer = server.ask(CREATE_FILES, files=[name])
    assert answer.status_code == 400
    assert "relative file name" in answer.json()["errors"][0]["message"]
    assert list_outside(tmp_path) == before


@pytest.mark.parametrize(
    "path",
    [
        "/storage/wandb_artifacts/../../api_key",
        "/storage/wandb_artifacts/..%2f..%2fapi_key",
        "/storage/wandb_artifacts/" + "g" * 32,
        "/storage/run-files/..%2f..%2fbpsweep.sqlite3",
        "/storage/run-files/-1",
        "/storage/run-files/99999999999999999999999",
        "/artifactsV2/default/e/p/c/..%2f..%2fapi_key",
        "/static/../__main__.py",
        "/static/..%2f__main__.py",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_addresses_that_lead_out_are_refused(server, path, method):
    answer = server.http.request(method, path, content=b"x", auth=("api", KEY))
    assert answer.status_code in (400, 401, 404, 405, 422)


def test_links_hold_for_their_own_file_and_method_alone(server):
    first, second = create_file(server, "a"), create_file(server, "b")
    signature = first.split("?")[1]
    assert server.http.put(second.split("?")[0] + "?" + signature).status_code == 401
    assert server.http.get(first).status_code == 401
    assert server.http.put(first.replace("expires=", "expires=9")).status_code == 401
    assert server.http.put(first.split("?")[0]).status_code == 401
    assert server.http.put(first, content=b"x").status_code == 200


def test_a_file_too_large_leaves_nothing(server):
    upload = create_file(server, "big")
    assert server.http.put(upload, content=b"x" * 2_000).status_code == 413
    uploads = server.store / "uploads"
    assert [path for path in uploads.rglob("*") if path.is_file()] == []


def create_artifact(server, content, aliases=(), client="c1"):
    entry = {"digest": make_digest(content), "size": len(content)}
    manifest = json.dumps({"version": 1, "contents": {"w.bin": entry}})
    values = {
        "entityName": ENTITY,
        "projectName": PROJECT,
        "runName": "r",
        "artifactTypeName": "model",
        "artifactCollectionName": "weights",
        "digest": hashlib.md5(manifest.encode()).hexdigest(),
        "aliases": [{"artifactCollectionName": "weights", "alias": alias} for alias in aliases],
        "clientID": client,
        "enableDigestDeduplication": True,
    }
    artifact = server.query(CREATE_ARTIFACT, input=values)["createArtifact"]["artifact"]
    return artifact, manifest


def upload_artifact(server, artifact, manifest, content):
    data = server.query(CREATE_MANIFEST, id=artifact["id"])["createArtifactManifest"]
    file = data["artifactManifest"]["file"]
    spec = {"artifactID": artifact["id"], "name": "w.bin", "md5": make_digest(content)}
    data = server.query(CREATE_ARTIFACT_FILES, files=[spec])["createArtifactFiles"]
    url = data["files"]["edges"][0]["node"]["uploadUrl"]
    if url is not None:
        assert server.http.put(get_path(url), content=content).status_code == 200
    assert server.http.put(get_path(file["uploadUrl"]), content=manifest).status_code == 200
    return file


def test_versions_aliases_and_equal_content(server):
    for number, content in enumerate([b"one", b"two"]):
        artifact, manifest = create_artifact(server, content, ["best"], f"c{number}")
        upload_artifact(server, artifact, manifest, content)
        server.query(COMMIT, id=artifact["id"])
    same, _ = create_artifact(server, b"one", client="c9")
    assert same["state"] == "COMMITTED"
    query = """query Q($name: String!) { project(name: "p", entityName: "bpsweep") {
        artifactCollectionMembership(name: $name) { versionIndex aliases { alias }
        artifact { size files { edges { node { name directUrl } } } } } } }"""
    found = server.query(query, name="weights:best")["project"]["artifactCollectionMembership"]
    assert found["versionIndex"] == 1
    assert {alias["alias"] for alias in found["aliases"]} == {"latest", "best"}
    first = server.query(query, name="weights:v0")["project"]["artifactCollectionMembership"]
    url = first["artifact"]["files"]["edges"][0]["node"]["directUrl"]
    assert server.http.get(get_path(url)).content == b"one"
    missing = server.query(query, name="weights:v7")["project"]
    assert missing["artifactCollectionMembership"] is None


def test_content_that_is_not_what_was_announced_is_refused(server):
    artifact, manifest = create_artifact(server, b"true content")
    spec = {"artifactID": artifact["id"], "name": "w.bin", "md5": make_digest(b"true content")}
    data = server.query(CREATE_ARTIFACT_FILES, files=[spec])["createArtifactFiles"]
    url = data["files"]["edges"][0]["node"]["uploadUrl"]
    answer = server.http.put(get_path(url), content=b"other content")
    assert answer.status_code == 400
    assert "announced was" in answer.json()["error"]
    refused = server.ask(COMMIT, id=artifact["id"])
    assert "manifest has not been uploaded" in refused.text
    data = server.query(CREATE_MANIFEST, id=artifact["id"])["createArtifactManifest"]
    manifest_url = data["artifactManifest"]["file"]["uploadUrl"]
    server.http.put(get_path(manifest_url), content=manifest)
    assert "'w.bin' has not been uploaded" in server.ask(COMMIT, id=artifact["id"]).text


def test_a_committed_artifact_never_changes(server):
    artifact, manifest = create_artifact(server, b"one")
    file = upload_artifact(server, artifact, manifest, b"one")
    server.query(COMMIT, id=artifact["id"])
    answer = server.http.put(get_path(file["uploadUrl"]), content=b"{}")
    assert answer.status_code == 400
    assert server.http.get(get_path(file["directUrl"])).text == manifest
    assert server.ask(CREATE_MANIFEST, id=artifact["id"]).status_code == 400
