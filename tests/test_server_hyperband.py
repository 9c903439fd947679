import json
from pathlib import Path

import pytest

from bpsweep.server import hyperband, search, sweepfile

CASES = json.loads(Path(__file__).with_name("hyperband_cases.json").read_text())


def test_stops_are_those_of_the_engine_of_today():
    for case in CASES:
        verdicts = hyperband.judge_runs(case["early"], case["goal"], case["histories"])
        stopped = [n for n, verdict in enumerate(verdicts) if verdict is not None]
        assert stopped == case["stopped"], case
    assert sum(len(case["stopped"]) for case in CASES) > 100


def find_stopped(early, histories):
    text = "method: random\nmetric: {name: m}\nparameters: {a: {values: [1, 2]}}\n"
    config, _ = sweepfile.check_config(f"{text}early_terminate: {early}\n")
    runs = [
        search.PastRun(f"r{n}", "running", {}, metric_values=values)
        for n, values in enumerate(histories)
    ]
    return search.find_runs_to_stop(config, runs)


def test_a_run_is_judged_at_its_second_value_where_the_first_band_is_two():
    histories = [[0.1, 0.1]] * 6 + [[5.0]]
    early = "{type: hyperband, min_iter: 2, eta: 2}"
    assert find_stopped(early, histories) == {}
    stopped = find_stopped(early, [*histories[:-1], [5.0, 5.0]])
    assert list(stopped) == ["r6"]
    assert "after 2 values of m" in stopped["r6"]


@pytest.mark.parametrize(("strict", "expected"), [("true", ["r6"]), ("false", [])])
def test_a_run_that_was_good_once_is_stopped_where_strict_says_so(strict, expected):
    early = f"{{type: hyperband, min_iter: 2, eta: 2, strict: {strict}}}"
    histories = [[0.1] * 5] * 6 + [[0.05, 3.0, 3.0, 3.0, 3.0]]
    assert list(find_stopped(early, histories)) == expected
