"""Runs over all folds of the plates are one configuration; plates held out are its unit."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import make_folds, make_plates, make_run, say

from bpsweep.report.records import CONTROL, REPLICATE, SweepRecord
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.compare import compare_models
from bpsweep.report.statistics.folds import find_family, join_folds
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.summary import summarize

FOLDS = [f"plate-fold-{k}-of-3" for k in (1, 2, 3)]


def make_fold_sweep(*runs, splits=FOLDS, beside=()) -> SweepRecord:
    parameters = {"split": {"values": splits}, "batch_size": {"values": [16, 64]}}
    config = {"parameters": parameters}
    return SweepRecord("me/bps/s1", "made", "FINISHED", config, tuple(runs), "", tuple(beside))


def make_both(accuracies=(0.9, 0.7), plates=3):
    cells = make_plates(plates)
    said = [say(cells, accuracy, seed) for seed, accuracy in enumerate(accuracies)]
    return [
        run
        for i, (one, size) in enumerate(zip(said, (16, 64), strict=True))
        for run in make_folds(f"r{i}", one, batch_size=size)
    ]


@pytest.mark.parametrize(
    ("splits", "family"),
    [
        (FOLDS, "plate-folds-of-3"),
        (["fold-2-of-2", "fold-1-of-2"], "folds-of-2"),
        (FOLDS[:2], None),
        ([*FOLDS, "well"], None),
        ([*FOLDS[:2], "fold-3-of-3"], None),
        ([], None),
    ],
)
def test_a_family_is_all_folds_and_nothing_else(splits, family) -> None:
    assert find_family(splits) == family


def test_a_configuration_is_judged_on_the_cells_of_all_its_folds() -> None:
    runs = make_both()
    verdict = judge(make_fold_sweep(*runs))
    assert [dict(row.swept) for row in verdict.rows] == [{"batch_size": 16}, {"batch_size": 64}]
    own = [run.predictions for run in runs[:3]]
    right = [(one.truth == (one.probabilities >= 0.5)).all(axis=1) for one in own]
    assert verdict.best.value == pytest.approx(np.concatenate(right).mean())
    assert verdict.n_validation == sum(map(len, own)) and verdict.n_plates == {"Fe": 3, "X-ray": 3}
    assert verdict.best.interval is not None and verdict.best.interval.method == "plates"
    assert [run.id for run in verdict.best.run.members] == ["r0-1", "r0-2", "r0-3"]
    assert join_folds(verdict.sweep) is verdict.sweep
    said = " ".join(summarize(assess(verdict)))
    assert "of 6 plates that were not trained on" in said and "over plates" in said
    assert "Only 3 plates of Fe and 3 plates of X-ray held out" in said


def test_an_interval_over_plates_is_as_wide_as_plates_differ() -> None:
    cells = make_plates(4, n_per_well=60)
    shifts = dict(zip(np.unique(cells.plates), [0.2, -0.2] * 4, strict=True))
    by_plate = [
        say(cells, 0.7 + shift, seed=3).probabilities[cells.plates == plate]
        for plate, shift in shifts.items()
    ]
    said = replace(cells, probabilities=np.concatenate(by_plate))
    run = make_run("one", said, split="plate", batch_size=16)
    found = judge(make_fold_sweep(run, splits=["plate"])).best.interval
    as_wells = judge(
        make_fold_sweep(replace(run, config={**run.config, "split": "well"}), splits=[])
    )
    narrow = as_wells.best.interval
    assert found.method == "plates" and narrow.method == "wells"
    assert found.high - found.low > 3 * (narrow.high - narrow.low)


def test_one_plate_of_a_particle_gives_no_interval_over_plates() -> None:
    run = make_run("one", say(make_plates(1), 0.8, 1), split="plate", batch_size=16)
    verdict = judge(make_fold_sweep(run, splits=["plate"]))
    assert verdict.best.interval.method == "wells"
    assert "hold for these plates alone" in " ".join(summarize(assess(verdict)))


def test_folds_that_are_missing_or_at_work_are_said() -> None:
    runs = make_both()
    verdict = judge(make_fold_sweep(*runs[:-1]))
    partial = next(row for row in verdict.rows if row.swept["batch_size"] == 64)
    assert partial.state == "2 of 3 folds" and partial.run.predictions is None
    working = replace(runs[-1], state="running", predictions=None)
    verdict = judge(make_fold_sweep(*runs[:-1], working))
    assert {row.swept["batch_size"]: row.state for row in verdict.rows}[64] == "running"


def test_some_folds_alone_stay_a_setting() -> None:
    verdict = judge(make_fold_sweep(*make_both()[:2], splits=FOLDS[:2]))
    assert [row.swept["split"] for row in verdict.rows] in (FOLDS[:2], FOLDS[1::-1])


def test_controls_on_all_folds_are_one_control() -> None:
    cells = make_plates()
    beside = make_folds("b", say(cells, 0.55, 5), batch_size=16, control="background", kind=CONTROL)
    controls = assess(judge(make_fold_sweep(*make_both(), beside=beside))).controls
    assert [one.name for one in controls.results] == ["background"]
    assert controls.results[0].lead == pytest.approx(0.35, abs=0.05)
    some = assess(judge(make_fold_sweep(*make_both(), beside=beside[:2]))).controls
    assert not some.results, "two folds are not the same cells"


def test_replicates_on_all_folds_are_seeds_of_one_configuration() -> None:
    cells = make_plates()
    beside = [
        run
        for seed in (43, 44)
        for run in make_folds(
            f"s{seed}", say(cells, 0.9, seed), batch_size=16, seed=seed, kind=REPLICATE
        )
    ]
    verdict = judge(make_fold_sweep(*make_both(), beside=beside))
    assert verdict.best.n_runs == 3 and dict(verdict.best.swept) == {"batch_size": 16}
    assert verdict.best.interval is not None and verdict.best.interval.method == "plates"
    missing = judge(make_fold_sweep(*make_both(), beside=beside[:-1]))
    assert missing.best.n_runs == 2, "a seed counts where all its folds have finished"


def test_models_are_compared_over_folds() -> None:
    cells = make_plates()
    sweeps = [
        make_fold_sweep(*make_folds(model, say(cells, worth, 1), model=model, batch_size=64))
        for model, worth in (("lenet5", 0.9), ("mlp", 0.7))
    ]
    tables = compare_models(sweeps).tables
    best = next(table for table in tables if table.choice == "best")
    assert best.split == "plate-folds-of-3" and best.n_cells == len(cells)
