"""One fact, one figure: the same quantity reads alike in table, sentences, page, JSON and CSV.

The sweeps are made so that little apart would show: predictions stored with six digits, as earlier
versions did, so that cells near one half change sides and the logged accuracy is a cell or two
from theirs; several seeds; values that end in a five where they are cut.
"""

import csv
import io
import itertools
import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from report_support import make_cells

from bpsweep.report.page.page import write_html
from bpsweep.report.predictions import Predictions, read_predictions, write_predictions
from bpsweep.report.records import CONTROL, REPLICATE, TEST, RunRecord, SweepRecord
from bpsweep.report.statistics.assessment import Assessment, assess
from bpsweep.report.statistics.compare import compare_models
from bpsweep.report.statistics.scores import METRICS, score_cells
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.compare_table import list_cells, list_comparison
from bpsweep.report.text.numbers import show_chance, show_value
from bpsweep.report.text.summary import list_assessment, summarize
from bpsweep.report.text.table import draw_table, write_csv, write_json, write_latex
from bpsweep.report.text.verdict import describe
from bpsweep.server.board.judge import describe_configuration

SEEDS = range(5)
SETTINGS = {"batch_size": (16, 32, 64), "learning_rate": (3e-4, 1e-3)}
FIRST = {name: values[0] for name, values in SETTINGS.items()}


def say(cells: Predictions, accuracy: float, rng: np.random.Generator) -> Predictions:
    """Say something of cells; of a few so little that six digits say nothing."""
    right = rng.random(len(cells)) < accuracy
    sure = 0.5 + rng.beta(3, 2, len(cells)) / 2
    sure[rng.random(len(cells)) < 0.005] = np.nextafter(np.float32(0.5), np.float32(1))
    of_truth = np.where(right, sure, 1 - sure).astype(np.float32)
    iron = np.where(cells.truth[:, 0] == 1, of_truth, 1 - of_truth).astype(np.float32)
    return replace(cells, probabilities=np.stack([iron, 1 - iron], axis=1))


def cut_digits(predictions: Predictions) -> Predictions:
    """Give back what a file of six digits would."""
    cut = [[float(f"{p:.6g}") for p in row] for row in predictions.probabilities.tolist()]
    return replace(predictions, probabilities=np.array(cut, np.float32))


@dataclass
class Maker:
    """Makes runs of one random sweep."""

    rng: np.random.Generator
    cells: Predictions
    n: int = 0

    def make(self, accuracy: float, kind: str = "train", **settings: Any) -> RunRecord:
        """Make a run of three epochs; the best is the one that its predictions are of."""
        said = say(self.cells, accuracy, self.rng)
        best = {one.key: float(score_cells(said, one).mean()) for one in METRICS.values()}
        losses = {"train/loss": 0.5, "val/loss": float(self.rng.uniform(0.3, 0.9))}
        history = [{"epoch": i + 1, "train/elapsed_s": 9.0 * i, **best, **losses} for i in range(3)]
        for i in (0, 2):
            drop = float(self.rng.uniform(0.02, 0.1)) + (i == 2) * 1e-3
            history[i] |= {"val/accuracy": best["val/accuracy"] - drop, "train/loss": 0.6 - 0.1 * i}
        self.n += 1
        provenance = {"n_validation": len(said), "synthetic": True, "split_checksum": "s"}
        config = {"seed": 42, "split": "well", "task": "single-label", "subset": "hi-4h"}
        config |= {"model": "lenet5", "provenance": provenance, **settings}
        name = f"r{self.n}"
        return RunRecord(
            name, name, "finished", config, tuple(history), kind=kind, predictions=cut_digits(said)
        )


