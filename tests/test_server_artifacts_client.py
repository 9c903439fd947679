"""What the stock client does with artifacts, tables, collections and files, in real processes."""

import concurrent.futures
import re
import sys

import pytest
from server_support import open_server_process
from test_server_client import run_client

INCREMENTS = """
import pathlib, wandb

def log_file(name, incremental):
    pathlib.Path(name).write_text(name)
    with wandb.init() as run:
        made = wandb.Artifact("grown", "dataset", incremental=incremental)
        made.add_file(name)
        run.log_artifact(made).wait()

def log_rows(rows, **where):
    with wandb.init(id="table", **where) as run:
        table = wandb.Table(columns=["step", "name"], log_mode="INCREMENTAL")
        for row in rows:
            table.add_data(*row)
            run.log({"rows": table})

log_file("first.txt", False)
log_file("second.txt", True)
grown = wandb.Api().artifact("grown:latest")
assert sorted(grown.manifest.entries) == ["first.txt", "second.txt"], grown.manifest.entries
folder = pathlib.Path(grown.download("grown"))
assert {path.name: path.read_text() for path in folder.iterdir()} == {
    "first.txt": "first.txt", "second.txt": "second.txt"}
log_file("second.txt", False)
assert list(wandb.Api().artifact("grown:latest").manifest.entries) == ["second.txt"]

rows = [[number, str(number)] for number in range(6)]
log_rows(rows[:2])
log_rows(rows[2:4], resume="must")
log_rows(rows[4:], resume="must")
kept = wandb.Api().artifact("run-table-incr-rows:latest")
last = max((e for e in kept.manifest.entries if e.endswith(".table.json")),
           key=lambda name: int(name.split("-")[1].split(".")[0]))
assert kept.get(last.removesuffix(".table.json")).data == rows
print("all well")
"""
COLLECTIONS = """
import pathlib, wandb

for number in range(12):
    pathlib.Path(f"file{number}.txt").write_text(str(number))
with wandb.init(id="maker") as run:
    made = wandb.Artifact("many", "dataset")
    for number in range(12):
        made.add_file(f"file{number}.txt")
        run.save(f"file{number}.txt")
    run.log_artifact(made).wait()
api = wandb.Api()
many = api.artifact("many:v0")
assert len(many.files()) == 12
assert [f.name for f in many.files(names=["file3.txt", "file7.txt"])] == ["file3.txt", "file7.txt"]
assert len(many.files(names=["file3.txt"])) == 1
assert all(f.storage_path.startswith("wandb_artifacts/") for f in many.files(per_page=5))
assert open(next(iter(many.files(names=["file3.txt"]))).download("f").name).read() == "3"
assert len(api.run("maker").files(per_page=5)) == len(list(api.run("maker").files()))
assert api.run("maker").file("./file3.txt").name == "file3.txt"

collection = api.artifact_collection("dataset", "many")
collection.change_type("model")
assert api.artifact("many:v0").type == "model"
collection = api.artifact_collection("model", "many")
collection.name, collection.description, collection.type = "renamed", "about it", "dataset"
collection.tags = ["kept"]
collection.save()
again = api.artifact_collection("dataset", "renamed")
assert (again.description, list(again.tags)) == ("about it", ["kept"])

with wandb.init(id="other") as run:
    same = wandb.Artifact("renamed", "dataset")
    for number in range(12):
        same.add_file(f"file{number}.txt")
    assert run.log_artifact(same).wait().version == "v0"
assert [a.name for a in api.run("other").logged_artifacts()] == ["renamed:v0"]

for number in range(2):
    with wandb.init(id=f"part{number}", group="g") as run:
        part = wandb.Artifact("shared", "dataset")
        part.add_file(f"file{number}.txt")
        (run.finish_artifact if number else run.upsert_artifact)(part)
assert sorted(wandb.Api().artifact("shared:v0").manifest.entries) == ["file0.txt", "file1.txt"]

spec = {"mark": "bar", "data": {"name": "wandb"}}
chart = dict(entity="bpsweep", name="bars", display_name="Bars", spec_type="vega2",
             access="private", spec=spec)
assert api.create_custom_chart(**chart) == "bpsweep/bars"
print("all well")
"""
# Loopback needs neither HTTPS nor another origin; everything else must pass.
WARNED = {
    "Checking requests to base url",
    "Checking requests made over signed URLs",
    "Checking CORs configuration of the bucket",
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Play all scenes at once on one server: the client waits more than it works."""
    root = tmp_path_factory.mktemp("scenes")
    with (
        open_server_process(root / "store") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        started = {}
        for scene in (play_increments, play_collections, verify):
            folder = root / scene.__name__
            folder.mkdir()
            started[scene] = pool.submit(scene, server, folder)
        yield started


@pytest.mark.slow
def test_increments_keep_what_was_there_and_tables_their_order(scenes):
    scenes[play_increments].result()


def play_increments(server, folder):
    answer = run_client(
        server, folder, sys.executable, "-c", INCREMENTS, WANDB_PROJECT="increments"
    )
    assert answer.stdout.splitlines()[-1] == "all well"


@pytest.mark.slow
def test_files_collections_shared_versions_and_charts(scenes):
    scenes[play_collections].result()


def play_collections(server, folder):
    answer = run_client(
        server, folder, sys.executable, "-c", COLLECTIONS, WANDB_PROJECT="collections"
    )
    assert answer.stdout.splitlines()[-1] == "all well"


@pytest.mark.slow
def test_wandb_verify_finds_the_server_in_order(scenes):
    answer = scenes[verify].result()
    checks = dict(re.findall(r"^(Checking [^.]+)\.*(\W)$", answer.stdout, re.MULTILINE))
    assert len(checks) >= 10, answer.stdout
    assert {name for name, mark in checks.items() if mark != "\u2705"} == WARNED, answer.stdout


def verify(server, folder):
    return run_client(server, folder, "wandb", "verify", "--host", server.address["url"])
