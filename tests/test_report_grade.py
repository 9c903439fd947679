"""Five grades, each said only where its evidence is there; excess over sham; wells."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import (
    cut_folds,
    make_cells,
    make_control,
    make_folds,
    make_grid_sweep,
    make_plates,
    make_run,
    say,
)
from scipy.stats import t as student
from test_report_folds import make_fold_sweep

from bpsweep.report.page.page import write_html
from bpsweep.report.records import CONTROL
from bpsweep.report.statistics.assessment import Assessment, assess
from bpsweep.report.statistics.excess import fit_mean, measure_excess, score_plates
from bpsweep.report.statistics.grade import GRADES, find_grade
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.statistics.well_votes import count_wells
from bpsweep.report.text.summary import headline, list_assessment


def assess_plates(accuracy: float, background: float | None, sham: float | None) -> Assessment:
    """Assess a configuration on held-out plates beside controls that score this much."""
    cells = make_plates()
    runs = make_folds("r", say(cells, accuracy, 1), batch_size=16)
    runs += make_folds("o", say(cells, 0.6, 2), batch_size=64)
    beside = []
    if background is not None:
        said = say(cells, background, 3)
        beside += make_folds("b", said, batch_size=16, control="background", kind=CONTROL)
    if sham is not None:
        of_sham = replace(make_plates(dose_gy=0.0), cells=np.char.add("s", cells.cells))
        said = say(of_sham, sham, 4)
        beside += make_folds("s", said, batch_size=16, control="sham", kind=CONTROL)
    return assess(judge(make_fold_sweep(*runs, beside=beside)))


def assess_beside(accuracy: float, background: float | None, sham: float | None) -> Assessment:
    beside = [] if background is None else [make_control("background", background, make_cells())]
    if sham is not None:
        beside.append(make_control("sham", sham, make_cells(900, dose_gy=0.0), seed=8))
    return assess(judge(make_grid_sweep([accuracy, 0.7, 0.6], make_cells(), *beside)))


@pytest.mark.parametrize(
    ("make", "scores", "number"),
    [
        (assess_beside, (0.7, None, None), 1),
        (assess_beside, (0.815, None, None), 1),  # likely, not with confidence
        (assess_beside, (0.9, None, None), 2),
        (assess_beside, (0.9, 0.55, None), 2),
        (assess_beside, (0.9, 0.89, 0.5), 2),
        (assess_beside, (0.9, 0.55, 0.95), 2),
        (assess_beside, (0.9, 0.55, 0.5), 3),
        (assess_plates, (0.93, None, None), 2),
        (assess_plates, (0.93, 0.55, 0.93), 2),
        (assess_plates, (0.93, 0.93, 0.5), 2),
        (assess_plates, (0.93, 0.55, 0.5), 4),
        (assess_plates, (0.93, None, 0.5), 4),
    ],
)
def test_the_grade(make, scores, number: int) -> None:
    assessment = make(*scores)
    grade = GRADES[number - 1]
    assert assessment.grade == grade
    said = headline(assessment)
    assert said[0].startswith(f"Grade {number} of 5: {grade}")
    assert list_assessment(assessment)["grade"] == grade
    assert ("for the right reason" in " ".join(said)) == (number > 2)
    assert ("as far as these controls can tell" in " ".join(said)) == (number == 3)


def test_the_page_says_the_grade_in_the_lead_and_above_its_sections() -> None:
    assessment = assess_beside(0.9, None, None)
    assert write_html(assessment).count(headline(assessment)[0]) == 2


def test_the_highest_grade_takes_held_out_plates_and_a_rise() -> None:
    held, wells = assess_plates(0.93, None, 0.5), assess_beside(0.9, 0.55, 0.5)
    assert find_grade(held.verdict, held.controls, rises=True) == GRADES[4]
    assert find_grade(wells.verdict, wells.controls, rises=True) == GRADES[2]


def test_the_excess_leads_and_is_the_difference_of_plates() -> None:
    assessment = assess_plates(0.93, None, 0.6)
    found = assessment.controls.excess
    assert found is not None and found.is_above
    assert found.value == pytest.approx(
        found.irradiated.mean - assessment.controls.optimism - found.sham.mean
    )
    assert found.value == pytest.approx(0.33, abs=0.03)
    assert "33" in headline(assessment)[1] or "32" in headline(assessment)[1]
    assert "its unit the plate, rough with 3 of a particle" in headline(assessment)[1]
    same = assess_plates(0.93, None, 0.93).controls
    assert same.excess is not None and not same.excess.is_above and same.reason == "plate"


def test_a_network_that_leans_to_one_particle_does_not_widen_the_interval() -> None:
    particle, fold = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 2, 3, 1, 2, 3])
    own = np.array([0.61, 0.6, 0.59, 0.6, 0.59, 0.61])
    sign = np.where(particle == 0, 1, -1)
    leaning = np.array([0.3, -0.2, 0.1])[fold - 1] * sign
    mean, error, freedom = fit_mean(own + leaning, particle, fold)
    assert (mean, freedom) == (pytest.approx(0.6), 2)
    assert error < 0.01
    assert fit_mean(own + leaning, particle, np.ones(6, int))[1] > 0.05, "one network cannot"


def test_plates_that_score_alike_still_leave_their_wells_open() -> None:
    cells = make_plates(n_per_well=10)
    certain = replace(cells, probabilities=cells.truth.astype(np.float32), held_out="plates")
    found = score_plates(certain, certain.doses_gy > 0, 0.95)
    assert found is not None and found.mean == 1.0 and found.interval.low < 0.999
    assert measure_excess(certain, cells, 0.95) is None, "sham plates were not held out"
    assert score_plates(cut_folds(certain)[0], np.ones(160, bool), 0.95) is None


def test_wells_are_named_by_majority_and_by_mean_probability() -> None:
    cells = make_plates(1, n_per_well=3, n_wells=2)
    p_iron = np.array(
        [0.6, 0.6, 0.1, 0.9, 0.9, 0.9, 0.4, 0.4, 0.9, 0.1, 0.1, 0.1], dtype=np.float32
    )
    found = count_wells(replace(cells, probabilities=np.stack([p_iron, 1 - p_iron], axis=1)), 0.95)
    assert (found.n_wells, found.n_plates) == (4, 2)
    assert found.majority.n_right == 4, "two of three cells"
    assert found.probability.n_right == 2, "the third is surer"
    assert found.majority.interval.low == pytest.approx(0.398, abs=0.001)  # 0.025 ** (1 / 4)


def test_a_well_that_is_split_in_half_is_not_named_right() -> None:
    cells = make_plates(1, n_per_well=2, n_wells=1)
    p_iron = np.array([0.9, 0.1, 0.1, 0.1], dtype=np.float32)
    said = make_run("r", replace(cells, probabilities=np.stack([p_iron, 1 - p_iron], axis=1)))
    assert count_wells(said.predictions, 0.95).majority.n_right == 1


def test_an_interval_over_plates_holds_the_truth_as_often_as_it_says() -> None:
    """A small version of benchmarks/plate_coverage.py, of 3 plates a particle in 3 folds."""
    rng = np.random.default_rng(0)
    particle, fold = np.repeat([0, 1], 3), np.tile([1, 2, 3], 2)
    sign = np.where(particle == 0, 1, -1)
    n_held, n_sets = 0, 2000
    for _ in range(n_sets):
        leaning = rng.normal(0, 0.2, 3)[fold - 1] * sign
        mean, error, freedom = fit_mean(0.7 + rng.normal(0, 0.1, 6) + leaning, particle, fold)
        n_held += abs(mean - 0.7) <= student.ppf(0.975, freedom) * error
    assert 0.93 < n_held / n_sets < 0.97
