"""Controls, replicates and the test part: what is planned, what is kept from a model, restored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.runs.describe import describe_provenance, locate_predictions
from bpsweep.agent.training.control_engines import build_control_engine, count_levels
from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.agent.training.restore import restore_model
from bpsweep.agent.verdict.controls import CONTROLS, N_SHUFFLES, check_names, plan_controls
from bpsweep.agent.verdict.evaluate import check_unused, predict_test
from bpsweep.agent.verdict.replicate import plan_replicates
from bpsweep.agent.verdict.saliency import build_forward, map_saliency
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.loader import Batch
from bpsweep.data.synthetic import make_synthetic
from bpsweep.report import metrics
from bpsweep.report.records import CONTROL, REPLICATE, TEST, RunRecord, SweepRecord
from bpsweep.report.statistics.folds import join_folds
from bpsweep.report.statistics.verdict import judge

SETTINGS = {"image_size": 32, "split": "image", "subset": "all-4h", "batch_size": 16}
MODELS = ["lenet5", "mlp", "sklearn-mlp"]


def load(small_set: Path, tmp_path: Path, **settings: object) -> tuple[RunConfig, Inputs]:
    config = RunConfig(**{**SETTINGS, **settings})
    return config, load_inputs(config, small_set, tmp_path / "cache")


def make_run(config: RunConfig, inputs: Inputs, accuracy: float = 0.9, **more: object) -> RunRecord:
    epoch = {metrics.EPOCH: 1, metrics.VAL_ACCURACY: accuracy}
    rows = inputs.split.val
    probabilities = inputs.labels[rows].astype(np.float32)
    run = RunRecord(
        id=f"run{accuracy}",
        name="swift-sweep-1",
        state="finished",
        config={**config.model_dump(), "provenance": describe_provenance(inputs)},
        history=(epoch,),
        predictions=locate_predictions(inputs, rows, probabilities),
    )
    return replace(run, **more)


def make_sweep(runs: list[RunRecord], beside: tuple[RunRecord, ...] = ()) -> SweepRecord:
    grid = {"parameters": {"batch_size": {"values": [8, 16]}, "seed": {"values": [42, 43]}}}
    return SweepRecord("me/cells/abc", "sweep", "FINISHED", grid, tuple(runs), "", beside)


def test_a_dose_whose_plates_are_all_held_out_is_refused(small_set: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"leaves no cell of 0\.\d.* Gy to train on"):
        load(small_set, tmp_path, split="plate-fold-1-of-3", task="multi-label")
    _, inputs = load(small_set, tmp_path, split="plate-fold-1-of-3")
    plates = inputs.catalog.table["plate"].to_numpy()
    assert not set(plates[inputs.split.val]) & set(plates[inputs.split.train])


def test_shuffled_labels_are_permuted_in_training_alone(small_set: Path, tmp_path: Path) -> None:
    _, plain = load(small_set, tmp_path)
    _, shuffled = load(small_set, tmp_path, control="shuffled-labels")
    pairs = [
        {int(row): tuple(label) for b in inputs.training.epoch(1) for row, label in one(b)}
        for inputs in (plain, shuffled)
    ]
    ours, theirs = (np.array([pair[row] for row in sorted(pairs[0])]) for pair in pairs)
    assert 0.1 < (ours == theirs).all(axis=1).mean() < 0.9
    table = plain.catalog.table.iloc[sorted(pairs[0])]
    wells = (table["plate"] + table["well"]).to_numpy()
    of_well = [[label[wells == well] for well in np.unique(wells)] for label in (ours, theirs)]
    assert all((cells == cells[0]).all() for cells in of_well[1]), "wells move as a whole"
    counts = [sorted(tuple(cells[0]) for cells in of) for of in of_well]
    assert counts[0] == counts[1], "the wells' labels in another order"
    for batch, same in zip(plain.validation.epoch(0), shuffled.validation.epoch(0), strict=True):
        assert (batch.labels == same.labels).all()
    assert (plain.labels == shuffled.labels).all()


def one(batch: Batch) -> zip:
    return zip(batch.rows, batch.labels, strict=True)


def test_sham_needs_unirradiated_cells(small_set: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="low-4h"):
        load(small_set, tmp_path, control="sham")
    _, inputs = load(small_set, tmp_path, control="sham", subset="low-4h")
    assert set(inputs.catalog.table["dose_gy"]) == {0.0}


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("control", ["histogram", "brightness"])
def test_simple_models_are_blind_to_where_pixels_are(
    small_set: Path, tmp_path: Path, control: str, task: str
) -> None:
    config, inputs = load(small_set, tmp_path, control=control, task=task, epochs=1)
    engine = build_control_engine(config, inputs)
    assert engine is not None
    assert np.isfinite(engine.fit_epoch(inputs.training.epoch(1)))
    batches = list(inputs.validation.epoch(0))
    order = np.random.default_rng(0).permutation(32 * 32)
    mixed = [
        replace(b, images=b.images.reshape(len(b.rows), -1)[:, order].reshape(b.images.shape))
        for b in batches
    ]
    found = engine.predict(batches)
    assert found.shape == inputs.validation_labels.shape
    assert (found >= 0).all() and (found <= 1).all()
    assert np.allclose(found, engine.predict(mixed))
    assert all(value.dtype == np.float32 for value in engine.weights().values())


def test_histograms_count_every_pixel_once() -> None:
    images = np.array([[0.0, 0.01, 0.5, 1.0], [1.0, 1.0, 1.0, 1.0]], np.float32).reshape(2, 1, 2, 2)
    shares = count_levels(images) ** 2
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    assert shares[0, 0] == pytest.approx(0.5) and shares[1, -1] == pytest.approx(1)


def test_brightness_takes_a_cell_for_one_of_the_nearest_plate(
    small_set: Path, tmp_path: Path
) -> None:
    config, inputs = load(small_set, tmp_path, control="brightness", task="multi-label")
    plates = inputs.catalog.table["plate"].to_numpy()
    names = np.unique(plates)
    images = np.zeros(inputs.cache.images.shape, np.uint16)
    for number, plate in enumerate(names):
        images[plates == plate] = 300 + 100 * number
    images[::3, 0, :4] = 60_000  # foci, which must not count
    bright = replace(inputs, cache=replace(inputs.cache, images=images))
    engine = build_control_engine(config, bright)
    assert engine is not None
    engine.fit_epoch(inputs.training.epoch(1))
    decided = metrics.decide(engine.predict(inputs.validation.epoch(0)), exclusive=False)
    assert (decided == inputs.validation_labels).all(), "a plate holds one condition"


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("model", MODELS)
def test_a_restored_model_predicts_what_it_did(
    small_set: Path, tmp_path: Path, model: str, task: str
) -> None:
    config, inputs = load(small_set, tmp_path, model=model, task=task, epochs=1, test_part=True)
    result = train(config, inputs, lambda _: None)
    restored = restore_model(config, inputs.n_labels, result.best_weights)
    found = restored.predict(inputs.validation.epoch(0))
    assert np.allclose(found, result.best.probabilities, atol=1e-5)
    test = predict_test(config, inputs, result.best_weights)
    names = inputs.catalog.table["filename"].to_numpy()
    assert test.cells.tolist() == names[inputs.split.test].tolist()
    assert not set(test.cells) & {*names[inputs.split.train], *names[inputs.split.val]}


def test_other_weights_are_refused(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path)
    weights = build_engine(config, 2, inputs.training).weights()
    with pytest.raises(ConfigError, match="not of lenet5 at 64 px"):
        restore_model(config.model_copy(update={"image_size": 64}), 2, weights)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("model", MODELS)
def test_saliency_is_of_the_function_that_predicts(
    small_set: Path, tmp_path: Path, model: str, task: str
) -> None:
    config, inputs = load(small_set, tmp_path, model=model, task=task)
    engine = build_engine(config, inputs.n_labels, inputs.training)
    engine.fit_epoch(inputs.training.epoch(1))
    batch = next(iter(inputs.validation.epoch(0)))
    found = engine.predict([batch])
    forward = build_forward(config, inputs.n_labels, engine.weights())
    logits = forward(torch.from_numpy(batch.images))
    exclusive = task == "single-label"
    if model == "sklearn-mlp" and exclusive:  # one unit for two labels, a logistic one
        assert np.allclose((logits[:, 1]).sigmoid().detach(), found[:, 1], atol=1e-4)
    else:
        shares = logits.softmax(dim=1) if exclusive else logits.sigmoid()
        assert np.allclose(shares.detach(), found, atol=1e-4)
    maps = map_saliency(
        config, engine.weights(), batch.images[:4], metrics.decide(found, exclusive)[:4]
    )
    assert maps.shape == (4, 32, 32) and maps.min() >= 0 and maps.max() <= 1


def test_all_controls_are_planned_with_the_winners_settings(
    small_set: Path, tmp_path: Path
) -> None:
    config, inputs = load(small_set, tmp_path, epochs=7, augment=True, task="multi-label")
    run = make_run(config, inputs)
    plan = plan_controls(make_sweep([run]), run, check_names([]), small_set)
    planned = [spec.values["control"] for spec in plan.specs]
    assert planned == [*CONTROLS, *["shuffled-labels"] * (N_SHUFFLES - 1)]
    assert len({spec.values["seed"] for spec in plan.specs[-N_SHUFFLES:]}) == N_SHUFFLES
    for spec in plan.specs:
        assert (spec.group, spec.kind, spec.entity, spec.project) == ("abc", CONTROL, "me", "cells")
        assert spec.values["split"] == "image" and spec.values["normalize"] == config.normalize
        RunConfig(**spec.values)
    by_name = {spec.values["control"]: spec.values for spec in plan.specs}
    assert by_name["background"]["epochs"] == 7 and by_name["background"]["augment"] is True
    assert by_name["sham"]["subset"] == "low-4h" and by_name["sham"]["task"] == "single-label"


def test_what_is_there_is_not_planned_again(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path)
    run = make_run(config, inputs)
    plan = plan_controls(make_sweep([run]), run, ("background", "nucleus"), small_set)
    done, other = (make_run(RunConfig(**spec.values), inputs, kind=CONTROL) for spec in plan.specs)
    states = [
        (done, 1),
        (replace(done, state="crashed"), 0),
        (replace(done, predictions=None), 0),
        (replace(done, config={**done.config, "batch_size": 8}), 0),
        (other, 0),
    ]
    for beside, n_there in states:
        again = plan_controls(make_sweep([run], (beside,)), run, ("background",), small_set)
        assert (again.n_there, len(again.specs)) == (n_there, 1 - n_there)


def test_controls_need_the_data_of_the_run(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path)
    run = make_run(config, inputs)
    changed = {**run.provenance, "labels_checksum": "0" * 64}
    other = replace(run, config={**run.config, "provenance": changed})
    with pytest.raises(ConfigError, match="--data-dir"):
        plan_controls(make_sweep([other]), other, ("background",), small_set)
    with pytest.raises(ConfigError, match="Did you mean 'background'"):
        check_names(["backgroud"])


def test_sham_is_skipped_where_its_images_are_not(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path, subset="hi-4h")
    folder = tmp_path / "hi"
    folder.mkdir()
    (folder / "meta.csv").write_bytes((small_set / "meta.csv").read_bytes())
    run = make_run(config, inputs)
    plan = plan_controls(make_sweep([run]), run, ("sham", "nucleus"), folder)
    assert [spec.values["control"] for spec in plan.specs] == ["nucleus"]
    assert "low-4h" in plan.skipped[0]


@pytest.fixture(scope="module")
def three_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of cells on the plates of all hours."""
    folder = tmp_path_factory.mktemp("hours") / "images"
    make_synthetic(folder, SyntheticSettings(n_images=420, hours=(4, 24, 48)))
    return folder


