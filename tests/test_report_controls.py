"""Is it the damage or the plate: what controls allow to say."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import SETTINGS, make_cells, make_control, make_grid_sweep

from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.controls import judge_controls
from bpsweep.report.statistics.scores import ACCURACY
from bpsweep.report.statistics.shuffles import judge_shuffles
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.evidence import explain_controls, explain_reason
from bpsweep.report.text.summary import list_assessment


def make_sham(accuracy: float):
    """A control run on unirradiated cells."""
    return make_control("sham", accuracy, make_cells(900, dose_gy=0.0), seed=8)


def judge_beside(*beside, accuracy: float = 0.86, target: float = 0.8, metric: str = "accuracy"):
    sweep = make_grid_sweep([accuracy, 0.7, 0.6], make_cells(), *beside)
    verdict = judge(sweep, target, metric)
    return judge_controls(verdict), verdict.goal


def control(name: str, accuracy: float):
    return make_control(name, accuracy, make_cells())


@pytest.mark.parametrize(
    ("beside", "reason", "said"),
    [
        ([], "not run", "`bpsweep controls me/bps/s1` runs them"),
        ([control("background", 0.55)], "unclear", "not compared are unirradiated cells."),
        ([control("background", 0.85)], "plate", "can be explained by the plate"),
        ([control("background", 0.55), control("brightness", 0.86)], "plate", "brightness alone"),
        ([control("background", 0.55), make_sham(0.5)], "right", "as far as these controls can"),
        ([control("background", 0.55), make_sham(0.9)], "plate", "no biology tells apart"),
        (
            [control("background", 0.55), make_sham(0.5), control("histogram", 0.9)],
            "right",
            "for the right reason",
        ),
        ([make_sham(0.5)], "unclear", "not compared are the background without the nucleus."),
        ([control("brightness", 0.5), make_sham(0.5)], "unclear", "beats the best model that"),
    ],
)
def test_the_reason(beside, reason: str, said: str) -> None:
    found, goal = judge_beside(*beside)
    assert found.reason == reason
    assert found.right_reason == (reason == "right")
    assert said in explain_reason(found, goal, "me/bps/s1")


def test_controls_of_another_configuration_do_not_count() -> None:
    ours, other = control("background", 0.55), control("background", 0.9)
    changed = {name: values[1] for name, values in SETTINGS.items()}
    found, _ = judge_beside(
        ours, make_sham(0.5), replace(other, config={**other.config, **changed})
    )
    assert found.reason == "right" and len(found.results) == 1
    found, _ = judge_beside(ours, other)
    assert found.reason == "plate", "of the same configuration the latest counts"
    quick = control("brightness", 0.9)
    one_epoch = replace(quick, config={**quick.config, "epochs": 1})
    assert judge_beside(ours, one_epoch)[0].reason == "plate", "it has epochs of its own"


def test_a_winner_below_the_target_needs_no_reason() -> None:
    found, goal = judge_beside(control("background", 0.5), accuracy=0.75)
    assert found.reason == "no target"
    assert "not at 80 %" in explain_reason(found, goal, "s")


def test_a_lead_is_turned_round_for_hamming() -> None:
    found, _ = judge_beside(
        control("background", 0.6), make_sham(0.5), target=0.2, metric="hamming"
    )
    assert found.best_blind is not None and found.best_blind.lead == pytest.approx(0.26, abs=0.04)
    assert found.reason == "right"
    assert found.chance == pytest.approx(0.5, abs=0.01)


def test_what_the_plate_explains_is_said_even_where_it_is_beaten() -> None:
    found, goal = judge_beside(control("background", 0.78), make_sham(0.5), accuracy=0.9)
    assert found.reason == "right" and found.explained == pytest.approx(0.7, abs=0.07)
    assert any("Even so, the plate alone gives" in line for line in explain_controls(found, goal))


def shuffle(accuracies: list[float], seed: int):
    """A training on shuffled labels with these accuracies epoch by epoch."""
    run = control("shuffled-labels", max(accuracies))
    epochs = tuple({"epoch": i + 1, "val/accuracy": one} for i, one in enumerate(accuracies))
    return replace(
        run, history=epochs, predictions=run.predictions, config={**run.config, "seed": seed}
    )


def test_labels_that_leak_through_shuffling_are_said() -> None:
    at_chance = [shuffle([0.35 + i / 50, 0.45 + i / 50, 0.62], seed=i) for i in range(4)]
    leaking = [shuffle([0.58 + i / 50, 0.6 + i / 50, 0.62], seed=i) for i in range(4)]
    for runs, said, leads in (
        (at_chance, "they are not above chance", False),
        (leaking, "something other than labels leads", True),
        (leaking[:1], "is not known from 1 shuffle.", False),
    ):
        found, goal = judge_beside(*runs)
        assert found.shuffles is not None and found.shuffles.leads_around is leads
        assert said in " ".join(explain_controls(found, goal))
    assert found.shuffles.n_as_good == 0
    good = [shuffle([0.3, 0.95], seed=i) for i in range(3)]
    assert judge_beside(*good)[0].shuffles.n_as_good == 3


def test_shuffles_of_sets_without_effect_raise_few_alarms() -> None:
    """Whole wells move together, and the best of twelve epochs is kept: 1,000 such sets."""
    rng = np.random.default_rng(0)
    n_alarms, n_sets = 0, 1000
    for _ in range(n_sets):
        runs = []
        for seed in range(5):
            by_well = rng.normal(0.5, 0.25, size=4).mean()  # 4 validation wells
            epochs = np.clip(by_well + rng.normal(0, 0.03, size=12), 0, 1)
            runs.append(make_history(epochs, seed))
        found = judge_shuffles(runs, ACCURACY, chance=0.5, winner=0.6)
        n_alarms += found.leads_around
    assert n_alarms / n_sets <= 0.065, "5 % and what 1,000 sets leave open"
    assert n_alarms / n_sets >= 0.03, "a test that never says anything would pass too"


def test_the_choice_of_the_epoch_does_not_make_sham_cells_told_apart() -> None:
    sham = make_sham(0.56)
    said = {}
    for name, accuracies in (("chosen", [0.49, 0.56, 0.5, 0.49]), ("steady", [0.56] * 4)):
        epochs = tuple({"epoch": i, "val/accuracy": one} for i, one in enumerate(accuracies))
        found, goal = judge_beside(replace(sham, history=epochs))
        assert found.sham is not None and found.sham.interval.low > 0.5
        said[name] = " ".join(explain_controls(found, goal))
    assert "cells are told apart" in said["steady"]
    assert "cells are not shown to be told apart" in said["chosen"]


def make_history(epochs: np.ndarray, seed: int) -> RunRecord:
    rows = tuple({"epoch": i + 1, "val/accuracy": float(one)} for i, one in enumerate(epochs))
    return RunRecord(f"s{seed}", f"s{seed}", "finished", {"seed": seed}, rows)


def test_a_control_that_could_not_be_made_is_said_with_its_reason() -> None:
    failed = replace(control("background", 0.5), state="failed", error="FlatError: all the same")
    found, goal = judge_beside(failed)
    said = "The control background only could not be made: FlatError: all the same"
    assert said in explain_controls(found, goal)
    assert found.reason == "unclear"
    document = list_assessment(assess(judge(make_grid_sweep([0.9, 0.7], make_cells(), failed))))
    assert document["controls"]["failed"][0]["error"] == "FlatError: all the same"
    assert said in document["findings"]
    found, goal = judge_beside(failed, control("background", 0.55), make_sham(0.5))
    assert found.failed == () and found.reason == "right", "a later try counts"
