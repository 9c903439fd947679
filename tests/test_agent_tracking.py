"""Runs at W&B, by the stock client offline: what each keeps, and what a process looks up once."""

from pathlib import Path

import pytest
import wandb.util

from bpsweep.agent.errors import ClientServiceError
from bpsweep.agent.tracking import run as run_module
from bpsweep.agent.tracking.run import RunSpec, TrackedRun


def fail(*_: object) -> None:
    raise AssertionError("looked up again")


def test_runs_of_a_process_look_packages_and_git_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setattr(wandb.util, "working_set", fail)
    commits = []
    for number in range(2):
        with TrackedRun(RunSpec(values={"seed": number})) as run:
            listed = (Path(run._run.dir) / "requirements.txt").read_text().splitlines()
            commits.append(run._run.settings.git_commit)
        monkeypatch.setattr("bpsweep.agent.tracking.origin.distributions", fail)
    assert any(line.startswith("torch==") for line in listed)
    assert listed == sorted(listed)
    assert commits[0] == commits[1]


def test_a_dead_service_is_named_as_such_when_a_run_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else whoever opens runs would not start another, and all that follow would fail."""

    def die(*_: object) -> None:
        raise ClientServiceError("wandb-core has died")

    monkeypatch.setattr(run_module, "insist", die)
    with pytest.raises(ClientServiceError):
        TrackedRun(RunSpec()).open()
