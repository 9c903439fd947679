"""How the server's times grow: small here, by hand with the numbers of the claims.

SCALE_RUNS=100,1000,10000 SCALE_AGENTS=50 SCALE_SECONDS=20 pytest -s tests/test_server_scale.py
"""

import base64
import concurrent.futures
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

import httpx
import pytest
from server_support import ENTITY, PROJECT, open_local_server, open_server_process

from bpsweep.server import scheduler
from bpsweep.server.store import runs, trials

SIZES = [int(size) for size in os.environ.get("SCALE_RUNS", "50,500").split(",")]
N_AGENTS = int(os.environ.get("SCALE_AGENTS", "10"))
SECONDS = float(os.environ.get("SCALE_SECONDS", "3"))
SPACE = {
    "grid": "a: {min: 0, max: 49}\n  b: {min: 0, max: 499}",
    "random": "a: {min: 0.0, max: 1.0}\n  b: {values: [1, 2, 3]}",
}
EVERY_S = float(os.environ.get("SCALE_EVERY", "0.6"))  # the client's agents: 5 s
CREATE_SWEEP = """mutation S($config: String) { upsertSweep(input: {config: $config,
    entityName: "bpsweep", projectName: "p"}) { sweep { name } } }"""
CREATE_AGENT = """mutation A($sweep: String!) { createAgent(input: {host: "h",
    entityName: "bpsweep", projectName: "p", sweep: $sweep}) { agent { id } } }"""
UPSERT = """mutation U($name: String) { upsertBucket(input: {entityName: "bpsweep",
    modelName: "p", name: $name, host: "h"}) { bucket { id } } }"""
HEARTBEAT = """mutation H($id: ID!, $states: JSONString) { agentHeartbeat(input: {id: $id,
    runState: $states}) { agent { id } commands } }"""
READER = """
import json, sys, time, wandb
api = wandb.Api()
start = time.monotonic()
sweeps = api.project(sys.argv[2], sys.argv[1]).sweeps()
names = [sweep.id for sweep in sweeps]
listed = time.monotonic()
runs = list(api.sweep("/".join(sys.argv[1:4])).runs)
values = [run.summary.get("loss") for run in api.runs("/".join(sys.argv[1:3]), per_page=1000,
          filters={"sweep": sys.argv[3]}, lazy=False)]
print(json.dumps([listed - start, time.monotonic() - listed, len(runs), len(values)]))
"""


def fill_sweep(server, method, size):
    """Put a sweep with so many finished runs into the store, as if agents had made them."""
    sweep = server.make_sweep(f"method: {method}\nparameters:\n  {SPACE[method]}\n")
    with server.context.database.write() as db:
        row = db.execute("SELECT * FROM sweeps WHERE name = ?", (sweep["name"],)).fetchone()
        for number in range(size):
            suggestion, _ = scheduler.compute_suggestion(db, {**row, "cursor": number})
            run = runs.create_run(
                db,
                row["project_id"],
                f"{method}{size}-{number}",
                sweep_id=row["id"],
                state="finished",
                config=json.dumps(suggestion.args),
                summary_metrics=json.dumps({"loss": number / size}),
            )
            trials.create_trial(
                db,
                row["id"],
                run["id"],
                config_key=suggestion.key,
                ordinal=number,
                args=json.dumps(suggestion.args),
                reason=suggestion.reason,
            )
        db.execute(
            "UPDATE sweeps SET cursor = ?, state = 'RUNNING' WHERE id = ?", (size, row["id"])
        )
    return sweep


def time_suggestions(server, sweeps, repeats=40):
    """Return for each sweep the median time of a heartbeat that is answered with a run, in ms."""
    agents = [[server.make_agent(sweep) for _ in range(repeats)] for sweep in sweeps]
    times = [[] for _ in sweeps]
    for turn in range(repeats):  # in turn, so that other work on the machine hits all alike
        for number in range(len(sweeps)):
            start = time.perf_counter()
            (command,) = server.beat(agents[number][turn])
            times[number].append((time.perf_counter() - start) * 1_000)
            assert command["type"] == "run"
    return [statistics.median(row[5:]) for row in times]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "random"])
def test_the_next_suggestion_takes_as_long_in_a_large_sweep(tmp_path, method):
    with open_local_server(tmp_path / "store", lease_seconds=1e6) as server:
        sweeps = [fill_sweep(server, method, size) for size in SIZES]
        medians = time_suggestions(server, sweeps)
    said = ", ".join(f"{size}: {ms:.1f} ms" for size, ms in zip(SIZES, medians, strict=True))
    print(f"next suggestion, {method}, by runs in the sweep: {said}")
    assert max(medians) < 1.5 * min(medians) + 2
    if "SCALE_RUNS" in os.environ:
        assert max(medians) < 20