def test_sham_plates_are_held_out_where_the_others_are(three_hours: Path, tmp_path: Path) -> None:
    folds = [f"plate-fold-{k}-of-3" for k in (1, 2, 3)]
    runs = []
    for split in folds:
        config, inputs = load(three_hours, tmp_path, subset="irradiated", split=split)
        runs.append(make_run(config, inputs, id=split))
    grid = {"parameters": {"split": {"values": folds}}}
    sweep = replace(make_sweep([]), runs=tuple(runs), config=grid)
    winner = join_folds(sweep).runs[0]
    assert len(winner.members) == 3
    plan = plan_controls(sweep, winner, ("sham", "background"), three_hours)
    planned = [
        (spec.values["control"], spec.values["subset"], spec.values["split"]) for spec in plan.specs
    ]
    assert planned == [
        *(("sham", "low", split) for split in folds),
        *(("background", "irradiated", split) for split in folds),
    ]
    one_hour, inputs = load(three_hours, tmp_path, subset="irradiated-4h", split="plate")
    plan = plan_controls(sweep, make_run(one_hour, inputs), ("sham",), three_hours)
    assert {spec.values["subset"] for spec in plan.specs} == {"low"}, "4 h has one sham plate each"


def test_sham_plates_that_are_too_few_are_said(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path, split="plate")
    run = make_run(config, inputs)
    plan = plan_controls(make_sweep([run]), run, ("sham",), small_set)
    assert not plan.specs and "there are not two of each particle" in plan.skipped[0]


