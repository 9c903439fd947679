import gzip
import json
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_support import ENTITY, KEY, PROJECT, open_local_server

PATH = f"/files/{ENTITY}/{PROJECT}/r/file_stream"


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store", max_body_bytes=200_000) as opened:
        opened.start_run("r")
        yield opened


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    with open_local_server(tmp_path_factory.mktemp("shared") / "store") as opened:
        yield opened


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_repeated_and_overlapping_chunks_leave_each_line_once(shared_server, data):
    n_lines = data.draw(st.integers(1, 30))
    lines = [json.dumps({"_step": i * 2, "loss": i / 3}) for i in range(n_lines)]
    name = uuid.uuid4().hex
    shared_server.start_run(name)
    ends = sorted({*data.draw(st.lists(st.integers(1, n_lines), max_size=6)), n_lines})
    for sent, end in zip([0, *ends], ends, strict=False):
        # A retry starts at or before what has arrived, and may reach beyond it.
        start = data.draw(st.integers(0, sent))
        chunk = {"wandb-history.jsonl": {"offset": start, "content": lines[start:end]}}
        for _ in range(data.draw(st.integers(1, 2))):
            assert shared_server.stream(name, files=chunk).status_code == 200
    run = shared_server.find_run(name)
    assert run["history"] == lines
    assert run["historyLineCount"] == n_lines


def test_a_stream_fills_the_run(server):
    answer = server.log(
        "r", {"loss": 2.0, "nested": {"deep": 1}}, {"loss": float("nan")}, complete=False
    )
    assert answer["stopped"] is False
    chunks = {
        "wandb-summary.json": {"offset": 0, "content": ['{"loss": NaN, "best": 1}']},
        "wandb-events.jsonl": {"offset": 0, "content": ['{"system.cpu": 3, "_runtime": 1}']},
        "output.log": {"offset": 2, "content": ["ERROR 2026-01-01T00:00:00.1 oh\n", "plain\n"]},
    }
    assert server.stream("r", files=chunks).status_code == 200
    server.finish("r")
    query = """query Q($specs: [JSONString!]!) { project(name: "p", entityName: "bpsweep") {
        run(name: "r") { state exitcode summaryMetrics systemMetrics historyKeys eventsLineCount
        sampledHistory(specs: $specs) logLines(last: 5) { edges { node { number level line } } }
        historyTail eventsTail } } }"""
    specs = ['{"keys": ["loss"]}', '{"keys": ["nested.deep", "_step"]}', "{}"]
    run = server.query(query, specs=specs)["project"]["run"]
    assert (run["state"], run["exitcode"]) == ("finished", 0)
    assert run["summaryMetrics"] == '{"loss": NaN, "best": 1}'
    assert json.loads(run["systemMetrics"]) == {"system.cpu": 3}
    assert run["sampledHistory"] == [
        [{"loss": 2.0}, {"loss": "NaN"}],
        [{"nested.deep": 1, "_step": 0}],
        [],
    ]
    assert run["historyKeys"]["lastStep"] == 1
    kinds = run["historyKeys"]["keys"]
    assert {name: kinds[name]["previousValue"] for name in ("loss", "nested.deep", "_step")} == {
        "loss": None,  # it is NaN
        "nested.deep": 1,
        "_step": 1,
    }
    assert kinds["_step"]["monotonic"]
    assert [edge["node"] for edge in run["logLines"]["edges"]] == [
        {"number": 2, "level": "error", "line": "oh"},
        {"number": 3, "level": None, "line": "plain"},
    ]
    assert json.loads(json.loads(run["historyTail"])[0])["_step"] == 1


@pytest.mark.parametrize(
    ("code", "state"), [(0, "finished"), (1, "failed"), (255, "killed"), (-9, "failed")]
)
def test_the_exit_code_gives_the_state_once(server, code, state):
    server.finish("r", code)
    server.finish("r", 0 if code else 1)
    server.log("r", {"late": 1})
    run = server.find_run("r")
    assert run["state"] == state
    assert run["historyLineCount"] == 1


def test_rows_in_a_step_range_are_those_asked_for(server):
    server.log("r", *[{"v": i} for i in range(10)])
    query = """query Q { project(name: "p", entityName: "bpsweep") { run(name: "r") {
        history(minStep: 3, maxStep: 6, samples: 3) all: history(samples: 3) } } }"""
    run = server.query(query)["project"]["run"]
    assert [json.loads(line)["v"] for line in run["history"]] == [3, 4, 5]
    assert [json.loads(line)["v"] for line in run["all"]] == [0, 4, 9]


def test_a_run_that_starts_anew_forgets_and_one_that_resumes_goes_on(server):
    server.log("r", {"v": 1}, {"v": 2})
    server.finish("r", 1)
    run = server.start_run("r", id=server.find_run("r")["id"])
    assert (run["state"], run["historyLineCount"]) == ("running", 2)
    server.finish("r", 1)
    # An old client's last word about a run that has ended changes nothing.
    server.start_run("r")
    run = server.find_run("r")
    assert (run["state"], run["historyLineCount"]) == ("failed", 2)
    # A program that begins anew writes from the first line on.
    server.log("r", {"v": 7})
    run = server.find_run("r")
    assert (run["state"], run["historyLineCount"]) == ("running", 1)
    server.finish("r")
    assert server.find_run("r")["state"] == "finished"


