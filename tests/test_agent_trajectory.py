"""Kept trainings: what is taken over or gone on with has the numbers of a run by itself."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training import group as group_module
from bpsweep.agent.training import loop as loop_module
from bpsweep.agent.training.epochs import EpochResult, Outcome, TrainResult
from bpsweep.agent.training.group import train_group
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.member import Member
from bpsweep.agent.trajectory import store as store_module
from bpsweep.agent.trajectory import trajectory as trajectory_module
from bpsweep.report import metrics

TIMED = (metrics.IMAGES_PER_S, metrics.ELAPSED_S)
SMALL = {"image_size": 32, "split": "image", "batch_size": 16, "subset": "all-4h"}
MODELS = ("lenet5", "mlp", "sklearn-mlp")


@dataclass
class Run:
    """A run, what it was told and said, and what came of it."""

    epochs: list[EpochResult] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def result(self) -> TrainResult:
        assert self.outcome.result is not None, self.outcome.error
        return self.outcome.result

    @property
    def history(self) -> list[dict[str, float]]:
        """Every epoch's values but the times."""
        return [{k: v for k, v in e.values.items() if k not in TIMED} for e in self.epochs]


def differences(a: Run, b: Run) -> list[str]:
    """Name what differs between two runs, to the last bit."""
    for run in (a, b):
        assert run.outcome.error is None, run.outcome.error
    found = []
    if a.history != b.history:
        found.append("history")
    pairs = zip(a.epochs, b.epochs, strict=True)
    if any(x.probabilities.tobytes() != y.probabilities.tobytes() for x, y in pairs):
        found.append("probabilities")
    if a.result.best.epoch != b.result.best.epoch:
        found.append("best epoch")
    ours, theirs = a.result.best_weights, b.result.best_weights
    if ours.keys() != theirs.keys() or any(
        ours[name].tobytes() != theirs[name].tobytes() for name in ours
    ):
        found.append("best weights")
    return found


