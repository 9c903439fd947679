"""A run that learns nothing says so: in its lines, in its summary, and where the sweep shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bpsweep.agent.config import RunConfig
from bpsweep.agent.runs.describe import describe_provenance
from bpsweep.agent.runs.trial import Trial
from bpsweep.agent.sweep.progress import describe_end
from bpsweep.agent.tracking.sweeps import RunProgress
from bpsweep.agent.training.inputs import load_inputs

SETTINGS = {"image_size": 32, "split": "image", "subset": "all-4h", "batch_size": 16, "epochs": 3}


class Recorder:
    """Stands for the run at W&B: keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.summary: dict[str, Any] = {}

    def say(self, text: str) -> None:
        self.said.append(text)

    def save_summary(self, values: Mapping[str, Any]) -> None:
        self.summary.update(values)

    def must_stop(self) -> bool:
        return False

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def work_off(folder: Path, tmp_path: Path, **settings: object) -> Recorder:
    """Train a run to its end, and return what it said."""
    trial = Trial()
    recorder = trial.tracked = Recorder()  # type: ignore[assignment]
    trial.config = RunConfig(**{**SETTINGS, **settings})
    trial.inputs = load_inputs(trial.config, folder, tmp_path / "cache")
    trial.provenance = describe_provenance(trial.inputs)
    trial.close(trial.train())
    return recorder


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_learning_rate_of_9_is_named_in_every_line_and_in_the_summary(
    small_set: Path, tmp_path: Path, task: str
) -> None:
    told = work_off(small_set, tmp_path, learning_rate=9.0, model="lenet5", task=task)
    lines = [line for line in told.said if line.startswith("epoch")]
    assert len(lines) == 3
    assert all("; it names" in line for line in lines)
    assert "learning_rate 9 is likely too high" in told.said[-1]
    assert told.summary["one_class"] in lines[0].rsplit("; it ", maxsplit=1)[-1].replace(
        "no label for any cell", "none"
    )
    assert told.summary["diagnosis"].startswith("names ")
    ended = describe_end(RunProgress("swift", "finished", {"learning_rate": 9.0}, told.summary))
    assert ", but it names " in ended and "likely too high" in ended


def test_a_loss_that_stays_is_named_and_one_that_falls_is_not(
    small_set: Path, tmp_path: Path
) -> None:
    told = work_off(small_set, tmp_path, learning_rate=1e-7, model="mlp")
    assert "training loss that stays at" in told.summary["diagnosis"]
    assert "learning_rate 1e-07 is likely too low" in told.said[-1]
    told = work_off(small_set, tmp_path, learning_rate=1e-3, model="mlp")
    assert "diagnosis" not in told.summary and "one_class" not in told.summary
    assert not any("; it names" in line for line in told.said)