def fork_run(server, name, parent, step):
    branch = {"_wandb": {"value": {"branch_point": {"run_id": parent, "step": step}}}}
    mutation = """mutation UpsertBucket($input: UpsertBucketInput!) {
        upsertBucket(input: $input) { bucket { id historyLineCount summaryMetrics } } }"""
    values = {"entityName": "bpsweep", "modelName": "p", "name": name, "host": "h"}
    return server.ask(mutation, input={**values, "config": json.dumps(branch)})


def read_values(server, name):
    return [json.loads(line)["v"] for line in server.find_run(name)["history"]]


def test_a_fork_begins_with_its_parents_lines(server):
    server.log("r", *[{"v": i, "late": 1} if i > 2 else {"v": i} for i in range(5)])
    forked = fork_run(server, "f", "r", 2).json()["data"]["upsertBucket"]["bucket"]
    assert forked["historyLineCount"] == 0  # its program counts from there
    assert json.loads(forked["summaryMetrics"]) == {"_step": 2, "v": 2}
    line = json.dumps({"_step": 3, "v": 30})
    for _ in range(2):  # the second is a retry
        server.stream("f", files={HISTORY: {"offset": 0, "content": [line]}})
    assert read_values(server, "f") == [0, 1, 2, 30]
    assert read_values(server, "r") == [0, 1, 2, 3, 4]
    assert server.find_run("f")["historyLineCount"] == 1
    # A fork of the fork, and the fork rewound to before it was one.
    fork_run(server, "g", "f", 3)
    assert read_values(server, "g") == [0, 1, 2, 30]
    rewind = """mutation R { rewindRun(input: {runName: "f", entityName: "bpsweep",
        projectName: "p", metricName: "_step", metricValue: 1}) {
        rewoundRun { historyLineCount } } }"""
    assert server.query(rewind)["rewindRun"]["rewoundRun"]["historyLineCount"] == 0
    server.stream("f", files={HISTORY: {"offset": 0, "content": ['{"_step": 2, "v": 9}']}})
    assert read_values(server, "f") == [0, 1, 9]


@pytest.mark.parametrize(
    ("parent", "step", "message"),
    [
        ("nobody", 1, "run 'nobody', to be forked, does not exist"),
        ("r", 2, "a step from 0 to 1, its last; got 2"),
        ("r", -1, "a step from 0 to 1, its last; got -1"),
        ("r", "1", "got '1'"),
        (["r"], 1, "does not exist"),
    ],
)
def test_a_fork_of_nothing_is_refused(server, parent, step, message):
    server.log("r", {"v": 0}, {"v": 1})
    answer = fork_run(server, "f", parent, step)
    assert answer.status_code in (400, 404)
    assert message in answer.json()["errors"][0]["message"]
    assert (
        server.query("""query Q { project(name: "p", entityName: "bpsweep") {
        run(name: "f") { id } } }""")["project"]["run"]
        is None
    )


HISTORY = "wandb-history.jsonl"


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ({"files": []}, "'files' is an object"),
        ({"files": {HISTORY: 3}}, "needs a whole 'offset'"),
        ({"files": {HISTORY: {"offset": "0", "content": []}}}, "needs a whole 'offset'"),
        ({"files": {HISTORY: {"offset": True, "content": []}}}, "needs a whole 'offset'"),
        ({"files": {HISTORY: {"offset": -1, "content": ["{}"]}}}, "between 0 and"),
        ({"files": {HISTORY: {"offset": 10**30, "content": ["{}"]}}}, "between 0 and"),
        ({"files": {HISTORY: {"offset": 0, "content": [{}]}}}, "a list of texts"),
        ({"files": {HISTORY: {"offset": 0, "content": ["{"]}}}, "a JSON object"),
        ({"files": {HISTORY: {"offset": 0, "content": ["[]"]}}}, "a JSON object"),
        ({"files": {"wandb-summary.json": {"offset": 0, "content": ["[]"]}}}, "JSON object"),
        ({"files": {HISTORY: {"offset": 0, "content": ['{"a": "\ud800"}']}}}, "surrogate"),
        ({"complete": True, "exitcode": "no"}, "'exitcode' is a whole number"),
    ],
)
def test_malformed_chunks_say_so_and_leave_nothing(server, chunk, message):
    good = {HISTORY: {"offset": 0, "content": ['{"a": 1}']}}
    files = chunk.get("files")
    if isinstance(files, dict):
        chunk = {"files": {**good, **files}}
    answer = server.stream("r", **chunk)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert server.find_run("r")["historyLineCount"] == 0


def test_gzip_is_unpacked_within_the_limit(server):
    def post(content, encoding="gzip"):
        headers = {"content-encoding": encoding}
        return server.http.post(PATH, content=content, headers=headers, auth=("api", KEY))

    line = json.dumps({"files": {HISTORY: {"offset": 0, "content": ['{"a": 1}']}}}).encode()
    assert post(gzip.compress(line)).status_code == 200
    assert server.find_run("r")["historyLineCount"] == 1
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 200_000
    assert post(bomb).status_code == 413
    assert post(b"x" * 300_000, "identity").status_code == 413
    assert post(b"no gzip").status_code == 400
    assert post(gzip.compress(line)[:-5]).status_code == 400
    assert post(line, "br").status_code == 400
    assert post(b"\xff\xfe", "identity").status_code == 400


def test_a_run_that_does_not_exist_is_not_found(server):
    assert server.stream("nobody").status_code == 404
    assert "does not exist" in server.stream("nobody").json()["error"]


def test_chunks_are_stored_before_they_are_answered(server, tmp_path):
    # A second connection, as a process that starts after a kill has, sees what was answered.
    server.log("r", {"v": 1})
    with open_local_server(tmp_path / "store") as second:
        assert second.find_run("r")["historyLineCount"] == 1