class AgentLoad:
    """An agent and its run as the server sees them; it reports at its own moments.

    The plainest of clients, so that its own work (fifty of them share one interpreter here) is
    small beside the server's.
    """

    def __init__(self, server, sweep, number):
        address = urllib.parse.urlsplit(server.address["url"])
        self.http = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        self.http.connect()
        self.http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(f"api:{server.key}".encode()).decode()
        self.headers = {"Authorization": f"Basic {key}"}
        self.run, self.random = f"load{number}", random.Random(number)
        self.ask(UPSERT, name=self.run)
        self.agent = self.ask(CREATE_AGENT, sweep=sweep)["createAgent"]["agent"]["id"]

    def post(self, path, body):
        self.http.request("POST", path, json.dumps(body), self.headers)
        answer = self.http.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)

    def ask(self, query, **variables):
        return self.post("/graphql", {"query": query, "variables": variables})["data"]

    def drive(self, end):
        """Report and log until `end`; return how long each heartbeat took, in ms."""
        times, step = [], 0
        time.sleep(self.random.uniform(0, EVERY_S))
        while time.monotonic() < end:
            start = time.perf_counter()
            self.ask(HEARTBEAT, id=self.agent, states=json.dumps({self.run: True}))
            times.append((time.perf_counter() - start) * 1_000)
            lines = [json.dumps({"_step": step + i, "loss": i}) for i in range(20)]
            chunk = {"files": {"wandb-history.jsonl": {"offset": step, "content": lines}}}
            self.post(f"/files/{ENTITY}/{PROJECT}/{self.run}/file_stream", chunk)
            step += len(lines)
            time.sleep(EVERY_S)
        return times


@pytest.mark.slow
def test_many_agents_at_once(tmp_path):
    with open_server_process(tmp_path / "store") as server:
        config = "method: random\nparameters: {a: {min: 0.0, max: 1.0}}"
        body = {"query": CREATE_SWEEP, "variables": {"config": config}}
        sweep = server.post("/graphql", body)["data"]["upsertSweep"]["sweep"]["name"]
        agents = [AgentLoad(server, sweep, number) for number in range(N_AGENTS)]
        end = time.monotonic() + SECONDS
        with concurrent.futures.ThreadPoolExecutor(N_AGENTS) as pool:
            played = [pool.submit(agent.drive, end) for agent in agents]
            times = sorted(ms for future in played for ms in future.result())
        for agent in agents:
            agent.http.close()
        p99 = times[int(len(times) * 0.99)]
        print(
            f"{N_AGENTS} agents, {len(times) / SECONDS:.0f} heartbeats/s: median"
            f" {statistics.median(times):.1f} ms, 99th percentile {p99:.1f} ms"
        )
        rate = time_ingest(server)
        print(f"history ingest: {rate:.0f} points/s")
        if "SCALE_AGENTS" in os.environ:
            assert p99 < 100
            assert rate > 5_000


def time_ingest(server, n_chunks=40, size=1_000):
    """Return how many points a second one run's stream stores."""
    url, auth = server.address["url"], ("api", server.key)
    upsert = """mutation U { upsertBucket(input: {entityName: "bpsweep", modelName: "p",
        name: "ingest", host: "h"}) { bucket { id } } }"""
    server.post("/graphql", {"query": upsert})
    bodies = []
    for number in range(n_chunks):
        first = number * size
        lines = [json.dumps({"_step": first + i, "loss": i / 7, "acc": i}) for i in range(size)]
        chunk = {"offset": first, "content": lines}
        bodies.append(json.dumps({"files": {"wandb-history.jsonl": chunk}}))
    with httpx.Client(auth=auth, timeout=60) as http:
        start = time.perf_counter()
        for body in bodies:
            answer = http.post(f"{url}/files/bpsweep/p/ingest/file_stream", content=body)
            assert answer.status_code == 200
        return n_chunks * size / (time.perf_counter() - start)


@pytest.mark.slow
def test_a_sweep_is_read_in_time(tmp_path):
    store, size = tmp_path / "store", min(1_000, max(SIZES))
    with open_local_server(store) as local:
        sweep = fill_sweep(local, "random", size)
    with open_server_process(store) as server:
        command = [sys.executable, "-W", "ignore", "-c", READER, ENTITY, PROJECT, sweep["name"]]
        answer = subprocess.run(
            command,
            env=server.make_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        listed_s, read_s, n_runs, n_values = json.loads(answer.stdout.splitlines()[-1])
    print(f"sweep list {listed_s:.2f} s; a sweep of {n_runs} runs, twice: {read_s:.2f} s")
    assert (n_runs, n_values) == (size, size)
    if "SCALE_RUNS" in os.environ:
        assert listed_s + read_s / 2 < 2