def make_sweep(seed: int) -> SweepRecord:
    """Make a random sweep with controls, a test part, and in half of them seeds."""
    rng = np.random.default_rng(seed)
    maker = Maker(rng, make_cells(int(rng.choice([42, 160, 622, 800])), int(rng.choice([6, 16]))))
    top = float(rng.uniform(0.5, 0.95))
    runs = []
    for values in itertools.product(*SETTINGS.values()):
        settings = dict(zip(SETTINGS, values, strict=True))
        model = "mlp" if settings["batch_size"] == 64 else "lenet5"
        runs.append(maker.make(top - float(rng.uniform(0, 0.1)), **settings, model=model))
    best = max(runs, key=lambda run: run.history[1]["val/accuracy"])
    settings = {name: best.config[name] for name in SETTINGS}
    beside = [
        maker.make(float(rng.uniform(0.45, 0.8)), CONTROL, control=name, **settings)
        for name in ("background", "brightness", "shuffled-labels")
    ]
    if seed % 2:
        beside += [maker.make(top - 0.03, REPLICATE, **{**settings, "seed": s}) for s in (43, 44)]
    beside.append(maker.make(top, TEST, **settings))
    parameters = {name: {"values": list(values)} for name, values in SETTINGS.items()}
    return SweepRecord(
        "me/bps/s1", "made", "FINISHED", {"parameters": parameters}, tuple(runs), "", tuple(beside)
    )


