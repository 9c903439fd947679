"""What the server's tests share: the app in this process, the server as a process, the client."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from bpsweep.server.app import create_app
from bpsweep.server.context import Context
from bpsweep.server.settings import Settings
from bpsweep.server.store import users

ROOT = Path(__file__).parent.parent
KEY = "k" * 40
ENTITY, PROJECT = "bpsweep", "p"
GRID = """
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters:
  a: {values: [1, 2]}
  b: {values: [0, 5]}
"""


class LocalServer:
    """The app in this process, spoken to as the client would."""

    def __init__(self, store: Path, client: httpx.Client, context: Context) -> None:
        self.store, self.http, self.context = store, client, context

    def ask(self, query: str, **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return self.http.post("/graphql", json=body, auth=("api", KEY))

    def query(self, query: str, **variables: Any) -> Any:
        answer = self.ask(query, **variables)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def make_sweep(self, config: str = GRID) -> dict[str, Any]:
        mutation = """mutation UpsertSweep($config: String) { upsertSweep(input: {
            config: $config, entityName: "bpsweep", projectName: "p"}) {
            sweep { id name state } } }"""
        return self.query(mutation, config=config)["upsertSweep"]["sweep"]

    def set_state(self, sweep: dict[str, Any], state: str) -> None:
        mutation = """mutation UpsertSweep($id: ID, $state: String) {
            upsertSweep(input: {id: $id, state: $state}) { sweep { name } } }"""
        self.query(mutation, id=sweep["id"], state=state)

    def make_agent(self, sweep: dict[str, Any]) -> str:
        mutation = """mutation CreateAgent($sweep: String!) { createAgent(input: {host: "h",
            entityName: "bpsweep", projectName: "p", sweep: $sweep}) { agent { id } } }"""
        return self.query(mutation, sweep=sweep["name"])["createAgent"]["agent"]["id"]

    def beat(self, agent: str, *alive: str) -> list[dict[str, Any]]:
        mutation = """mutation Heartbeat($id: ID!, $runState: JSONString) {
            agentHeartbeat(input: {id: $id, metrics: "{}", runState: $runState}) {
            agent { id } commands } }"""
        states = json.dumps(dict.fromkeys(alive, True))
        data = self.query(mutation, id=agent, runState=states)
        return json.loads(data["agentHeartbeat"]["commands"])

    def start_run(self, name: str, **values: Any) -> dict[str, Any]:
        mutation = """mutation UpsertBucket($input: UpsertBucketInput!) {
            upsertBucket(input: $input) { bucket { id name state historyLineCount } inserted } }"""
        values = {"entityName": ENTITY, "modelName": PROJECT, "name": name, "host": "h", **values}
        return self.query(mutation, input=values)["upsertBucket"]["bucket"]

    def stream(self, name: str, **chunk: Any) -> httpx.Response:
        path = f"/files/{ENTITY}/{PROJECT}/{name}/file_stream"
        return self.http.post(path, content=json.dumps(chunk), auth=("api", KEY))

    def log(self, name: str, *points: dict[str, Any], offset: int = 0, **chunk: Any) -> Any:
        lines = [json.dumps({"_step": offset + i, **point}) for i, point in enumerate(points)]
        files = {"wandb-history.jsonl": {"offset": offset, "content": lines}} if lines else {}
        answer = self.stream(name, files=files, **chunk)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finish(self, name: str, exit_code: int = 0) -> None:
        self.log(name, complete=True, exitcode=exit_code)

    def progress(self, sweep: dict[str, Any]) -> dict[str, Any]:
        path = f"/api/sweeps/{ENTITY}/{PROJECT}/{sweep['name']}"
        answer = self.http.get(path, auth=("api", KEY))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def retry(self, sweep: dict[str, Any], **options: Any) -> dict[str, Any]:
        path = f"/api/sweeps/{ENTITY}/{PROJECT}/{sweep['name']}/retry"
        answer = self.http.post(path, json=options, auth=("api", KEY))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def find_run(self, name: str) -> dict[str, Any]:
        query = """query Run($name: String!) { project(name: "p", entityName: "bpsweep") {
            run(name: $name) { id name state stateReason stopReason stopped retryOf historyLineCount
            config summaryMetrics history(samples: 1000) } } }"""
        return self.query(query, name=name)["project"]["run"]


@contextlib.contextmanager
def open_local_server(store: Path, **settings: Any) -> Iterator[LocalServer]:
    """Serve a store in this process, so that a test can look inside and move its clock."""
    store.mkdir(parents=True, exist_ok=True)
    app = create_app(Settings(store, **settings))
    context: Context = app.state.context
    with context.database.write() as db:
        users.save_user(db, ENTITY, KEY)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, 20, 0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield LocalServer(store, client, context)
    finally:
        server.should_exit = True
        thread.join(20)


class ServerProcess:
    """`python -m bpsweep.server` on a store, with the environment that its users export."""

    def __init__(self, store: Path, *options: str) -> None:
        self.store, self.options = store, options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ServerProcess":
        with (self.store.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bpsweep.server", "--store", str(self.store), *self.options],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        wait_until(self.is_ready, 30)
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.store.parent / "server.log").read_text()
        try:
            return self.address["pid"] == self.process.pid
        except (OSError, ValueError):
            return False

    @property
    def address(self) -> dict[str, Any]:
        return json.loads((self.store / "server.json").read_text())

    @property
    def key(self) -> str:
        return (self.store / "api_key").read_text().strip()

    def get(self, path: str) -> Any:
        answer = httpx.get(self.address["url"] + path, auth=("api", self.key), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        url = self.address["url"] + path
        answer = httpx.post(url, json=body, auth=("api", self.key), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make_environment(self, folder: Path, **extra: str) -> dict[str, str]:
        """Return a clean environment for the stock client, which keeps its files in a folder."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "PYTHON"))}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "WANDB_BASE_URL": self.address["url"],
            "WANDB_API_KEY": self.key,
            "WANDB_ENTITY": ENTITY,
            "WANDB_PROJECT": "bpsweep",
            "WANDB_DIR": str(folder),
            "WANDB_CACHE_DIR": str(folder / "cache"),
            "WANDB_DATA_DIR": str(folder / "data"),
            "WANDB_CONFIG_DIR": str(folder / "config"),
            **extra,
        }

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> float:
        """Stop the server and return how many seconds it took."""
        assert self.process is not None
        start = time.monotonic()
        self.process.send_signal(sent)
        self.process.wait(timeout=20)
        return time.monotonic() - start


@contextlib.contextmanager
def open_server_process(store: Path, *options: str) -> Iterator[ServerProcess]:
    """Run the server as a process for the length of a block."""
    server = ServerProcess(store, *options).start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGKILL)


def wait_until(condition: Any, timeout_s: float, every_s: float = 0.1) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It has not come true in time.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s in vain"
        time.sleep(every_s)


def make_digest(content: bytes) -> str:
    """Return an artifact file's digest as the client writes it."""
    return base64.b64encode(hashlib.md5(content).digest()).decode()
