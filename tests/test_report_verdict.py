"""The verdict over a sweep's runs: what is best, what reaches the target, what is said."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from bpsweep.report.errors import ReportError
from bpsweep.report.records import RunRecord, SweepRecord
from bpsweep.report.statistics.confusion import count_confusion
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.text.table import describe, write_csv, write_json


def make_run(batch_size: int, accuracies: list[float], state: str = "finished", **config):
    history = tuple(
        {
            "epoch": i + 1,
            "val/accuracy": value,
            "val/jaccard": value,
            "val/hamming": 1 - value,
            "train/elapsed_s": 10.0 * (i + 1),
        }
        for i, value in enumerate(accuracies)
    )
    provenance = {"n_validation": 1774, "synthetic": True}
    settings = {"batch_size": batch_size, "split": "well", "provenance": provenance} | config
    return RunRecord(f"r{batch_size}", f"run {batch_size}", state, settings, history)


def make_sweep(*runs: RunRecord) -> SweepRecord:
    config = {"parameters": {"batch_size": {"values": [1, 2, 4]}, "epochs": {"value": 3}}}
    return SweepRecord("me/bps/s1", "quick", "FINISHED", config, runs, "http://here")


def test_the_best_epoch_counts_not_the_last() -> None:
    verdict = judge(make_sweep(make_run(1, [0.7, 0.85, 0.6]), make_run(2, [0.5, 0.79, 0.799])))
    best, other = verdict.rows
    assert (best.swept, best.best_epoch, best.value) == ({"batch_size": 1}, 2, 0.85)
    assert (best.first_epoch_at_target, best.seconds_to_target) == (2, 20.0)
    assert (best.status, other.status) == ("reached", "not reached")
    assert other.best_epoch == 3


def test_a_value_at_the_target_is_likely_until_its_whole_interval_is() -> None:
    at = make_sweep(make_run(1, [0.80]))
    assert [judge(at, target).rows[0].status for target in (0.78, 0.80, 0.81)] == [
        "reached",  # Wilson's interval of 0.80 of 1,774 begins at 0.781
        "likely",
        "not reached",
    ]
    assert judge(at, 0.79, level=0.5).rows[0].status == "reached"
    assert judge(at, 0.80).rows[0].probability == pytest.approx(0.5, abs=0.03)


def test_a_low_hamming_loss_is_the_good_one() -> None:
    verdict = judge(make_sweep(make_run(1, [0.7]), make_run(2, [0.85])), 0.2, "hamming")
    assert [row.value for row in verdict.rows] == pytest.approx([0.15, 0.3])
    assert [row.status for row in verdict.rows] == ["likely", "not reached"]


def test_a_retried_configuration_is_one_row_and_the_finished_run_counts() -> None:
    crashed, finished = make_run(1, [0.9, 0.9], "crashed"), make_run(1, [0.7])
    verdict = judge(make_sweep(crashed, finished))
    assert [row.value for row in verdict.rows] == [0.7]


def test_a_run_without_epochs_is_shown_last_without_a_result() -> None:
    verdict = judge(make_sweep(make_run(1, [], "failed"), make_run(2, [0.1])))
    assert [row.value for row in verdict.rows] == [0.1, None]
    assert any("1 failed" in line for line in describe(verdict))


def test_a_failure_is_told_with_its_reason() -> None:
    failed = replace(make_run(1, [], "failed"), error="CacheError: no room")
    said = describe(judge(make_sweep(failed, make_run(2, [0.1]))))
    assert "1 failed with: CacheError: no room" in said


def test_the_sentences_count_name_the_best_and_say_synthetic() -> None:
    lines = describe(judge(make_sweep(make_run(1, [0.85]), make_run(2, [0.6]))))
    assert lines[0] == (
        "1 of 2 configurations reaches 80 % validation accuracy with 95 % confidence on 1,774 "
        "validation synthetic cells."
    )
    assert lines[1].startswith("The best is batch_size 1 with 85.0% (epoch 1; 95 % interval 83.3%")
    assert "take cells as independent" in lines[3]
    assert lines[-1].startswith("Synthetic images")


def test_the_audit_stands_at_the_top() -> None:
    provenance = {"n_validation": 10, "audit": "particle follows from the plate"}
    run = make_run(1, [0.85], provenance=provenance)
    assert describe(judge(make_sweep(run)))[0] == "Audit: particle follows from the plate."


def test_csv_and_json_say_the_same_with_swept_values_first() -> None:
    verdict = judge(make_sweep(make_run(1, [0.85]), make_run(2, [0.6])))
    rows = list(csv.DictReader(io.StringIO(write_csv(verdict))))
    document = json.loads(write_json(verdict))
    assert next(iter(rows[0])) == "batch_size"
    assert document["n_reached"] == 1 and document["synthetic"] is True
    for row, entry in zip(rows, document["configurations"], strict=True):
        assert float(row["val_accuracy"]) == entry["val_accuracy"]
        assert row["verdict"] == entry["verdict"]


@pytest.mark.parametrize("target", [0, 80, -0.1])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(ReportError, match=f"target {target} is not a share"):
        judge(make_sweep(make_run(1, [0.9])), target)


def test_a_sweep_without_runs_says_what_to_do() -> None:
    with pytest.raises(ReportError, match="no run yet: start `wandb agent me/bps/s1`"):
        judge(make_sweep())


def test_confusion_counts_every_image_once_and_names_impossible_predictions() -> None:
    names = ("Fe", "X-ray", "0 Gy", "1.0 Gy")
    truth = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]], dtype=np.uint8)
    predicted = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=np.uint8)
    confusion = count_confusion(truth, predicted, names)
    assert confusion.rows == ("Fe, 0 Gy", "X-ray, 1.0 Gy")
    assert confusion.columns == ("Fe, 0 Gy", "X-ray, 1.0 Gy", "other")
    assert confusion.counts.tolist() == [[1, 0, 0], [1, 0, 1]]
