"""Which run is the best, which configurations are the same, and whose a run is."""

import json
import math

import numpy as np
import pytest
from server_support import GRID, KEY, open_local_server

from bpsweep.report.identity import name_configuration
from bpsweep.server.board.status import describe_status
from bpsweep.server.store import sweeps, users

ORDERED = """query R($order: String, $filters: JSONString) {
    project(name: "p", entityName: "bpsweep") { runs(order: $order, filters: $filters) {
    edges { node { name user { username } } } } } }"""


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store", lease_seconds=60) as opened:
        yield opened


def list_runs(server, order, filters=None):
    data = server.query(ORDERED, order=order, filters=json.dumps(filters or {}))
    return [edge["node"]["name"] for edge in data["project"]["runs"]["edges"]]


def take(server, agent):
    (command,) = server.beat(agent)
    assert command["type"] == "run", command
    return command["run_id"], {name: entry["value"] for name, entry in command["args"].items()}


def work(server, agent):
    name, values = take(server, agent)
    server.start_run(name, config=json.dumps({k: {"value": v} for k, v in values.items()}))
    server.log(name, {"loss": 1.0})
    server.finish(name)
    return name, values


def delete(server, name):
    mutation = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { success } }"
    server.query(mutation, id=server.find_run(name)["id"])


@pytest.mark.parametrize("kind", ["max", "min", "mean", "last", "best"])
def test_a_summary_object_orders_and_filters_by_its_number(server, kind):
    for value in (100, 20, 3):
        summary = json.dumps({"m": {kind: value}})
        server.start_run(f"r{value}", summaryMetrics=summary)
    assert list_runs(server, "-summary_metrics.m") == ["r100", "r20", "r3"]
    assert list_runs(server, "+summary_metrics.m") == ["r3", "r20", "r100"]
    assert list_runs(server, "+created_at", {"summary_metrics.m": {"$gt": 20}}) == ["r100"]


def test_the_best_loss_of_a_sweep_reads_summary_objects(server):
    sweep = server.make_sweep(GRID.replace("minimize", "maximize"))
    agent = server.make_agent(sweep)
    for value in (3, 100, 20):
        name, _ = take(server, agent)
        server.start_run(name, summaryMetrics=json.dumps({"loss": {"max": value, "min": 1}}))
        server.finish(name)
    query = """query S($name: String!) { project(name: "p", entityName: "bpsweep") {
        sweep(sweepName: $name) { bestLoss } } }"""
    assert server.query(query, name=sweep["name"])["project"]["sweep"]["bestLoss"] == 100


def test_a_metric_may_have_a_comma_and_infinite_values_are_never_best(server):
    metric = "val acc (%), top-1"
    for name, value in {"low": 1.0, "high": 2.0, "bad": -math.inf, "none": math.nan}.items():
        server.start_run(name, summaryMetrics=json.dumps({metric: value}))
    assert list_runs(server, f"-summary_metrics.{metric}")[:2] == ["high", "low"]
    assert list_runs(server, f"+summary_metrics.{metric}")[:2] == ["low", "high"]
    assert list_runs(server, f"+state,-summary_metrics.{metric},name")[0] == "high"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1.0}, {"a": 1}),
        ({"a": -0.0}, {"a": 0}),
        ({"a": np.float64(2.0)}, {"a": 2}),
        ({"a": np.int64(2)}, {"a": 2.0}),
        ({"a": [1.0, {"b": 3.0}]}, {"a": [1, {"b": 3}]}),
        ({"b": 1, "a": 2}, {"a": 2.0, "b": 1.0}),
    ],
)
def test_equal_values_are_one_configuration(one, other):
    assert name_configuration(one) == name_configuration(other)
    assert name_configuration({"a": True}) != name_configuration({"a": 1})
    assert name_configuration({"a": 1.5}) != name_configuration({"a": 1})
    assert name_configuration({"a": "1"}) != name_configuration({"a": 1})


