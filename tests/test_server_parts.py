"""Large files in parts: joined whole or not at all."""

import hashlib
import os
import time

import pytest
from server_support import make_digest, open_local_server
from test_server_artifacts import start_version
from test_server_files import COMMIT, get_path

from bpsweep.server.parts import Parts

CREATE = """mutation C($files: [CreateArtifactFileSpecInput!]!) {
    createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) { files { edges { node {
    storagePath uploadUrl artifact { id } uploadMultipartUrls {
    uploadID uploadUrlParts { partNumber uploadUrl } } } } } } }"""
COMPLETE = """mutation Complete($action: CompleteMultipartAction!, $parts: [UploadPartsInput!]!,
    $artifactID: ID!, $storagePath: String!, $uploadID: String!) {
    completeMultipartUploadArtifact(input: {completeMultipartAction: $action,
    completedParts: $parts, artifactID: $artifactID, storagePath: $storagePath,
    uploadID: $uploadID}) { digest } }"""
PIECES = [b"first " * 1_000, b"second " * 1_000, b"third"]
WHOLE = b"".join(PIECES)


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store") as opened:
        opened.start_run("r")
        yield opened


@pytest.fixture
def artifact(server):
    return start_version(server, {"big.bin": WHOLE})


def announce(server, artifact, content=WHOLE):
    parts = [
        {"partNumber": number, "hexMD5": hashlib.md5(piece).hexdigest()}
        for number, piece in enumerate(PIECES, start=1)
    ]
    spec = {
        "artifactID": artifact["id"],
        "name": "big.bin",
        "md5": make_digest(content),
        "uploadPartsInput": parts,
    }
    (edge,) = server.query(CREATE, files=[spec])["createArtifactFiles"]["files"]["edges"]
    return edge["node"]


def send(server, node, pieces):
    """Upload parts, the last first, and return what the client says of each when all are here."""
    said = []
    urls = node["uploadMultipartUrls"]["uploadUrlParts"]
    for part, piece in reversed(list(zip(urls, pieces, strict=False))):
        headers = {"Content-MD5": make_digest(piece)}
        answer = server.http.put(get_path(part["uploadUrl"]), content=piece, headers=headers)
        assert answer.status_code == 200
        said.insert(0, {"partNumber": part["partNumber"], "hexMD5": answer.headers["etag"]})
    return said


def complete(server, node, parts):
    return server.ask(
        COMPLETE,
        action="Complete",
        parts=parts,
        artifactID=node["artifact"]["id"],
        storagePath=node["storagePath"],
        uploadID=node["uploadMultipartUrls"]["uploadID"],
    )


def list_parts(server):
    return [path for path in (server.store / "uploads" / "parts").rglob("*") if path.is_file()]


def test_parts_become_one_file(server, artifact):
    node = announce(server, artifact)
    parts = send(server, node, PIECES)
    for _ in range(2):  # the client that got no answer in time asks again
        digest = complete(server, node, parts).json()["data"]["completeMultipartUploadArtifact"]
        assert digest == {"digest": make_digest(WHOLE)}
    blob = server.context.uploads.locate_blob(hashlib.md5(WHOLE).hexdigest())
    assert blob.read_bytes() == WHOLE
    assert list_parts(server) == []
    again = announce(server, artifact)
    assert (again["uploadUrl"], again["uploadMultipartUrls"]) == (None, None)


def test_a_part_that_is_missing_is_named(server, artifact):
    node = announce(server, artifact)
    parts = send(server, node, PIECES[:2])
    answer = complete(server, node, [*parts, {"partNumber": 3, "hexMD5": '"x"'}])
    assert answer.status_code == 400
    assert "parts 3 have not been uploaded" in answer.text
    assert len(list_parts(server)) == 2


def test_parts_that_make_another_file_are_refused_and_forgotten(server, artifact):
    node = announce(server, artifact, content=b"something else")
    answer = complete(server, node, send(server, node, PIECES))
    assert answer.status_code == 400
    assert "announced was" in answer.text
    assert list_parts(server) == []
    refused = server.ask(COMMIT, id=artifact["id"])
    assert refused.status_code == 400


def test_a_broken_part_is_refused(server, artifact):
    node = announce(server, artifact)
    url = get_path(node["uploadMultipartUrls"]["uploadUrlParts"][0]["uploadUrl"])
    headers = {"Content-MD5": make_digest(PIECES[0])}
    assert server.http.put(url, content=b"broken", headers=headers).status_code == 400
    assert server.http.put(url.partition("?")[0], content=PIECES[0]).status_code == 401
    assert list_parts(server) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"uploadID": "../x"}, "not one of parts of"),
        ({"uploadID": "{md5}-../x"}, "is not the id of an upload"),
        ({"storagePath": "wandb_artifacts/" + "0" * 32}, "not one of parts of"),
        ({"parts": []}, "not one of parts of"),
        ({"parts": [{"partNumber": 2, "hexMD5": ""}]}, "numbered 1, 2, 3"),
    ],
)
def test_a_completion_that_makes_no_sense_is_refused(server, artifact, values, said):
    node = announce(server, artifact)
    sent = {
        "action": "Complete",
        "parts": [{"partNumber": 1, "hexMD5": ""}],
        "artifactID": node["artifact"]["id"],
        "storagePath": node["storagePath"],
        "uploadID": node["uploadMultipartUrls"]["uploadID"],
        **values,
    }
    md5 = hashlib.md5(WHOLE).hexdigest()
    sent["uploadID"] = sent["uploadID"].replace("{md5}", md5)
    answer = server.ask(COMPLETE, **sent)
    assert answer.status_code == 400
    assert said in answer.text


def test_parts_of_an_upload_that_was_given_up_go(server, artifact):
    node = announce(server, artifact)
    send(server, node, PIECES)
    (folder,) = {path.parent for path in list_parts(server)}
    Parts(server.context.uploads, keep_s=3_600)
    assert len(list_parts(server)) == 3
    os.utime(folder, (time.time() - 7_200,) * 2)
    Parts(server.context.uploads, keep_s=3_600)
    assert list_parts(server) == []
