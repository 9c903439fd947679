"""The best of many: how far it is too good, and that the correction brings it back."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import SETTINGS, make_cells, make_grid_sweep, make_run, say

from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.repeated_choice import repeat_choice
from bpsweep.report.statistics.selection_bias import correct_selection
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.statistics.wells import group_wells
from bpsweep.report.text.summary import summarize


def choose_among(truths: np.ndarray, n_sweeps: int) -> tuple[float, float]:
    """Mean points by which the best one's raw and corrected value are off its own truth."""
    wells = group_wells(make_cells())
    rng = np.random.default_rng(0)
    raw, corrected = [], []
    for i in range(n_sweeps):
        common = rng.normal(0, 0.04, wells.n_wells)
        own = rng.normal(0, 0.02, (len(truths), wells.n_wells))
        shares = truths[:, None] + (common + own)[:, wells.of_cell]
        scores = (rng.random(shares.shape) < shares).astype(float)
        best = int(scores.mean(axis=1).argmax())
        raw.append(scores[best].mean() - truths[best])
        corrected.append(repeat_choice(scores, wells, 600, seed=i).worth - truths[best])
    return 100 * float(np.mean(raw)), 100 * float(np.mean(corrected))


def test_among_equals_the_best_is_too_good_and_the_correction_is_right() -> None:
    raw, corrected = choose_among(np.full(27, 0.80), n_sweeps=60)
    assert raw > 1.5
    assert abs(corrected) < 0.5


def test_one_that_is_truly_better_keeps_nearly_all_of_its_lead() -> None:
    truths = np.full(27, 0.76)
    truths[3] = 0.86
    raw, corrected = choose_among(truths, n_sweeps=40)
    assert abs(raw) < 0.6
    assert abs(corrected - raw) < 0.3


def test_a_sweep_of_equals_loses_its_verdict_when_corrected() -> None:
    sweep = make_grid_sweep([0.79] * 27, make_cells())
    verdict = judge(sweep)
    found = correct_selection(verdict)
    assert found is not None and verdict.best.value is not None
    assert found.winner is verdict.best and found.n_configurations == 27
    assert found.raw == pytest.approx(verdict.best.value) and found.raw > 0.80
    assert found.corrected == pytest.approx(0.79, abs=0.01)
    assert found.interval.low < 0.79 < found.interval.high
    assert verdict.best.probability is not None
    assert found.probability < verdict.best.probability - 0.2
    assert sum(found.wins.values()) == pytest.approx(1)


def test_hamming_is_corrected_upwards() -> None:
    found = correct_selection(judge(make_grid_sweep([0.79] * 27, make_cells()), metric="hamming"))
    assert found is not None
    assert found.raw < 0.20 < found.corrected
    assert found.interval.low < found.corrected < found.interval.high
    assert found.corrected == pytest.approx(0.21, abs=0.01)


def test_few_wells_are_said_and_fields_resampled_instead() -> None:
    assessment = assess(judge(make_grid_sweep([0.79] * 9, make_cells(n_wells=4))))
    assert assessment.selection is not None and assessment.selection.unit == "fields"
    said = " ".join(summarize(assessment))
    assert "repeated over fields" in said and "Only 4 wells" in said


def test_without_predictions_nothing_is_corrected() -> None:
    sweep = make_grid_sweep([0.8, 0.7], make_cells())
    bare = replace(sweep, runs=tuple(replace(run, predictions=None) for run in sweep.runs))
    assert correct_selection(judge(bare)) is None
    other = replace(sweep.runs[1].predictions, cells=sweep.runs[1].predictions.cells[::-1])
    mixed = replace(sweep, runs=(sweep.runs[0], replace(sweep.runs[1], predictions=other)))
    assert correct_selection(judge(mixed)) is not None  # the same cells in another order


def test_the_test_part_is_used_and_that_is_recorded() -> None:
    sweep = make_grid_sweep([0.9, 0.8, 0.7], make_cells())
    settings = {name: sweep.runs[0].config[name] for name in SETTINGS}
    test = make_run("t1", say(make_cells(600), 0.85, seed=3), kind="test", **settings)
    assessment = assess(judge(replace(sweep, beside=(test,))))
    assert assessment.test is not None and assessment.test.run.id == "t1"
    assert assessment.test.is_winner
    assert assessment.test.estimate.value == pytest.approx(0.85, abs=0.03)
    assert any("has now been used, by run run t1" in line for line in summarize(assessment))
    other = replace(test, config={**test.config, **sweep.runs[1].config})
    assessment = assess(judge(replace(sweep, beside=(other,))))
    assert any("what was the best configuration then has" in line for line in summarize(assessment))