def test_prior_runs_count_however_their_numbers_are_written(server):
    config = "program: t.py\nmethod: grid\n"
    config += "parameters: {wd: {values: [0.0, 0.01]}, n: {values: [1, 1.0]}}\n"
    sweep = server.make_sweep(config)
    agent = server.make_agent(sweep)
    for stored in (0, 0.01):  # the client stores 0.0 as 0
        name, _ = take(server, agent)
        server.start_run(name, config=json.dumps({"wd": {"value": stored}, "n": {"value": 1}}))
        server.finish(name)
    assert server.beat(agent) == [{"type": "exit"}]
    mutation = """mutation U($c: String, $f: JSONString) { upsertSweep(input: {config: $c,
        priorRunsFilters: $f, entityName: "bpsweep", projectName: "p"}) {
        sweep { name runCountExpected } } }"""
    made = server.query(mutation, c=config, f="{}")["upsertSweep"]["sweep"]
    made = server.query(mutation, c=config, f=json.dumps({"state": "finished"}))
    second = made["upsertSweep"]["sweep"]
    assert second["runCountExpected"] == 0
    assert server.beat(server.make_agent(second)) == [{"type": "exit"}]


@pytest.mark.parametrize("way", ["resume", "retry"])
@pytest.mark.parametrize("method", ["grid", "random"])
def test_the_configuration_of_a_deleted_run_is_tried_once_more(server, way, method):
    sweep = server.make_sweep(GRID.replace("grid", method))
    agent = server.make_agent(sweep)
    done = [work(server, agent) for _ in range(4)]
    assert server.beat(agent) == [{"type": "exit"}]
    gone, values = done[1]
    delete(server, gone)
    if way == "resume":
        server.set_state(sweep, "RUNNING")
    else:
        (entry,) = server.retry(sweep)["retried"]
        assert (entry["state"], entry["config"]) == ("deleted", values)
    agent = server.make_agent(sweep)
    again, found = work(server, agent)
    assert found == values
    assert again != gone
    assert server.beat(agent) == [{"type": "exit"}]
    path = f"/api/sweeps/bpsweep/p/{sweep['name']}/replay"
    assert server.http.get(path, auth=("api", KEY)).json()["differences"] == []


def test_an_agent_is_told_to_stop_a_run_that_was_deleted(server):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    name, _ = take(server, agent)
    server.start_run(name)
    assert server.beat(agent, name) == []
    delete(server, name)
    assert server.beat(agent, name) == [{"type": "stop", "run_id": name}]


def test_a_run_belongs_to_the_user_whose_key_its_program_came_with(server):
    with server.context.database.write() as db:
        users.save_user(db, "carol", "c" * 40)
    sweep = server.make_sweep()
    name, _ = take(server, server.make_agent(sweep))
    mutation = """mutation B($n: String) { upsertBucket(input: {name: $n, host: "h",
        entityName: "bpsweep", modelName: "p"}) { bucket { name } } }"""
    body = {"query": mutation, "variables": {"n": name}}
    assert server.http.post("/graphql", json=body, auth=("api", "c" * 40)).status_code == 200
    assert list_runs(server, "+created_at", {"username": "carol"}) == [name]
    assert list_runs(server, "+created_at", {"username": "bpsweep"}) == []
    data = server.query(ORDERED)
    assert data["project"]["runs"]["edges"][0]["node"]["user"]["username"] == "carol"


def test_a_metric_that_no_run_logs_is_said_after_the_first_run(server):
    sweep = server.make_sweep(GRID.replace("name: loss", "name: nope"))
    agent = server.make_agent(sweep)
    work(server, agent)
    with server.context.database.read() as db:
        reason = describe_status(db, sweeps.get_sweep(db, 1))["state_reason"]
    assert reason.startswith("no run has logged the metric 'nope', but loss")


def test_what_bayes_expects_is_said_in_the_metric_of_the_sweep(server):
    text = "program: t.py\nmethod: bayes\nmetric: {name: loss, goal: maximize}\n"
    sweep = server.make_sweep(f"{text}parameters: {{a: {{min: 0.0, max: 1.0}}}}\n")
    agent = server.make_agent(sweep)
    for _ in range(4):
        work(server, agent)
    reasons = [run["reason"] for run in server.progress(sweep)["runs"]]
    assert "no result to learn from yet" in reasons[0]
    assert "predicted loss 1 ±" in reasons[-1]
    assert not any("nan" in reason for reason in reasons)
