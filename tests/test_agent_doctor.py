"""The doctor: it names what keeps a sweep from working, and how to mend it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bpsweep.agent.command import doctor
from bpsweep.agent.command.main import app
from bpsweep.agent.training.cores import THREADS


def ask() -> tuple[int, dict[str, dict[str, str | None]]]:
    said = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(said.stdout)
    assert found["works"] is (said.exit_code == 0)
    return said.exit_code, {finding["name"]: finding for finding in found["findings"]}


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS, "1")
    status, found = ask()
    assert status == 0, found
    assert "torch 2." in str(found["versions"]["text"])
    assert found["step on the CPU"]["text"] and "1 threads" in str(found["cores"]["text"])
    assert CliRunner().invoke(app, ["doctor"]).stdout.startswith("versions: python 3.")


@pytest.mark.parametrize(
    ("variable", "value", "name", "says"),
    [
        ("BPSWEEP_HOME", "/proc/nowhere", "BPSWEEP_HOME", "Set BPSWEEP_HOME to a folder"),
        ("BPSWEEP_DATA_DIR", "/nowhere", "images", "meta.csv' is not there"),
        ("BPSWEEP_DEVICE", "abacus", "training", "BPSWEEP_DEVICE='abacus' cannot be used"),
        ("WANDB_BASE_URL", "http://127.0.0.1:9", "W&B server", "no W&B server answers"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch, variable, value, name, says) -> None:
    monkeypatch.setenv(THREADS, "1")
    monkeypatch.setenv(variable, value)
    if variable == "WANDB_BASE_URL":
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    status, found = ask()
    assert status == 1
    assert says in str(found[name]["problem"])


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "NEEDED_GB", 1e9)
    assert "make room" in str(doctor._examine_home().problem)