@pytest.fixture
def train(small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a function that trains runs with a home of its own, by one thread."""
    monkeypatch.setenv("BPSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BPSWEEP_THREADS", "1")
    torch.set_num_threads(1)

    def train_runs(*changes: dict, keep: bool = True, stop_after: int | None = None) -> list[Run]:
        monkeypatch.setenv("BPSWEEP_TRAJECTORIES", "1" if keep else "0")
        runs, members = [Run() for _ in changes], []
        for i, (run, change) in enumerate(zip(runs, changes, strict=True)):
            config = RunConfig(**{**SMALL, **change})
            inputs = load_inputs(config, small_set, tmp_path / "cache")
            seen = run.epochs
            stop: Callable[[], bool] = lambda seen=seen: len(seen) == stop_after  # noqa: E731
            members.append(Member(config, inputs, seen.append, stop, f"run{i}", run.said.append))
        with threadpool_limits(1):
            for i, outcome in train_group(members):
                runs[i].outcome = outcome
        return runs

    return train_runs


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the epochs that runs by themselves have trained, one after the other."""
    epochs: list[int] = []
    run_epoch = loop_module.run_epoch

    def note(config, engine, inputs, epoch: int, *rest) -> EpochResult:
        epochs.append(epoch)
        return run_epoch(config, engine, inputs, epoch, *rest)

    monkeypatch.setattr(loop_module, "run_epoch", note)
    return epochs


def store_of(tmp_path: Path) -> Path:
    return tmp_path / "home" / "trajectories"


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("model", MODELS)
def test_runs_of_fewer_and_of_more_epochs_share_what_they_train(
    train, trained: list[int], model: str, task: str
):
    base = {"model": model, "task": task, "augment": task == "multi-label", "learning_rate": 1e-3}
    ((alone_2,), (alone_5,)) = (train({**base, "epochs": n}, keep=False) for n in (2, 5))
    n_before = len(trained)
    (first,) = train({**base, "epochs": 2})
    (longer,) = train({**base, "epochs": 5})
    (again,) = train({**base, "epochs": 2})
    assert differences(first, alone_2) == []
    assert differences(longer, alone_5) == []
    assert differences(again, alone_2) == []
    taken = [run.result.taken_over.n_epochs for run in (first, longer, again)]
    assert taken == [0, 2, 2]
    assert trained[n_before:] == [1, 2, 3, 4, 5], "each epoch is trained once"
    assert longer.said == [
        "2 of 5 epochs are those that run0 trained with the same settings; 3 are left to train."
    ]
    (other,) = train({**base, "epochs": 2, "learning_rate": 2e-3})
    assert other.result.taken_over.n_epochs == 0 and differences(other, alone_2)


@pytest.mark.parametrize("model", ["lenet5", "mlp"])
def test_a_stack_takes_over_and_keeps_as_its_members_would(
    train, model: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(group_module, "is_faster_stacked", lambda members, device: True)
    rates = [{"model": model, "learning_rate": rate} for rate in (1e-3, 3e-3)]
    whole = train(*({**rate, "epochs": 4} for rate in rates), keep=False)
    short = train(*({**rate, "epochs": 2} for rate in rates))
    longer = train(*({**rate, "epochs": 4} for rate in rates))
    for one, alone in zip(longer, whole, strict=True):
        assert differences(one, alone) == []
    assert [run.result.taken_over.n_epochs for run in (*short, *longer)] == [0, 0, 2, 2]
    mixed = train(*({**rates[0], "epochs": n} for n in (3, 5, 4)))
    assert [run.result.taken_over.n_epochs for run in mixed] == [3, 4, 4]
    assert [len(run.epochs) for run in mixed] == [3, 5, 4]


def test_a_run_that_was_ended_early_is_taken_further(train, trained: list[int]):
    base = {"model": "lenet5", "learning_rate": 1e-3, "epochs": 5}
    (alone,) = train(base, keep=False)
    (stopped,) = train(base, stop_after=2)
    assert stopped.result.interrupted and len(stopped.epochs) == 2
    (further,) = train(base)
    assert further.result.taken_over.n_epochs == 2 and not further.result.interrupted
    assert trained[-3:] == [3, 4, 5]
    assert differences(further, alone) == []
    elapsed = [epoch.values[metrics.ELAPSED_S] for epoch in further.epochs]
    assert elapsed == sorted(elapsed), "the time trained goes on where it was"
    assert elapsed[1] == stopped.epochs[1].values[metrics.ELAPSED_S]


@pytest.mark.parametrize("damage", ["state", "epoch", "weights", "about", "all"])
def test_what_is_damaged_is_trained_again(train, trained: list[int], tmp_path: Path, damage: str):
    base = {"model": "mlp", "learning_rate": 1e-3}
    (alone,) = train({**base, "epochs": 4}, keep=False)
    train({**base, "epochs": 3})
    (folder,) = store_of(tmp_path).iterdir()
    names = {
        "state": ["state-0003.safetensors"],
        "epoch": ["epoch-0002.safetensors"],
        "weights": ["epoch-0001.safetensors"],
        "about": ["about.json"],
        "all": sorted(path.name for path in folder.iterdir()),
    }
    for name in names[damage]:
        content = bytearray((folder / name).read_bytes())
        if content:
            content[-1 - len(content) // 4] ^= 0xFF
        (folder / name).write_bytes(content)
    trained.clear()
    (run,) = train({**base, "epochs": 4})
    assert differences(run, alone) == []
    expected = {"state": 3, "epoch": 1, "weights": 0, "about": 3, "all": 0}
    assert run.result.taken_over.n_epochs == expected[damage]
    assert trained == ([4] if damage == "about" else [1, 2, 3, 4])
    (again,) = train({**base, "epochs": 4})
    assert again.result.taken_over.n_epochs == 4 and differences(again, alone) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), TypeError("odd")])
def test_what_cannot_be_kept_is_trained_and_said_once(train, tmp_path: Path, monkeypatch, error):
    base = {"model": "mlp", "learning_rate": 1e-3, "epochs": 3}
    (alone,) = train(base, keep=False)
    written = []

    def fill_up(path: Path, *rest) -> int:
        if len(written) >= 3:
            raise error
        written.append(path)
        return trajectory_module_write(path, *rest)

    trajectory_module_write = trajectory_module.write_arrays
    monkeypatch.setattr(trajectory_module, "write_arrays", fill_up)
    first, second = train(base, {**base, "seed": 1})
    assert differences(first, alone) == []
    said = [line for line in first.said + second.said if str(error) in line]
    assert len(said) == 1 and str(store_of(tmp_path)) in said[0]
    monkeypatch.setattr(trajectory_module, "write_arrays", trajectory_module_write)
    (again,) = train(base)
    assert again.result.taken_over.n_epochs >= 1, "what was there before is there"
    assert differences(again, alone) == []


