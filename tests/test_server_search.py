import json
import random

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsweep.server import search, sweepfile
from bpsweep.server.space import sweeps, to_plain

NESTED = """
method: grid
parameters:
  z: {values: [3, 1, 3, 2]}
  b:
    parameters:
      c: {distribution: int_uniform, min: 0, max: 2}
      d: {value: fixed}
  a: {values: [null, true, "x", 1.5]}
"""


def walk(config, seed=1, limit=10_000):
    taken, suggestions = set(), []
    ordinal = 0
    while len(suggestions) < limit:
        found = search.suggest(
            config, seed=seed, ordinal=ordinal, is_taken=taken.__contains__, past=list
        )
        if found is None:
            break
        taken.add(found.key)
        suggestions.append(found)
        ordinal = found.ordinal + 1
    return suggestions


def read(text, **changes):
    return {**sweepfile.read_config(text), **changes}


def test_grid_walks_as_the_engine_does():
    flat = "method: grid\nparameters:\n  b: {values: [3, 1, 2]}\n  a: {values: [x, y]}\n"
    flat += "  q: {distribution: q_uniform, min: 0.0, max: 1.0, q: 0.25}\n  c: {value: 7}\n"
    config = read(flat)
    engine_runs = []
    for ours in walk(config):
        engine = sweeps.next_run(config, engine_runs)
        assert ours.args == engine.config
        engine_runs.append(engine)
    assert sweeps.next_run(config, engine_runs) is None
    assert len(engine_runs) == search.count_expected(config) == 24


def test_nested_grid_gives_each_point_once():
    config = read(NESTED)
    points = walk(config)
    assert (
        len(points) == len({point.key for point in points}) == 36 == search.count_expected(config)
    )
    assert points[0].args["b"] == {"value": {"c": 0, "d": "fixed"}}
    assert {json.dumps(point.args["a"]["value"]) for point in points} == {
        "null", "true", '"x"', "1.5",
    }  # fmt: skip


def test_random_draws_as_the_engine_does():
    config = read(
        "method: random\nparameters:\n  a: {min: 0.0, max: 1.0}\n"
        "  b: {distribution: log_uniform_values, min: 0.001, max: 1.0}\n  c: {values: [1, 2, 3]}\n"
    )
    ours = walk(config, seed=5, limit=1)[0]
    random.seed("5/0")
    assert ours.args == to_plain(sweeps.next_run(config, []).config)


def test_finite_random_gives_every_configuration_once():
    config = read(NESTED, method="random")
    points = walk(config)
    assert len(points) == len({point.key for point in points}) == 36
    assert [p.key for p in points] != [p.key for p in walk(read(NESTED))]


def test_same_seed_same_search_and_global_generators_untouched():
    config = read(NESTED, method="random")
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = [point.key for point in walk(config, seed=9)]
    assert first == [point.key for point in walk(config, seed=9)]
    assert first != [point.key for point in walk(config, seed=10)]
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


def make_bayes(**changes):
    parameters = {
        "lr": {"min": 0.0, "max": 1.0},
        "n": {"parameters": {"k": {"values": ["x", "y", "z"]}}},
        "w": {"values": [1, 2], "probabilities": [0.3, 0.7]},
    }
    config = {"method": "bayes", "metric": {"name": "loss"}, "parameters": parameters}
    return read(yaml.safe_dump({**config, **changes}))


def make_past(n, **changes):
    args = {"n": {"value": {"k": "x"}}, "w": {"value": 2}}
    return [
        search.PastRun(
            f"r{i}", "finished", {"lr": {"value": i / n}, **args}, {"loss": abs(i / n - 0.3)}
        )
        for i in range(n)
    ]


def suggest_bayes(past, seed=1):
    return search.suggest(
        make_bayes(), seed=seed, ordinal=0, is_taken=lambda _: False, past=lambda: past
    )


def test_bayes_is_seeded_plain_and_uses_results():
    first = suggest_bayes(make_past(12))
    assert first == suggest_bayes(make_past(12))
    json.dumps(first.args, allow_nan=False)
    assert type(first.args["lr"]["value"]) is float
    assert "from 12 runs" in first.reason
    values = [suggest_bayes(make_past(12), seed).args["lr"]["value"] for seed in range(6)]
    assert abs(np.median(values) - 0.3) < 0.2


def test_bayes_outlives_failed_diverged_and_foreign_runs():
    past = make_past(4)
    past += [
        search.PastRun("nan", "finished", past[0].config, {"loss": float("nan")}, [float("nan")]),
        search.PastRun("crashed", "crashed", past[1].config),
        search.PastRun("foreign", "finished", {"lr": {"value": "text"}}),
        search.PastRun("pending", "pending", past[2].config),
    ]
    assert suggest_bayes(past) is not None
    assert suggest_bayes([]) is not None


def test_hyperband_stops_the_worse_runs_with_a_reason():
    config = read(
        "method: random\nmetric: {name: loss, goal: minimize}\n"
        "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\nparameters: {a: {values: [1]}}\n"
    )
    runs = [
        search.PastRun(f"r{level}", "running", {}, metric_values=[float(level)] * 4)
        for level in range(4)
    ]
    runs.append(search.PastRun("over", "finished", {}, metric_values=[9.0] * 4))
    stopped = search.find_runs_to_stop(config, runs)
    assert set(stopped) == {"r3"}
    assert stopped["r3"].startswith("hyperband: after 4 values of loss")


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 5), min_size=1))
@settings(max_examples=30, deadline=None)
def test_every_grid_is_walked_whole(sizes):
    parameters = {name: {"values": list(range(size))} for name, size in sizes.items()}
    config = read(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    assert len({point.key for point in walk(config)}) == np.prod(list(sizes.values()))


@pytest.mark.parametrize(
    "distribution",
    [
        "{distribution: constant, value: 3}",
        "{values: [1, 2], probabilities: [0.2, 0.8]}",
        "{distribution: int_uniform, min: 1, max: 4}",
        "{distribution: uniform, min: 1.0, max: 4.0}",
        "{distribution: q_uniform, min: 1.0, max: 4.0, q: 0.5}",
        "{distribution: log_uniform_values, min: 0.01, max: 4.0}",
        "{distribution: inv_log_uniform_values, min: 0.01, max: 4.0}",
        "{distribution: q_log_uniform_values, min: 1, max: 40, q: 2}",
        "{distribution: normal, mu: 1, sigma: 2}",
        "{distribution: q_normal, mu: 1, sigma: 2, q: 1}",
        "{distribution: log_normal, mu: 0.1, sigma: 0.2}",
        "{distribution: q_log_normal, mu: 0.1, sigma: 0.2, q: 0.1}",
        "{distribution: beta, a: 1, b: 2}",
        "{distribution: q_beta, a: 1, b: 2, q: 0.1}",
    ],
)
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_every_distribution_gives_plain_values(method, distribution):
    text = f"metric: {{name: loss}}\nparameters: {{x: {distribution}, y: {{values: [1, 2]}}}}\n"
    config = read(f"method: {method}\n{text}")
    found = search.suggest(config, seed=1, ordinal=0, is_taken=lambda _: False, past=list)
    json.dumps(found.args, allow_nan=False)
    assert type(found.args["x"]["value"]) in (int, float)