def test_replicates_take_fresh_seeds_of_the_best(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path)
    other = config.model_copy(update={"batch_size": 8})
    runs = [
        make_run(other, inputs, 0.9),
        make_run(config, inputs, 0.8, predictions=None),
        make_run(config.model_copy(update={"seed": 43}), inputs, 0.7, predictions=None),
    ]
    first = plan_replicates(judge(make_sweep(runs)), 1, 3, small_set)
    assert {spec.values["batch_size"] for spec in first.specs} == {8}
    assert [spec.values["seed"] for spec in first.specs] == [43, 44, 45]
    assert {(spec.kind, spec.group) for spec in first.specs} == {(REPLICATE, "abc")}
    both = plan_replicates(judge(make_sweep(runs)), 2, 1, small_set)
    seeds = {spec.values["batch_size"]: spec.values["seed"] for spec in both.specs}
    assert seeds == {8: 43, 16: 44}, "the sweep itself has tried 43 at 16"
    done = make_run(RunConfig(**first.specs[0].values), inputs, 0.85, kind=REPLICATE)
    again = plan_replicates(judge(make_sweep(runs, (done,))), 1, 3, small_set)
    assert again.n_there == 1 and [spec.values["seed"] for spec in again.specs] == [44, 45]


def test_the_test_part_is_used_once(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path, test_part=True)
    run = make_run(config, inputs)
    assert check_unused(make_sweep([run]), run, again=False) == config
    failed = replace(run, kind=TEST, predictions=None)
    assert check_unused(make_sweep([run], (failed,)), run, again=False) == config
    used = make_sweep([run], (replace(run, kind=TEST),))
    with pytest.raises(ConfigError, match="--again"):
        check_unused(used, run, again=False)
    assert check_unused(used, run, again=True) == config
    without, _ = load(small_set, tmp_path)
    with pytest.raises(ConfigError, match=r"test_part: \{value: true\}"):
        check_unused(make_sweep([run]), make_run(without, inputs), again=False)