class Tables(HTMLParser):
    """The tables of a page: id to rows of texts, and all words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._rows: list[list[str]] | None = None
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("script", "style")
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs).get("aria-labelledby")), [])
        if self._rows is not None and tag == "tr":
            self._rows.append([])
        if self._rows is not None and tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False
        if tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.words.append(data)
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += data.strip()


def read_table(html: str, name: str) -> list[dict[str, str]]:
    head, *rows = Tables(html).tables[name]
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.fixture(scope="module", params=itertools.product(SEEDS, METRICS), ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Assessment, str]:
    seed, metric = request.param
    target = {"accuracy": 0.6, "jaccard": 0.6, "hamming": 0.4}[metric]
    assessment = assess(judge(make_sweep(seed), target, metric))
    return assessment, write_html(assessment)


def test_every_configuration_reads_alike_everywhere(case: tuple[Assessment, str]) -> None:
    assessment, html = case
    verdict, metric = assessment.verdict, assessment.verdict.goal.metric
    document = json.loads(write_json(verdict, list_assessment(assessment)))
    table = draw_table(verdict)
    columns = {str(one.header).replace("\n", " "): list(one.cells) for one in table.columns}
    shown = next(cells for head, cells in columns.items() if head.lower().startswith(metric.name))
    chances = next(cells for head, cells in columns.items() if head.startswith("P("))
    latex = write_latex(verdict)
    on_page = read_table(html, "table")
    rows = csv.DictReader(io.StringIO(write_csv(verdict)))
    for i, (row, entry, line) in enumerate(
        zip(verdict.rows, document["configurations"], rows, strict=True)
    ):
        value, low, high = (entry[f"val_{metric.name}{end}"] for end in ("", "_low", "_high"))
        assert [float(line[f"val_{metric.name}{end}"]) for end in ("", "_low", "_high")] == [
            value,
            low,
            high,
        ]
        assert low <= value <= high
        text = show_value(value, metric)
        ends = [show_value(end, metric).removesuffix("%") for end in (low, high)]
        assert shown[i] == f"{text} ({ends[0]}-{ends[1]})"
        assert text.replace("%", r"\%") in latex
        cell = on_page[i]
        assert cell[metric.words] == text
        spread = next(cell[head] for head in cell if "interval over wells" in head)
        assert spread.removesuffix("%") == f"{ends[0]} to {ends[1]}"
        chance = show_chance(entry["probability_at_target"])
        assert chances[i] == chance
        assert next(cell[head] for head in cell if head.startswith("P(")) == chance
        server = describe_configuration(row, metric)["shown"]
        assert server == {"value": text, "interval": f"{ends[0]} to {ends[1]}", "chance": chance}


def test_sentences_say_what_the_table_does(case: tuple[Assessment, str]) -> None:
    assessment, html = case
    verdict, metric = assessment.verdict, assessment.verdict.goal.metric
    best, said = verdict.best, summarize(assessment)
    whole = " ".join(said)
    assert best.value is not None and best.interval is not None and best.probability is not None
    text = show_value(best.value, metric)
    ends = [show_value(end, metric) for end in (best.interval.low, best.interval.high)]
    assert re.search(rf"The best is .* with {text} \(.* interval {ends[0]} to {ends[1]}", whole)
    words = "".join(Tables(html).words)
    for line in said:
        plain = line.replace("`", "")
        assert plain in words or line.startswith("Audit"), "the page says what the terminal does"
    assert [line for line in describe(verdict) if line not in said] == []
    selection = assessment.selection
    assert selection is not None
    own = re.search(r"(?:above|below) its own ([\d.]+%?)", whole)
    if selection.is_best:
        assert selection.raw == best.value
        assert own is None or own[1] == text
    else:
        assert f"The best single run of {selection.n_configurations}" in whole
    document = json.loads(write_json(verdict, list_assessment(assessment)))
    assert document["selection"]["raw"] == selection.raw
    for entry in document["configurations"]:
        if entry["run"] == document["selection"]["run"] and entry["n_runs"] == 1:
            assert entry[f"val_{metric.name}"] == selection.raw


def test_controls_lead_by_the_difference_of_the_values_shown(
    case: tuple[Assessment, str],
) -> None:
    assessment, html = case
    verdict, metric = assessment.verdict, assessment.verdict.goal.metric
    document = list_assessment(assessment)
    on_page = read_table(html, "controls-table")
    assert len(on_page) == len(document["controls"]["runs"]) == 3
    logged = {run.id: run.history[1] for run in verdict.sweep.beside}
    for one, entry, cell in zip(
        assessment.controls.results, document["controls"]["runs"], on_page, strict=True
    ):
        assert entry["value"] == logged[one.run.id][metric.key], "as its own page says"
        assert cell[metric.words] == show_value(entry["value"], metric)
        if one.name != "shuffled-labels":  # said as the mean of all its shuffles
            assert f"{one.words} {cell[metric.words]}" in " ".join(summarize(assessment))
        sign = 1 if metric.higher_is_better else -1
        lead = sign * (verdict.best.value - entry["value"]) - assessment.controls.optimism
        assert entry["lead"] == pytest.approx(lead), "less what the choice of the best gave it"
        assert entry["lead_low"] <= entry["lead"] <= entry["lead_high"]


@pytest.mark.parametrize("seed", SEEDS)
def test_models_lead_by_the_difference_of_the_values_shown(seed: int) -> None:
    comparison = compare_models([make_sweep(seed)])
    (table,) = [one for one in comparison.tables if one.choice == "best"]
    (document,) = [one for one in list_comparison(comparison)["tables"] if one["choice"] == "best"]
    lenet, mlp = document["models"]
    for name, metric in METRICS.items():
        for entry in (lenet, mlp):
            run = next(run for run in make_sweep(seed).runs if run.id == entry["run"])
            assert entry[name]["value"] == run.history[1][metric.key]
        sign = 1 if metric.higher_is_better else -1
        lead = document["lenet5_better_by"][name]["difference"]
        assert lead == pytest.approx(sign * (lenet[name]["value"] - mlp[name]["value"]))
    shown = show_value(lenet["accuracy"]["value"], METRICS["accuracy"])
    assert any(shown in cell for cell in list_cells(table)[0])


def test_probabilities_are_stored_so_that_they_decide_the_same() -> None:
    rng = np.random.default_rng(0)
    said = say(make_cells(800), 0.6, rng)
    found = read_predictions(write_predictions(said))
    assert (found.probabilities == said.probabilities).all()
    for metric in METRICS.values():
        assert (score_cells(found, metric) == score_cells(said, metric)).all()


def test_the_made_sweeps_are_as_hard_as_they_should_be() -> None:
    """Some stored predictions are one cell or more off what was logged."""
    off = [
        abs(float(score_cells(run.predictions, METRICS["accuracy"]).mean()) - logged) * len(cells)
        for seed in SEEDS
        for run in make_sweep(seed).runs
        if (cells := run.predictions) is not None
        for logged in [run.history[1]["val/accuracy"]]
    ]
    assert max(off) > 0.9 and np.mean(np.array(off) > 0.5) > 0.1
