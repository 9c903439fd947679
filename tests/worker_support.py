"""Helpers for tests of workers: a server, a sweep on it, workers with logs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from server_support import ServerProcess, open_server_process
from sweep_support import BPSWEEP, make_sweep_yaml


class Place:
    """A server, a sweep on it, and workers with logs."""

    def __init__(self, folder: Path, images: Path, server: ServerProcess) -> None:
        self.folder, self.server = folder, server
        self.environment = server.make_environment(
            folder, BPSWEEP_HOME=str(folder / "home"), BPSWEEP_DATA_DIR=str(images), COLUMNS="200"
        )

    def make_sweep(self, **parameters: Any) -> str:
        path = make_sweep_yaml(self.folder, **parameters)
        command = [sys.executable, "-m", "wandb", "sweep", str(path)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stderr.split("wandb agent ")[1].split()[0]

    def start(self, sweep: str, *options: str, name: str = "log") -> subprocess.Popen[bytes]:
        with (self.folder / name).open("wb") as log:
            return subprocess.Popen(
                [*BPSWEEP, "agent", sweep, *options], env=self.environment, stdout=log, stderr=log
            )

    def start_stock(self, sweep: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "wandb", "agent", sweep]
            return subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )

    def said(self, name: str = "log") -> str:
        return (self.folder / name).read_text()

    def runs(self, sweep: str) -> list[dict[str, Any]]:
        return self.server.get(f"/api/sweeps/{sweep}")["runs"]

    def end(self, worker: subprocess.Popen[bytes], timeout_s: float = 120) -> int:
        try:
            return worker.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(self.said())
        finally:
            worker.kill()
            worker.wait()


@contextmanager
def open_place(folder: Path, images: Path) -> Iterator[Place]:
    """Start a server that hands crashed runs out again, soon."""
    settings = ("--max-attempts", "3", "--lease-seconds", "8")
    with open_server_process(folder / "store", *settings) as server:
        yield Place(folder, images, server)


def stop_run(place: Place, sweep: str, name: str) -> None:
    """Stop a run as the client's Api does."""
    entity, project, _ = sweep.split("/")
    find = """query Run($entity: String, $project: String, $name: String!) {
        project(name: $project, entityName: $entity) { run(name: $name) { id } } }"""
    variables = {"entity": entity, "project": project, "name": name}
    found = place.server.post("/graphql", {"query": find, "variables": variables})
    order = "mutation Stop($id: ID!) { stopRun(input: {id: $id}) { success } }"
    run_id = found["data"]["project"]["run"]["id"]
    answer = place.server.post("/graphql", {"query": order, "variables": {"id": run_id}})
    assert answer["data"]["stopRun"]["success"]
