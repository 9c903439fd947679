"""What the tests of the pages share: a browser that may speak to loopback alone, stores to show."""

import contextlib
import io
import json
import random
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from server_support import KEY, LocalServer

from bpsweep.server import scheduler
from bpsweep.server.context import Context
from bpsweep.server.store import agents, files, history, projects, runs, trials

expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ACCURACY_GRID = """
name: cells
program: agent
method: grid
metric: {name: val/accuracy, goal: maximize}
parameters:
  model: {values: [lenet5, mlp]}
  batch_size: {values: [16, 32, 64, 128, 256]}
  learning_rate: {values: [0.003, 0.001, 0.0003, 0.0001, 0.00003]}
  normalize: {values: [minmax, percentile]}
  seed: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}
"""
PROVENANCE = {
    "synthetic": True,
    "data_checksum": "d4f1",
    "split_checksum": "5b17",
    "n_validation": 40,
    "audit": "every plate holds one condition",
    "versions": {"wandb": "0.31.0"},
}


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium for the length of a block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def log_in(page: Page, base: str, path: str = "/", key: str = KEY) -> None:
    """Give the key on the login page and go on to a path."""
    page.goto(base + path)
    page.fill("input[name=key]", key)
    page.keyboard.press("Enter")
    page.wait_for_url(base + path)


def score(args: dict[str, Any], rng: random.Random) -> float:
    """Return what a configuration reaches: LeNet-5, small batches and percentiles do better."""
    top = 0.6 + 0.15 * (args["model"] == "lenet5") + 0.04 * (args["normalize"] == "percentile")
    return top - 0.0003 * args["batch_size"] + rng.gauss(0, 0.012)


def fill_sweep(
    context: Context, sweep: dict[str, Any], n_runs: int, n_epochs: int, *, state: str = "finished"
) -> list[str]:
    """Put a sweep's first runs into the store as agents would have; return their names."""
    rng = random.Random(3)
    names = []
    with context.database.write() as db:
        row = db.execute("SELECT * FROM sweeps WHERE name = ?", (sweep["name"],)).fetchone()
        agent = agents.create_agent(db, row["id"], "node1")
        for number in range(n_runs):
            suggestion, _ = scheduler.compute_suggestion(db, {**row, "cursor": number})
            assert suggestion is not None
            args = {key: entry["value"] for key, entry in suggestion.args.items()}
            run = runs.create_run(
                db,
                row["project_id"],
                f"{sweep['name']}{number}",
                sweep_id=row["id"],
                agent_id=agent["id"],
                state=state,
                host="node1",
                config=json.dumps({**suggestion.args, "provenance": {"value": PROVENANCE}}),
                started_at=1_000.0,
                finished_at=1_020.0,
            )
            trials.create_trial(
                db,
                row["id"],
                run["id"],
                config_key=suggestion.key,
                ordinal=number,
                args=json.dumps(suggestion.args),
                reason=suggestion.reason,
                acknowledged=1,
            )
            lines = make_epochs(score(args, rng), n_epochs, rng)
            history.write_history(db, run, 0, lines, "val/accuracy")
            runs.save_run(db, run["id"], summary_metrics=lines[-1])
            names.append(run["name"])
        db.execute(
            "UPDATE sweeps SET cursor = ?, state = 'RUNNING' WHERE id = ?", (n_runs, row["id"])
        )
    return names


def make_epochs(top: float, n_epochs: int, rng: random.Random) -> list[str]:
    """Return history lines of a training that rises to an accuracy."""
    lines = []
    for epoch in range(1, n_epochs + 1):
        accuracy = top - 0.3 * 0.8**epoch + rng.gauss(0, 0.006)
        values = {
            "epoch": epoch,
            "train/loss": 0.7 * 0.9**epoch,
            "val/loss": 1 - accuracy,
            "val/accuracy": accuracy,
            "val/jaccard": accuracy,
            "val/hamming": 1 - accuracy,
            "elapsed_s": 0.4 * epoch,
            "_step": epoch - 1,
            "_runtime": 0.5 * epoch,
        }
        lines.append(json.dumps(values))
    return lines


def save_file(server: LocalServer, run_name: str, name: str, content: bytes, kind: str) -> int:
    """Put a file of a run into the store as an upload would; return its number."""
    with server.context.database.write() as db:
        project = projects.require_project(db, "bpsweep", "p")
        run = runs.find_run(db, project["id"], run_name)
        assert run is not None
        file = files.ensure_file(db, run["id"], name)
        path = server.context.uploads.locate_run_file(run["id"], file["id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.save_upload(db, file["id"], size=len(content), md5="m", mimetype=kind)
        return int(file["id"])


def save_cells(server: LocalServer, run_name: str, wrong: set[int], n: int = 8) -> list[str]:
    """Give a run predictions of n cells, some of them wrong, and pictures of the first four."""
    cells = [f"P270_cell{i}.tif" for i in range(n)]
    head = "cell,plate,well,field,particle,dose_gy,hour,true Fe,true X-ray,p Fe,p X-ray"
    lines = [head]
    for i, cell in enumerate(cells):
        is_iron = i % 2 == 0
        p_iron = 0.8 if is_iron != (i in wrong) else 0.1
        particle = "Fe" if is_iron else "X-ray"
        truth = f"{int(is_iron)},{int(not is_iron)}"
        lines.append(f"{cell},P270,A{i},1,{particle},0.82,4,{truth},{p_iron},{1 - p_iron:.6g}")
    text = "\n".join(lines) + "\n"
    save_file(server, run_name, "predictions.csv", text.encode(), "text/csv")
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "PNG")
    names = [f"media/images/samples/right_9_{i}.png" for i in range(4)]
    for name in names:
        save_file(server, run_name, name, buffer.getvalue(), "image/png")
    captions = [f"synthetic, true Fe; predicted Fe (80%); {cell}" for cell in cells[:4]]
    media = {"_type": "images/separated", "filenames": names, "captions": captions}
    server.log(run_name, {"samples/right": media}, offset=1_000)
    return cells
