"""Requests that are small and mean much: each is refused in time, with its reason."""

import gzip
import json
import time

import pytest
from server_support import KEY, open_local_server

from bpsweep.server.errors import BadRequestError
from bpsweep.server.jsontext import MAX_DEPTH, load_json
from bpsweep.server.sweepfile import read_config
from bpsweep.server.yamltext import load_yaml

HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
NESTED = "{a: {parameters: " * 300 + "{b: {value: 1}}" + "}}" * 300


def nest(levels, opening="[", closing="]"):
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("marks", [("[", "]"), ('{"a":', "}")])
def test_json_is_read_to_a_depth(marks):
    assert load_json(nest(MAX_DEPTH, *marks))
    for levels in (MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(ValueError, match="nested deeper than 100 levels"):
            load_json(nest(levels, *marks))
    assert len(load_json("[" + "[]," * 500 + "[]]")) == 501  # wide is not deep


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (NESTED, "nested deeper than 40 levels"),
        ("{a: " * 5_000 + "1" + "}" * 5_000, "nested deeper"),
        ("{a: {values: *a8}}", "stands for more than 100,000 values"),
        ("&p {a: {parameters: *p}}", "an alias that refers to itself"),
        ("{a: {min: .nan, max: 1.0}}", "parameters.a.min is nan: a number is finite"),
        ("{a: {min: 0, max: 9999999999999999999}}", "whole ones are below 2"),
        (f"{{a: {{value: {'9' * 400}}}}}", "whole ones are below 2"),
        (f"{{a: {{value: {'9' * 5_000}}}}}", "a value that cannot be"),
        ("{a: {values: [2020-01-01]}}", r"parameters.a.values\[0\] is a date, quote it"),
        ("{a: {value: 2020-13-45}}", "a value that cannot be: month"),
        ("{a: {values: !!set {x, y}}}", "parameters.a.values is a set"),
        ("{a: {values: !!python/object/apply:os.system [ls]}}", "is not YAML"),
        ("{1: {value: 2}}", r"parameters.1 has a name that is not a text \(int\)"),
        (f"{{a: {{value: {'x' * 1_000_000}}}}}", "at most 1,000,000 characters"),
    ],
)
def test_sweep_configs_that_mean_too_much_are_refused_at_once(parameters, message):
    bomb = BOMB if "*a8" in parameters else ""
    start = time.monotonic()
    with pytest.raises(BadRequestError, match=message):
        read_config(f"{bomb}method: random\nparameters: {parameters}\n")
    assert time.monotonic() - start < 5


def test_aliases_in_bounds_are_what_they_stand_for():
    text = "base: &b {lr: 0.1}\nrun: {<<: *b, steps: 3}\nnone: null\nday: '2020-01-01'"
    assert load_yaml(text, "it") == {
        "base": {"lr": 0.1},
        "run": {"lr": 0.1, "steps": 3},
        "none": None,
        "day": "2020-01-01",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    with open_local_server(folder / "store", max_body_bytes=1_000_000) as opened:
        opened.start_run("r")
        yield opened


def make_stream(line, name=HISTORY):
    return json.dumps({"files": {name: {"offset": 0, "content": [line]}}}).encode()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (make_stream('{"x": ' + nest(500) + "}"), {}),
        (make_stream('{"x": ' + nest(100_000) + "}"), {}),
        (make_stream('{"x": ' + nest(500) + "}", SUMMARY), {}),
        (make_stream('{"x": ' + nest(500) + "}", "wandb-events.jsonl"), {}),
        (b'{"files": ' + nest(100_000).encode() + b"}", {}),
        (make_stream('{"a": ' + "9" * 5_000 + "}"), {}),
        (make_stream('{"a": "\x00"}'), {}),
        (b'{"files": {"wandb-history.jsonl": {"offset": 0, "content": ["\xff\xfe"]}}}', {}),
        (make_stream('{"a": 1}')[:40], {}),
        (gzip.compress(gzip.compress(b" " * 50_000_000)), {"content-encoding": "gzip"}),
        (gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"}),
    ],
)
def test_streams_that_cannot_be_kept_are_refused(server, body, headers):
    path = "/files/bpsweep/p/r/file_stream"
    answer = server.http.post(path, content=body, headers=headers, auth=("api", KEY))
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]
    assert server.find_run("r")["historyLineCount"] == 0


def test_an_artifact_without_a_client_id_is_nobody_elses(server):
    create = """mutation C($name: String!) { createArtifact(input: {entityName: "bpsweep",
        projectName: "p", artifactTypeName: "t", artifactCollectionName: $name, digest: $name,
        clientID: ""}) { artifact { id } } }"""
    first, second = (server.query(create, name=name)["createArtifact"] for name in "ab")
    assert first["artifact"]["id"] != second["artifact"]["id"]


def test_a_text_that_cannot_be_stored_is_said(server):
    mutation = """mutation M($text: String) { upsertModel(input: {entityName: "bpsweep",
        name: "p", description: $text}) { project { id } } }"""
    body = json.dumps({"query": mutation, "variables": {"text": "\ud800"}})
    answer = server.http.post("/graphql", content=body, auth=("api", KEY))
    assert answer.status_code == 400
    assert "half a surrogate pair" in answer.json()["errors"][0]["message"]
