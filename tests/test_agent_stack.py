"""Stacked runs: what each logs and keeps is what it would alone; leaving changes nobody else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.training.device import choose_device
from bpsweep.agent.training.epochs import EpochResult
from bpsweep.agent.training.group import train_group
from bpsweep.agent.training.inputs import load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.agent.training.lru import LruCache
from bpsweep.agent.training.member import Member, group_runs
from bpsweep.agent.training.stack import is_faster_stacked, train_stack
from bpsweep.agent.training.stack_batches import CopiedBatches, ResidentBatches, StackBatch
from bpsweep.agent.training.stack_engine import StackEngine
from bpsweep.report import metrics

CPU = torch.device("cpu")
SMALL = {"image_size": 32, "split": "image", "batch_size": 16, "subset": "all-4h", "epochs": 3}


@pytest.fixture
def load(small_set: Path, tmp_path: Path):
    def load_member(stop_after: int | None = None, **changes) -> tuple[Member, list[EpochResult]]:
        config = RunConfig(**{**SMALL, **changes})
        seen: list[EpochResult] = []
        return Member(
            config,
            load_inputs(config, small_set, tmp_path / "cache"),
            seen.append,
            lambda: len(seen) == stop_after,
        ), seen

    return load_member


def log_values(epochs: list[EpochResult]) -> np.ndarray:
    names = (metrics.EPOCH, metrics.TRAIN_LOSS, metrics.VAL_LOSS)
    return np.array([[epoch.values[name] for name in names] for epoch in epochs])


@pytest.mark.parametrize("model", ["lenet5", "mlp"])
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_run_in_a_stack_logs_what_it_would_alone(load, model: str, task: str) -> None:
    changes = [
        {"learning_rate": 1e-3, "seed": 1},
        {"learning_rate": 3e-3, "seed": 2, "epochs": 1},
        {"learning_rate": 1e-3, "seed": 3, "weight_decay": 0.1},
    ]
    loaded = [load(model=model, task=task, augment=True, **change) for change in changes]
    outcomes = dict(train_stack([member for member, _ in loaded], CPU))
    for i, (member, seen) in enumerate(loaded):
        alone: list[EpochResult] = []
        result = train(member.config, member.inputs, alone.append)
        assert log_values(seen) == pytest.approx(log_values(alone), abs=2e-4)
        found = outcomes[i].result
        assert found is not None and found.best_weights.keys() == result.best_weights.keys()
    assert len(loaded[1][1]) == 1 and len(loaded[2][1]) == 3


def test_a_member_that_leaves_changes_nothing_for_the_others(load) -> None:
    """In float64 by engines: after the leaving, to 1e-10, as if it had never been there."""
    members = [load(seed=7, learning_rate=rate)[0] for rate in (1e-3, 3e-3, 1e-2)]
    inputs = members[0].inputs
    batches = CopiedBatches([inputs.training], CPU, torch.float64)

    def learn(chosen: list[int], leave_after_first: list[int]) -> np.ndarray:
        configs = [members[i].config for i in chosen]
        engine = StackEngine(configs, inputs.n_labels, inputs.training, CPU, torch.float64)
        engine.fit_epoch(batches, 1)
        staying = [k for k, i in enumerate(chosen) if i not in leave_after_first]
        if leave_after_first:
            engine.keep(staying)
        return np.array([engine.fit_epoch(batches, epoch)[-1] for epoch in (2, 3)])

    assert learn([0, 1, 2], leave_after_first=[1]) == pytest.approx(learn([2], []), abs=1e-10)
    assert learn([0, 2, 1], []) != pytest.approx(learn([2], []), abs=1e-10)


def test_a_member_told_to_stop_or_diverging_ends_alone(load) -> None:
    loaded = [
        load(seed=1, stop_after=1),
        load(seed=2, learning_rate=9.0, weight_decay=9.0),
        load(seed=3),
    ]
    members = [member for member, _ in loaded]
    outcomes = dict(train_stack(members, CPU))
    stopped, whole = outcomes[0].result, outcomes[2].result
    assert stopped is not None and stopped.interrupted and len(loaded[0][1]) == 1
    assert whole is not None and not whole.interrupted and len(loaded[2][1]) == 3
    alone: list[EpochResult] = []
    train(members[2].config, members[2].inputs, alone.append)
    assert log_values(loaded[2][1]) == pytest.approx(log_values(alone), abs=2e-4)


def test_runs_are_grouped_by_what_a_stack_can_hold() -> None:
    configs = [
        RunConfig(learning_rate=1e-3),
        RunConfig(batch_size=16),
        RunConfig(seed=1, epochs=3, weight_decay=0.1),
        RunConfig(model="sklearn-mlp"),
        RunConfig(model="sklearn-mlp", seed=1),
        RunConfig(batch_size=16, seed=4),
    ]
    assert group_runs(configs) == [[0, 2], [1, 5], [3], [4]]


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("normalize", ["minmax", "clip", "percentile", "plate"])
def test_batches_made_on_a_device_are_those_of_the_loader(load, augment, normalize) -> None:
    """The device's code runs on the CPU here: the same images, in the same order and turns."""
    settings = {"augment": augment, "normalize": normalize}
    loaders = [load(seed=seed, **settings)[0].inputs.training for seed in (1, 2)]
    resident, copied = ResidentBatches(loaders, CPU), CopiedBatches(loaders, CPU)
    for index in (1, 2):
        pairs = list(zip(resident.epoch(index), copied.epoch(index), strict=True))
        assert len(pairs) == len(loaders[0])
        for one, other in pairs:
            assert one.images.shape == other.images.shape
            assert torch.allclose(one.images, other.images, atol=1e-6)
            assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)], ids=["same batches", "each its own"])
