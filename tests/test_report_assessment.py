"""Verdicts over wells, replicates, and everything together in words, JSON and LaTeX."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from report_support import SETTINGS, make_cells, make_control, make_grid_sweep, make_run, say
from rich.console import Console

from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.summary import headline, list_assessment, summarize
from bpsweep.report.text.table import draw_table, write_json, write_latex

CELLS = make_cells()


def test_the_interval_is_over_wells_where_predictions_were_kept() -> None:
    calm = make_run("r0", say(CELLS, 0.83, 1), batch_size=16)
    restless = make_run("r1", say(CELLS, 0.83, 2, well_spread=0.12), batch_size=32)
    sweep = replace(make_grid_sweep([], CELLS), runs=(calm, restless))
    by_run = {row.run.id: row for row in judge(sweep, target=0.8).rows}
    assert by_run["r0"].status == "reached" and by_run["r1"].status != "reached"
    for row in by_run.values():
        assert row.interval is not None and row.interval.method == "wells"
    estimate = by_run["r1"].estimate
    assert estimate is not None and estimate.interval is not None and estimate.naive is not None
    width = estimate.interval.high - estimate.interval.low
    assert width > 2 * (estimate.naive.high - estimate.naive.low)


def test_predictions_of_another_epoch_are_not_taken_for_the_best() -> None:
    run = make_run("r0", say(CELLS, 0.83, 1), batch_size=16)
    wrong = replace(run, predictions=say(CELLS, 0.6, 2))
    row = judge(replace(make_grid_sweep([], CELLS), runs=(wrong,))).best
    assert row.interval is not None and row.interval.method == "wilson"
    assert row.value == pytest.approx(0.83, abs=0.02)


def test_status_interval_and_probability_agree() -> None:
    verdict = judge(make_grid_sweep(list(np.linspace(0.74, 0.86, 27)), CELLS))
    for row in verdict.rows:
        assert row.probability is not None
        assert (row.status == "reached") == (row.probability >= 0.975)
        assert (row.status == "not reached") or row.probability > 0.4
    assert {row.status for row in verdict.rows} == {"reached", "likely", "not reached"}


def test_fresh_seeds_give_mean_spread_and_n_and_stand_first() -> None:
    sweep = make_grid_sweep([0.84, 0.83, 0.70], CELLS)
    settings = {name: sweep.runs[1].config[name] for name in SETTINGS}
    fresh = [
        make_run(f"s{i}", say(CELLS, accuracy, 50 + i), kind="replicate", **settings, seed=i)
        for i, accuracy in enumerate((0.80, 0.82, 0.84))
    ]
    verdict = judge(replace(sweep, beside=tuple(fresh)))
    best = verdict.best
    assert best.swept == settings and best.n_runs == 4 and len(verdict.rows) == 3
    assert best.replicates is not None and best.replicates.n == 4
    values = best.replicates.values
    assert best.value == pytest.approx(np.mean(values))
    assert best.replicates.spread == pytest.approx(np.std(values, ddof=1))
    alone = next(row for row in judge(sweep).rows if row.run.id == "r1")
    assert alone.replicates is None
    assert any("Its 4 seeds spread by" in line for line in summarize(assess(verdict)))


def test_seeds_that_differ_widen_the_interval() -> None:
    widths = []
    for accuracies in ((0.80, 0.80, 0.80), (0.70, 0.80, 0.90)):
        runs = tuple(
            make_run(f"r{i}", say(CELLS, accuracy, i), batch_size=16, seed=i)
            for i, accuracy in enumerate(accuracies)
        )
        parameters = {"batch_size": {"values": [16, 32]}, "seed": {"values": [0, 1, 2]}}
        sweep = replace(make_grid_sweep([], CELLS), runs=runs, config={"parameters": parameters})
        interval = judge(sweep).best.interval
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] > 3 * widths[0]


def test_a_swept_seed_is_no_setting_but_replicates() -> None:
    runs = tuple(
        make_run(f"r{i}", say(CELLS, 0.8, i), batch_size=16 * (1 + i % 2), seed=i // 2)
        for i in range(6)
    )
    sweep = replace(
        make_grid_sweep([], CELLS),
        runs=runs,
        config={"parameters": {"batch_size": {"values": [16, 32]}, "seed": {"values": [0, 1, 2]}}},
    )
    verdict = judge(sweep)
    assert [set(row.swept) for row in verdict.rows] == [{"batch_size"}] * 2
    assert [row.n_runs for row in verdict.rows] == [3, 3]


def test_the_verdict_in_a_few_sentences_then_the_whole() -> None:
    accuracies = [0.9, *(0.86 - 0.06 * (i // 9) for i in range(1, 27))]  # the control is its
    sham = make_control("sham", 0.5, make_cells(900, dose_gy=0.0))
    sweep = make_grid_sweep(accuracies, CELLS, make_control("background", 0.55, CELLS), sham)
    provenance = {**sweep.runs[0].provenance, "audit": "particle follows from the plate"}
    first = replace(sweep.runs[0], config={**sweep.runs[0].config, "provenance": provenance})
    assessment = assess(judge(replace(sweep, runs=(first, *sweep.runs[1:]))))
    lines = summarize(assessment)
    assert lines[0] == "Audit: particle follows from the plate."
    assert lines[1:4] == headline(assessment)
    assert lines[1] == "Grade 3 of 5: reached, controls beaten."
    assert re.match(r"\d+ of 27 configurations reach 80 % validation accuracy with 95 %", lines[2])
    assert "of 16 wells" in lines[2]
    assert lines[3].startswith("It is for the right reason")
    assert any(line.startswith("Wells instead of cells: 16 of 16 wells") for line in lines)
    assert lines[-1].startswith("Synthetic images")
    document = json.loads(write_json(assessment.verdict, list_assessment(assessment)))
    assert document["findings"] == lines
    assert document["grade"] == "reached, controls beaten" and document["grade_number"] == 3
    assert document["controls"]["reason"] == "right"
    assert document["importance"]["settings"][0]["name"] == "batch_size"
    assert document["selection"]["corrected"] < document["selection"]["raw"]


@pytest.mark.parametrize("width", [64, 80, 100, 140])
@pytest.mark.parametrize("n_settings", [3, 6])
def test_the_table_keeps_what_matters_at_any_width(width: int, n_settings: int) -> None:
    sweep = make_grid_sweep([0.85, 0.7, 0.6], CELLS)
    more = {"model": "sklearn-mlp", "weight_decay": 0.00001, "normalize": "percentile", "seed": 7}
    added = dict(list(more.items())[: n_settings - 2])
    runs = [replace(run, config={**run.config, **added}) for run in sweep.runs]
    runs[1] = replace(runs[1], state="running", predictions=None)
    parameters = {**sweep.config["parameters"], **{name: {"values": [0, 1]} for name in added}}
    config = {**sweep.config, "parameters": parameters}
    verdict = judge(replace(sweep, config=config, runs=tuple(runs)))
    console = Console(width=width, file=io.StringIO())
    console.print(draw_table(verdict, width))
    text = console.file.getvalue()
    for whole in ("verdict", "reached, epoch 1", "running", "not reached", "accuracy (95 %)"):
        assert whole in text, text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert ("Hamming" in text.split("Left out")[0]) or "Left out for want of room" in text


def test_latex_is_a_table_that_escapes_what_tex_would_eat() -> None:
    sweep = make_grid_sweep([0.85, 0.7], CELLS)
    text = write_latex(judge(sweep))
    assert text.count(r"\\") == 3 and r"batch\_size & epochs" in text
    assert r"P($\geq$ 80 \%)" in text
    body = text.replace(r"\%", "").replace(r"\_", "").replace(r"\&", "").replace("$\\geq$", "")
    assert "%" not in body and "_" not in body and "#" not in body
