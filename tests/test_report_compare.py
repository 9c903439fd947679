"""LeNet-5 against the MLP: the right runs, the same cells, the difference with its interval."""

from dataclasses import replace

import pytest
from report_support import make_cells, make_run, say

from bpsweep.report.errors import ReportError
from bpsweep.report.records import SweepRecord
from bpsweep.report.statistics.compare import compare_models
from bpsweep.report.text.compare_table import explain_comparison, list_comparison, write_markdown

CELLS = make_cells()
PUBLISHED = {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4}


def make_sweep(*runs):
    return SweepRecord("me/bps/s", "s", "FINISHED", {"parameters": {}}, runs, "http://here")


def make_model(model: str, accuracy: float, seed: int, **settings):
    config = {"model": model, "task": "single-label", "subset": "hi-4h", **PUBLISHED, **settings}
    return make_run(f"{model}-{seed}", say(CELLS, accuracy, seed), **config)


def test_published_and_best_are_compared_on_the_same_cells() -> None:
    lenet = make_sweep(make_model("lenet5", 0.75, 1), make_model("lenet5", 0.85, 2, batch_size=16))
    mlp = make_sweep(
        make_model("sklearn-mlp", 0.65, 3), make_model("sklearn-mlp", 0.6, 4, epochs=5)
    )
    found = compare_models([lenet, mlp])
    assert [table.choice for table in found.tables] == ["published", "best"]
    published, best = found.tables
    assert [entry.run.id for entry in published.entries] == ["lenet5-1", "sklearn-mlp-3"]
    assert [entry.run.id for entry in best.entries] == ["lenet5-2", "sklearn-mlp-3"]
    assert best.entries[0].n_tried == 2
    for table, difference in ((published, 0.10), (best, 0.20)):
        for name in ("accuracy", "jaccard", "hamming"):
            lead = table.leads[name]
            assert lead.difference == pytest.approx(difference, abs=0.03)
            assert lead.interval.low < lead.difference < lead.interval.high
            assert lead.verdict == "better"
    assert "LeNet-5 beats the MLP on accuracy by" in write_markdown(found)
    assert "synthetic" in write_markdown(found)
    assert list_comparison(found)["tables"][0]["lenet5_better_by"]["accuracy"]["low"] > 0


def test_equals_are_left_open() -> None:
    found = compare_models([make_sweep(make_model("lenet5", 0.7, 1), make_model("mlp", 0.7, 2))])
    assert found.tables[0].leads["accuracy"].verdict == "open"
    assert "is open" in explain_comparison(found)[0]


def test_another_split_is_not_compared_and_that_is_said() -> None:
    other = make_model("mlp", 0.6, 2)
    provenance = {**other.provenance, "split_checksum": "other"}
    other = replace(other, config={**other.config, "provenance": provenance})
    found = compare_models([make_sweep(make_model("lenet5", 0.8, 1), other)])
    assert not found.tables[0].leads
    assert any("not validated on the same split" in line for line in found.missing)


def test_a_missing_model_is_named_with_its_settings() -> None:
    found = compare_models([make_sweep(make_model("lenet5", 0.8, 1, split="well"))])
    assert found.missing[0] == (
        "single-label, split well, published configurations: no finished run of the MLP with "
        "batch_size 64, epochs 10, learning_rate 0.0003."
    )


def test_nothing_to_compare_says_what_is_needed() -> None:
    with pytest.raises(ReportError, match="needed are finished runs of models lenet5, mlp"):
        compare_models([make_sweep()])