def test_recorded_steps_learn_what_steps_learn(load, seeds) -> None:
    """A recording that does its work again stands in for a CUDA graph, which no CPU has."""
    members = [load(seed=seed, learning_rate=1e-3 * seed, augment=True)[0] for seed in seeds]
    loaders = [member.inputs.training for member in members][: len(set(seeds))]
    configs = [member.config for member in members]
    n_recorded = []

    def record(work, device):
        n_recorded.append(device)
        return work

    def learn(recorder) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        engine = StackEngine(configs, members[0].inputs.n_labels, loaders[0], CPU, torch.float64)
        engine._record = recorder
        batches = ResidentBatches(loaders, CPU)
        gather = batches.gather
        batches.gather = lambda plan: to_double(gather(plan))
        losses = np.array([engine.fit_epoch(batches, epoch) for epoch in (1, 2)])
        return losses, engine.weights(1)

    (losses, weights), (again, kept) = learn(None), learn(record)
    assert n_recorded == [CPU], "recorded once, for all batches of that size"
    assert again == pytest.approx(losses, abs=1e-12)
    for name, value in weights.items():
        assert kept[name] == pytest.approx(value, abs=1e-12)


def to_double(batch: StackBatch) -> StackBatch:
    return StackBatch(batch.images.double(), batch.labels.double())


def test_counts_above_32767_stay_what_they_are_on_a_device(load, monkeypatch) -> None:
    """Torch has no indexing of uint16: the bits pass as int16."""
    monkeypatch.setattr("bpsweep.agent.training.stack_batches._RESIDENT", LruCache(1))
    loader = load(normalize="clip")[0].inputs.training
    loader._images = np.full_like(loader.images, 60_000)
    batch = next(ResidentBatches([loader], CPU).epoch(1))
    assert batch.images.min() == 1


def test_an_error_ends_every_member_with_its_reason(load, monkeypatch) -> None:
    monkeypatch.setenv("BPSWEEP_DEVICE", "cpu")
    monkeypatch.setattr(
        "bpsweep.agent.training.group.is_faster_stacked", lambda members, device: True
    )
    calls = []

    def fail(members, device, first):
        calls.append(len(members))
        raise torch.OutOfMemoryError if len(members) > 1 else ValueError("broken")
        yield

    monkeypatch.setattr("bpsweep.agent.training.group.train_stack", fail)
    outcomes = dict(train_group([load(seed=seed)[0] for seed in range(3)]))
    assert calls == [3, 1, 2, 1, 1], "what does not fit is tried in halves"
    assert {str(outcome.error) for outcome in outcomes.values()} == {"broken"}
    assert sorted(outcomes) == [0, 1, 2]


def test_a_cpu_stacks_only_what_sees_the_same_images(load, monkeypatch) -> None:
    """The trial says yes to everything here: what is left out is left out by rule."""
    monkeypatch.setattr("bpsweep.agent.training.stack._time_stacked", lambda members: 0.0)
    alike = [load(model="mlp", learning_rate=rate)[0] for rate in (1e-3, 1e-4)]
    own = [load(model="mlp", seed=seed)[0] for seed in (1, 2)]
    assert is_faster_stacked(alike, CPU)
    assert not is_faster_stacked(own, CPU)
    assert not is_faster_stacked(alike[:1], CPU)


def test_a_device_that_is_not_there_is_named(monkeypatch) -> None:
    monkeypatch.setenv("BPSWEEP_DEVICE", "abacus")
    with pytest.raises(ConfigError, match="BPSWEEP_DEVICE='abacus' cannot be used"):
        choose_device()


def test_a_gpu_gets_stacks_where_they_were_faster(load) -> None:
    gpu = torch.device("cuda")

    def is_faster(n_members: int, **changes) -> bool:
        members = [load(seed=seed)[0] for seed in range(n_members)]
        for member in members:
            member.config = member.config.model_copy(update=changes)
        return is_faster_stacked(members, gpu)

    assert is_faster(4, image_size=64) and is_faster(16, image_size=200)
    assert not is_faster(4, image_size=200), "0.87 times as fast on an H200"
    assert is_faster(4, image_size=200, model="mlp")
