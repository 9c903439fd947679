"""A network that has learnt nothing is not listed as any other: what is said of it, and where."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from report_support import make_cells, make_grid_sweep
from rich.console import Console

from bpsweep.report.page.page import write_html
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import SweepRecord
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.scores import METRICS, score_cells
from bpsweep.report.statistics.trouble import diagnose, find_trouble, name_one_class
from bpsweep.report.statistics.verdict import Verdict, judge
from bpsweep.report.text.summary import list_assessment, summarize
from bpsweep.report.text.table import draw_table, write_csv, write_json, write_latex
from bpsweep.report.text.verdict import describe
from bpsweep.server.board.judge import describe_configuration

STILL = [0.6935, 0.6931, 0.6932, 0.6931]


def name_iron(cells: Predictions) -> Predictions:
    return replace(cells, probabilities=np.tile([0.9, 0.1], (len(cells), 1)))


def make_sweep(accuracies: list[float], one_class: list[int]) -> SweepRecord:
    """Make a grid sweep in which some runs name iron for all, at learning rates of 9 and less."""
    cells = make_cells(420, 8)
    sweep = make_grid_sweep(accuracies, cells)
    said = name_iron(cells)
    runs = list(sweep.runs)
    for number, i in enumerate(one_class):
        row = {one.key: float(score_cells(said, one).mean()) for one in METRICS.values()}
        history = ({**runs[i].history[0], **row, "train/loss": 11000.0},)
        config = {**runs[i].config, "learning_rate": 9.0 - 0.5 * number}
        runs[i] = replace(runs[i], predictions=said, history=history, config=config)
    return replace(sweep, runs=tuple(runs))


def draw(verdict: Verdict) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(draw_table(verdict))
    return console.export_text()


def test_one_class_for_all_is_said_everywhere_with_the_likely_cause() -> None:
    assessment = assess(judge(make_sweep([0.9, 0.7, 0.6], [1])))
    verdict = assessment.verdict
    (row,) = [row for row in verdict.rows if row.trouble]
    cause = "names Fe for every cell"
    said = " ".join(summarize(assessment))
    assert "1 of 3 configurations names one class for every cell: its accuracy is the share" in said
    assert cause in said and "learning_rate 9 is likely too high" in said
    assert "training loss of 1.1e+04" in said
    assert " ".join(describe(verdict)).count(cause) == 1
    assert "not reached, one class" in draw(verdict)
    assert "not reached, one class" in write_latex(verdict)
    document = json.loads(write_json(verdict, list_assessment(assessment)))
    table = list(csv.DictReader(io.StringIO(write_csv(verdict))))
    for entry in (*document["configurations"], *table):
        assert ("names Fe" in (entry["trouble"] or "")) == (entry["run"] == row.run.id)
    page = write_html(assessment)
    assert cause in page and "not reached, one class" in page
    assert describe_configuration(row, verdict.goal.metric)["trouble"] == "one class"
    assert [
        describe_configuration(one, verdict.goal.metric)["trouble"] for one in verdict.rows
    ].count(None) == 2


def test_a_winner_that_names_one_class_reaches_no_target_by_skill() -> None:
    assessment = assess(judge(make_sweep([0.3, 0.3], [0]), target=0.4))
    assert assessment.verdict.best.status in ("reached", "likely")
    assert assessment.controls.reason == "one class" and not assessment.controls.right_reason
    said = " ".join(summarize(assessment))
    assert "It is for no skill: the best configuration names Fe for every cell" in said
    assert "But it names Fe for every cell" in said and "learning_rate 9 is likely too high" in said
    page = write_html(assessment)
    assert "It is for no skill" in page


def test_many_of_them_are_counted_and_three_are_named() -> None:
    sweep = make_sweep([0.9] + [0.5] * 8, list(range(1, 9)))
    said = " ".join(describe(judge(sweep)))
    assert "8 of 9 configurations name one class for every cell: their accuracy" in said
    assert said.count("names Fe for every cell") == 3 and "5 more learn as little" in said


def test_a_network_that_tells_cells_apart_is_in_no_trouble() -> None:
    verdict = judge(make_sweep([0.9, 0.55], []))
    assert [row.trouble for row in verdict.rows] == [None, None]
    assert "class" not in " ".join(describe(verdict))
    one = name_iron(make_cells(40, 4))
    iron = one.truth[:, 0] == 1
    alike = one.truth[iron]
    assert name_one_class(alike, alike, one.label_names) is None, "the cells are all iron"
    nothing = np.zeros_like(one.truth)
    assert name_one_class(one.truth, nothing, one.label_names) == "none"


def test_a_run_without_predictions_is_taken_at_its_word() -> None:
    sweep = make_sweep([0.9, 0.5], [])
    bare = replace(sweep.runs[1], predictions=None, one_class="X-ray")
    verdict = judge(replace(sweep, runs=(sweep.runs[0], bare)))
    assert any("names X-ray for every cell" in line for line in describe(verdict))


def test_a_run_of_folds_is_as_its_folds_are() -> None:
    good, bad = make_sweep([0.9, 0.5], [1]).runs
    for folds, said, is_one in (((good, bad), "in 1 of 2", False), ((bad, bad), "in 2 of 2", True)):
        found = find_trouble(replace(good, folds=folds))
        assert found is not None and found.is_one_class is is_one
        assert found.text.startswith(f"{said} folds names Fe for every cell")
    assert find_trouble(replace(good, folds=(good, good))) is None


@pytest.mark.parametrize(
    ("config", "losses", "named", "kind", "said"),
    [
        ({"learning_rate": 9.0}, [1.6e10, 3e4], "Fe", "one class", "learning_rate 9 is likely too"),
        ({"learning_rate": 9.0}, [1.6e10, 3e4], None, "loss too high", "training loss of 3e+04"),
        ({"learning_rate": 0.05}, STILL, None, "loss stays", "stays at 0.693 over 4 epochs"),
        ({"learning_rate": 1e-7}, STILL, None, "loss stays", "learning_rate 1e-07 is likely too l"),
        (
            {"learning_rate": 1e-3, "weight_decay": 5.0},
            [160.0, 113.0, 81.0],
            "Fe",
            "one class",
            "weight_decay 5 is likely too high",
        ),
        ({"learning_rate": 1e-3}, [0.7, 0.69], "Fe", "one class", "has not begun to learn"),
        ({"learning_rate": 1e-3}, [0.6, 0.2], "Fe", "one class", "by heart"),
        ({"learning_rate": 1.0}, [0.7, math.nan], None, "loss is no number", "from epoch 2 on"),
        ({}, STILL, "none", "one class", "names no label for any cell and has a training loss"),
    ],
)
def test_the_diagnosis(config, losses, named, kind: str, said: str) -> None:
    found = diagnose(config, losses, named)
    assert found is not None
    assert found.kind == kind and said in found.text
    assert found.is_one_class == (named is not None)


@pytest.mark.parametrize("losses", [[], [0.69], [0.69, 0.69], [0.9, 0.7, 0.69], [0.5, 0.4, 0.39]])
def test_a_loss_that_moves_or_was_hardly_seen_is_no_trouble(losses: list[float]) -> None:
    assert diagnose({"learning_rate": 1e-3}, losses, None) is None


@pytest.mark.parametrize("nan", [math.nan, math.inf, "NaN"])
def test_a_loss_that_is_no_number_is_said_and_breaks_nothing(nan: float | str) -> None:
    """Programs of other people log what they like; W&B's texts for NaN come as texts."""
    sweep = make_sweep([0.9, 0.5], [])
    first = sweep.runs[1].history[0]
    rows = (first, {**first, "epoch": 2, "train/loss": nan, "val/loss": nan})
    broken = {**first, "epoch": 3, "val/accuracy": nan, "val/jaccard": nan, "train/loss": 0.1}
    runs = (sweep.runs[0], replace(sweep.runs[1], history=(*rows, broken)))
    assessment = assess(judge(replace(sweep, runs=runs)))
    assert assessment.verdict.rows[1].best_epoch == 1
    document = json.loads(write_json(assessment.verdict, list_assessment(assessment)))
    assert "no number from epoch 2 on" in document["configurations"][1]["trouble"]
    assert "not reached, loss is no number" in draw(assessment.verdict)
    assert "loss is no number" in write_html(assessment)