def test_two_processes_at_one_training_do_it_once(train, tmp_path: Path, monkeypatch):
    base = {"model": "lenet5", "learning_rate": 1e-3}
    (alone,) = train({**base, "epochs": 6}, keep=False)
    monkeypatch.setenv("BPSWEEP_TRAJECTORIES", "1")
    # A fork stands for another worker; it is slow, so that the second one has to wait.
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            slow = lambda run, epoch: (os.write(writing, b"."), time.sleep(0.3))  # noqa: E731
            monkeypatch.setattr(group_module, "train_course", _slowed(slow))
            train({**base, "epochs": 4})
            code = 0
        finally:
            os._exit(code)
    os.read(reading, 1)  # it has begun
    (behind,) = train({**base, "epochs": 6})
    assert os.waitpid(child, 0)[1] == 0
    assert behind.result.taken_over.n_epochs == 4
    assert behind.said[0].startswith("Another process trains the same")
    assert differences(behind, alone) == []


def _slowed(tell):
    def train_slowly(config, inputs, course, at_work):
        listen = course._listen
        course._listen = lambda epoch: (listen(epoch), tell(None, epoch))
        return original(config, inputs, course, at_work)

    original = group_module.train_course
    return train_slowly


def test_the_store_keeps_to_its_size_and_the_oldest_go(train, tmp_path: Path, monkeypatch):
    base = {"model": "mlp", "epochs": 1}
    for rate in (1e-3, 2e-3, 3e-3):
        train({**base, "learning_rate": rate})
    store = store_module.TrajectoryStore(store_of(tmp_path), 5e9)
    kept = store.list_kept()
    assert [one.about["settings"]["learning_rate"] for one in kept] == [3e-3, 2e-3, 1e-3]
    assert all(one.n_epochs == 1 and one.n_bytes > 10_000 for one in kept)
    monkeypatch.setenv("BPSWEEP_TRAJECTORIES_GB", str(2.5 * kept[0].n_bytes / 1e9))
    train({**base, "learning_rate": 1e-3})  # used again, so that it is the newest
    train({**base, "learning_rate": 4e-3})
    left = {one.about["settings"]["learning_rate"] for one in store.list_kept()}
    assert left == {1e-3, 4e-3}


def test_what_a_killed_process_left_half_written_is_removed(train, tmp_path: Path):
    train({"model": "mlp", "epochs": 1})
    (folder,) = store_of(tmp_path).iterdir()
    old, young = folder / ".state-0001.safetensors.1-1.part", folder / ".about.json.2.part"
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    train({"model": "mlp", "epochs": 2})
    assert not old.exists() and young.exists()


@pytest.mark.parametrize("text", ["-1", "five", "nan", "inf"])
def test_a_size_that_is_none_is_refused(monkeypatch, text: str):
    monkeypatch.setenv("BPSWEEP_TRAJECTORIES_GB", text)
    with pytest.raises(Exception, match=f"BPSWEEP_TRAJECTORIES_GB='{text}' is no size"):
        store_module.open_store()


def test_threads_move_the_last_digits_at_most(train, monkeypatch):
    """More threads add in another order: equal within float32's noise, or to the last bit."""
    base = {"model": "lenet5", "image_size": 64, "learning_rate": 1e-3, "epochs": 2}
    (one,) = train(base, keep=False)
    monkeypatch.setenv("BPSWEEP_THREADS", "2")
    torch.set_num_threads(2)
    (two,) = train(base, keep=False)
    assert differences(one, two) == [], "LeNet-5 at 64 px adds in an order of its own"
    others = {"model": "mlp", "learning_rate": 1e-3, "epochs": 2}
    torch.set_num_threads(1)
    (few,) = train(others, keep=False)
    torch.set_num_threads(4)
    (many,) = train(others, keep=False)
    pairs = zip(few.epochs, many.epochs, strict=True)
    largest = max(float(np.abs(a.probabilities - b.probabilities).max()) for a, b in pairs)
    assert largest < 1e-4
