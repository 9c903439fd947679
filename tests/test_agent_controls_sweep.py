"""The trap, end to end: a score that is the plate's is not taken for the damage, one that is, is.

And what stands beside a sweep: interrupted controls that go on, replicates, the test part.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from sweep_support import (
    BPSWEEP,
    find_sweep_path,
    list_descendants,
    make_environment,
    make_sweep_yaml,
    read_report,
    run_bpsweep,
    wait_until,
)

from bpsweep.agent.verdict.controls import N_SHUFFLES
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic

N_IMAGES = 3600  # of six conditions; 1,155 of them are at the high dose
TRAP = SyntheticSettings(N_IMAGES, plate_effect=1.0, radiation_effect=0.0)
DAMAGE = SyntheticSettings(N_IMAGES, plate_effect=0.0, radiation_effect=4.0)
PUBLISHED = {"model": "lenet5", "subset": "hi-4h", "split": "image", "batch_size": 16}


def sweep_set(folder: Path, settings: SyntheticSettings, **parameters: Any) -> tuple[str, Any]:
    """Make a set, run a sweep on it; return what it said and its report."""
    make_synthetic(folder / "images", settings)
    environment = make_environment(folder / "home", folder / "images")
    path = make_sweep_yaml(folder, **{**PUBLISHED, **parameters})
    done = run_bpsweep("run", str(path), environment=environment, timeout_s=280)
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(find_sweep_path(done.stdout), folder, environment)
    return " ".join(done.stdout.split()), report


@pytest.mark.slow
@pytest.mark.timeout(400)  # a minute on two idle cores
def test_a_score_that_is_the_plates_is_not_for_the_right_reason(tmp_path: Path) -> None:
    said, report = sweep_set(
        tmp_path, TRAP, image_size=48, normalize="clip", epochs=8, learning_rate=[0.001, 0.0005]
    )
    best = report["configurations"][0]
    assert best["val_accuracy"] >= 0.8 and best["verdict"] in ("reached", "likely")
    controls = report["controls"]
    assert {run["control"] for run in controls["runs"]} >= {"background", "brightness"}
    assert controls["reason"] == "plate" and controls["right_reason"] is False
    assert max(run["value"] for run in controls["runs"] if run["control"] == "brightness") > 0.75
    assert controls["sham_auc"]["low"] > 0.6, "unirradiated cells are told apart"
    assert "The score can be explained by the plate" in said
    assert said.index("Audit: particle and dose follow from the plate") < said.index("The best is")


@pytest.mark.slow
@pytest.mark.timeout(400)  # a minute on two idle cores
def test_a_score_that_is_the_damages_is_for_the_right_reason(tmp_path: Path) -> None:
    said, report = sweep_set(
        tmp_path,
        DAMAGE,
        image_size=64,
        normalize="percentile",
        augment=True,
        epochs=20,
        learning_rate=[0.001, 0.0005],
    )
    best = report["configurations"][0]
    assert best["val_accuracy"] >= 0.8 and best["verdict"] in ("reached", "likely")
    controls = report["controls"]
    assert controls["reason"] == "right" and controls["right_reason"] is True
    values = {run["control"]: run["value"] for run in controls["runs"]}
    assert values["background"] < 0.65 and values["brightness"] < 0.65
    assert values["nucleus"] > 0.7
    sham = controls["sham_auc"]
    assert sham["low"] < 0.5 < sham["high"] or abs(sham["value"] - 0.5) < 0.1
    assert "The score can be explained by the plate" not in said


@pytest.mark.slow
@pytest.mark.timeout(600)  # a dozen commands one after the other
def test_controls_replicates_and_the_test_part(tmp_path: Path, small_set: Path) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    settings = {"epochs": 2, "batch_size": [8, 16], "split": "image", "test_part": True}
    path = make_sweep_yaml(tmp_path, **settings)
    done = run_bpsweep("run", str(path), "--no-controls", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = find_sweep_path(done.stdout)
    assert read_report(sweep, tmp_path, environment)["controls"]["reason"] in (
        "not run",
        "no target",
    )

    check_interruption(sweep, tmp_path, environment)
    done = run_bpsweep("controls", sweep, environment=environment)
    counted = re.search(r"(\d) to run, (\d) there already", done.stdout)
    assert counted, done.stdout + done.stderr
    n_left, n_there = map(int, counted.groups())
    assert n_left + n_there == 5 + N_SHUFFLES and n_there > 0, "what was done before Ctrl-C is kept"
    done = run_bpsweep("controls", sweep, environment=environment)
    assert f"0 to run, {5 + N_SHUFFLES} there already" in done.stdout
    runs = read_report(sweep, tmp_path, environment)["controls"]["runs"]
    names = {"background", "nucleus", "shuffled-labels", "histogram", "brightness"}
    assert {run["control"] for run in runs} == names

    arguments = ("replicate", sweep, "--top", "2", "--seeds", "2")
    done = run_bpsweep(*arguments, environment=environment)
    assert "4 to run." in done.stdout, done.stdout + done.stderr
    assert "0 to run, 4 there already" in run_bpsweep(*arguments, environment=environment).stdout
    rows = read_report(sweep, tmp_path, environment)["configurations"]
    assert [row["n_runs"] for row in rows] == [3, 3]
    assert all(row["spread_over_seeds"] is not None for row in rows)

    done = run_bpsweep("evaluate", sweep, environment=environment)
    assert done.returncode == 0 and "untouched test part" in done.stdout, done.stderr
    found = read_report(sweep, tmp_path, environment)["test"]
    assert found["n_cells"] == 48
    refused = run_bpsweep("evaluate", sweep, environment=environment)
    assert refused.returncode == 2 and "--again" in refused.stderr
    assert run_bpsweep("evaluate", sweep, "--again", environment=environment).returncode == 0
    assert read_report(sweep, tmp_path, environment)["test"]["run"] == found["run"], "first counts"

    page = tmp_path / "page.html"
    done = run_bpsweep("report", sweep, "--html", str(page), environment=environment)
    assert done.returncode == 0 and "No pictures" not in done.stdout, done.stdout + done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/webp;base64,") >= 8
    assert "No foci" not in done.stdout and "needs the images at hand" not in text


def check_interruption(sweep: str, folder: Path, environment: dict[str, str]) -> None:
    """Stop controls at work with Ctrl-C: nothing is left behind, and the command is named."""
    log = folder / "controls.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*BPSWEEP, "controls", sweep],
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    wait_until(lambda: ": accuracy" in log.read_text(), 90, "a first control")
    family = list_descendants(process.pid)
    before_s = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130, log.read_text()
    _, alive = psutil.wait_procs(family, timeout=max(0.0, before_s + 20 - time.monotonic()))
    assert not alive
    assert f"bpsweep controls {sweep}" in " ".join(log.read_text().split())
    done = run_bpsweep("report", sweep, "--json", "/dev/null", environment=environment)
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_sweep_over_folds_of_plates_has_one_verdict_and_an_excess(tmp_path: Path) -> None:
    folder = tmp_path / "hours"
    make_synthetic(folder, SyntheticSettings(n_images=1200, hours=(4, 24, 48)))
    environment = make_environment(tmp_path / "home", folder)
    folds = [f"plate-fold-{k}-of-3" for k in (1, 2, 3)]
    path = make_sweep_yaml(tmp_path, split=folds, subset="irradiated", epochs=2)
    done = run_bpsweep("run", str(path), environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(find_sweep_path(done.stdout), tmp_path, environment)
    assert report["n_configurations"] == 1
    assert report["n_plates_held_out"] == {"Fe": 5, "X-ray": 6}
    excess = report["controls"]["excess_over_sham"]
    assert len(excess["irradiated"]["plates"]) == 11
    assert excess["sham"]["n_plates"] == {"Fe": 3, "X-ray": 3}
    assert "Grade " in done.stdout and "its unit the plate" in " ".join(done.stdout.split())
    sweep = find_sweep_path(done.stdout)
    done = run_bpsweep("dose", sweep, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    response = read_report(sweep, tmp_path, environment)["dose"]
    assert {(well["particle"], well["dose_gy"]) for well in response["wells"]} == {
        *(("Fe", dose) for dose in (0.0, 0.3, 0.82)),
        *(("X-ray", dose) for dose in (0.0, 0.1, 1.0)),
    }
    done = run_bpsweep("dose", sweep, environment=environment)
    assert done.stdout.count("there already") == 3


@pytest.mark.slow
def test_models_are_compared_on_the_same_cells(tmp_path: Path, small_set: Path) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    sweeps = []
    for model in ("lenet5", "sklearn-mlp"):
        path = make_sweep_yaml(tmp_path, model=model, batch_size=[32, 64], epochs=10, split="image")
        done = run_bpsweep("run", str(path), "--no-controls", environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        sweeps.append(find_sweep_path(done.stdout))
    files = tmp_path / "compared.json", tmp_path / "compared.md"
    done = run_bpsweep(
        "compare", *sweeps, "--json", str(files[0]), "--markdown", str(files[1]),
        environment=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tables = json.loads(files[0].read_text())["tables"]
    assert [table["choice"] for table in tables] == ["published", "best"]
    assert all(table["synthetic"] and len(table["models"]) == 2 for table in tables)
    assert "LeNet-5 better by" in files[1].read_text()
    assert "ynthetic" in files[1].read_text()
