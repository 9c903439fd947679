"""Does the score rise with dose: exact permutations of plates, wells as dots, the highest grade."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import PARTICLES, make_folds, make_plates, make_run, say
from test_report_folds import make_fold_sweep

from bpsweep.report.figures.dose import draw_dose
from bpsweep.report.page.page import write_html
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import CONTROL, DOSE
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.dose import find_trend, list_wells, respond
from bpsweep.report.statistics.grade import GRADES
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.dose import explain_dose
from bpsweep.report.text.summary import list_assessment, summarize

DOSES = {"Fe": (0.0, 0.3, 0.82), "X-ray": (0.0, 0.1, 1.0)}


def make_doses(scores, plate_spread=0.0, seed=0, hours=(4, 24, 48), n_cells=2) -> Predictions:
    """Make wells of every dose and hour; scores[i] is P(own) at the i-th dose."""
    rng = np.random.default_rng(seed)
    rows = []
    for particle in PARTICLES:
        for hour in hours:
            for step, dose in enumerate(DOSES[particle]):
                own = scores[step] + rng.normal(0, plate_spread)
                rows += [
                    (particle, f"P{particle[0]}{hour}{step}", f"A{well}", dose, hour, own)
                    for well in range(8)
                    for _ in range(n_cells)
                ]
    particle, plate, well, dose, hour, own = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    iron = particle == "Fe"
    p_iron = np.clip(np.where(iron, own, 1 - own), 0, 1).astype(np.float32)
    return Predictions(
        cells=np.array([f"d{i}.tif" for i in range(len(rows))]),
        plates=plate,
        wells=well,
        fields=np.ones(len(rows), np.int64),
        particles=particle,
        doses_gy=dose,
        hours=hour,
        label_names=PARTICLES,
        truth=np.stack([iron, ~iron], axis=1).astype(np.uint8),
        probabilities=np.stack([p_iron, 1 - p_iron], axis=1),
    )


def test_a_rise_is_exact_over_the_orders_of_plates() -> None:
    found = respond([make_doses((0.4, 0.5, 0.7))])
    assert found is not None and found.rises
    assert found.doses.n_ways == 216 and found.doses.probability == pytest.approx(1 / 216)
    assert found.levels == pytest.approx((0.4, 0.5, 0.7))
    assert found.particles["Fe"].n_ways == 216 and found.particles["Fe"].is_exact
    assert found.particles["Fe"].probability == pytest.approx(1 / 216)
    assert found.means["Fe", 0.82] == pytest.approx(0.7)
    assert len(found.wells) == 2 * 9 * 8 and found.wells[0].n_cells == 2
    assert "rises with dose: Fe 0.40 at 0 Gy, 0.50 at 0.3 Gy" in explain_dose(found)[0]
    flat = respond([make_doses((0.5, 0.5, 0.5))])
    assert flat is not None and not flat.rises and flat.doses.probability == 1.0


def test_one_particle_alone_does_not_make_a_rise() -> None:
    cells = make_doses((0.3, 0.5, 0.9))
    xray = cells.particles == "X-ray"
    flipped = np.where(xray[:, None], cells.probabilities[:, ::-1], cells.probabilities)
    found = respond([replace(cells, probabilities=flipped)])
    assert (
        found is not None and found.particles["Fe"].strength > 0 > found.particles["X-ray"].strength
    )
    assert not found.rises


def test_a_network_that_leans_to_one_particle_is_seen_to_rise() -> None:
    """Sham cells look like X-rays to a network that only saw irradiated ones."""
    iron, xray = make_doses((0.26, 0.53, 0.67)), make_doses((0.74, 0.72, 0.67))
    is_xray = (iron.particles == "X-ray")[:, None]
    leaning = np.where(is_xray, xray.probabilities, iron.probabilities)
    found = respond([replace(iron, probabilities=leaning)])
    assert found is not None and found.rises
    assert found.particles["X-ray"].strength < 0
    assert found.levels == pytest.approx((0.5, 0.625, 0.67))


def test_few_plates_cannot_show_a_rise_and_that_is_said() -> None:
    found = respond([make_doses((0.3, 0.5, 0.9), hours=(4,))])
    assert found is not None and found.doses.n_ways == 6 and found.hours is None
    assert not found.rises and "too few plates" in explain_dose(found)[1]
    only_iron = make_doses((0.3, 0.5, 0.9), hours=(4,))
    rows = only_iron.particles == "Fe"
    fields = ("cells", "plates", "wells", "fields", "particles", "doses_gy", "hours", "truth")
    part = {name: getattr(only_iron, name)[rows] for name in (*fields, "probabilities")}
    found = respond([replace(only_iron, **part)])
    assert found is not None and not found.rises
    assert "too few plates" in explain_dose(found)[1]


def test_plates_that_differ_by_more_than_dose_raise_few_alarms() -> None:
    """No effect of dose, strong effects of plates: a rise is said of 5 in 100 at most."""
    n_sets = 300
    alarms = [
        respond([make_doses((0.5, 0.5, 0.5), 0.15, seed, n_cells=1)]).rises
        for seed in range(n_sets)
    ]
    assert 0.02 < np.mean(alarms) < 0.085, "5 % and what 300 sets leave open"


def test_the_score_falls_over_hours_where_foci_are_repaired() -> None:
    scores = np.array([0.9, 0.7, 0.55] * 4)
    steps, blocks = np.array([0.0, -1.0, -2.0] * 4), np.repeat(np.arange(4), 3)
    found = find_trend(scores, steps, blocks)
    assert found is not None and found.probability == pytest.approx(1 / 6**4)
    assert found.strength == pytest.approx(0.175)
    assert find_trend(scores, np.zeros(12), blocks) is None


def test_networks_of_several_folds_are_averaged_in_a_well() -> None:
    one, other = make_doses((0.4, 0.4, 0.4)), make_doses((0.6, 0.6, 0.6))
    wells = list_wells([one, other])
    assert len(wells) == 2 * 9 * 8 and wells[0].score == pytest.approx(0.5)


def test_the_highest_grade_is_said_everywhere() -> None:
    cells = make_plates()
    runs = make_folds("r", say(cells, 0.93, 1), batch_size=16)
    of_sham = replace(make_plates(dose_gy=0.0), cells=np.char.add("s", cells.cells))
    beside = make_folds("s", say(of_sham, 0.5, 4), batch_size=16, control="sham", kind=CONTROL)
    for number, of in enumerate(("r-1", "r-2", "r-3")):
        one = make_run(f"d{number}", make_doses((0.4, 0.6, 0.8), seed=number), kind=DOSE)
        provenance = {**one.provenance, "evaluated_run": of}
        beside.append(replace(one, config={**one.config, "provenance": provenance}))
    assessment = assess(judge(make_fold_sweep(*runs, beside=beside)))
    assert assessment.grade == GRADES[4]
    assert "Grade 5 of 5: reached on held-out plates and rises with dose." in summarize(assessment)
    listed = list_assessment(assessment)["dose"]
    assert listed["rises"] is True and len(listed["wells"]) == 144
    assert "Does the score rise with dose?" in write_html(assessment)
    without = assess(judge(make_fold_sweep(*runs, beside=beside[:-1])))
    assert without.dose is None and without.grade == GRADES[3], "a fold was not applied yet"


def test_the_figure_has_every_well_as_a_dot() -> None:
    found = respond([make_doses((0.4, 0.5, 0.7))])
    assert found is not None
    figure = draw_dose(found, synthetic=True)
    assert sum(len(trace["x"]) for trace in figure.data) == len(found.wells)
    assert "144 wells of 18 plates" in figure.words
    assert "(synthetic)" in figure.title and [trace["name"] for trace in figure.data] == [
        "4 h",
        "24 h",
        "48 h",
    ]
