import json
from pathlib import Path

import pytest
import yaml

from bpsweep.server import search, sweepfile
from bpsweep.server.errors import BadRequestError
from bpsweep.server.space import engine_schema
from bpsweep.server.sweepkeys import REFUSED, SERVED, WITHOUT_EFFECT, write_table

DOCS = Path(__file__).parent.parent / "docs" / "SWEEP_KEYS.md"
HYPERBAND = "method: random\nmetric: {name: m}\nparameters: {a: {min: 0, max: 1}}\nearly_terminate:"


def make(parameter, method="random", more=""):
    return f"program: t.py\nmethod: {method}\n{more}\nparameters: {{lr: {parameter}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: gird\nparameters: {a: {value: 1}}", "got 'gird'; did you mean 'grid'"),
        ("method: grid", "'parameters' is missing"),
        ("method: grid\nparameters: [1]", "'parameters' is a mapping"),
        ("method: grid\nparameters: {a: 3}", r"'a': write {value: \.\.\.} for a constant"),
        ("method: grid\nparameters: {a: {min: 0.0, max: 1.0}}", "'a': a grid needs values"),
        ("method: grid\nparameters: {a: {min: 0, max: 9999999999}}", "10,000,000,000"),
        ("method: random\nparameters: {a: {parameters: {b: {min: 2, max: 1}}}}", "'a.b': min 2"),
        ("method: bayes\nparameters: {a: {min: 0, max: 1}}", "needs a 'metric'"),
        ("method: bayes\nmetric: {name: m}\nparameters: {a: {value: 1}}", "at least one parameter"),
        ("method: grid\nrun_cap: 0\nparameters: {a: {value: 1}}", "'run_cap' is a whole number"),
        ("a: [", "not YAML"),
        ("[1]", "a sweep config is a mapping"),
        ("", "a sweep config is a mapping"),
        (make("{distribution: uniform, min: 1e-5, max: 1e-1}"), r"'min': .* write 1.0e-5 for"),
        (make('{min: 1, max: "2"}'), "'max' is a number, got '2': write 2$"),
        (make("{distribution: normal, min: 0, max: 1}"), "takes 'mu' and 'sigma', not 'min'"),
        (make("{distribution: log_uniform_values, min: 0, max: 1}"), "needs a 'min' above 0"),
        (make("{distribution: gaussian, mu: 0}"), "there is no distribution 'gaussian'"),
        (make("{distribution: unifrom, min: 0, max: 1}"), "did you mean 'uniform'"),
        (make("{distribution: q_uniform, min: 0, max: 1, q: 0}"), "'q', the step, is above 0"),
        (make("{min: 0}"), "needs 'max'"),
        (make("{valeus: [1]}"), "no key 'valeus'; did you mean 'values'"),
        (make("{values: 3}"), r"write \[3\], got 3"),
        (make("{value: 1, values: [1]}"), "both 'value' and 'values'"),
        (make("{values: [1, 2], probabilities: [0.5]}"), "2 values and 1 probabilities"),
        (make("{values: [1, 2], probabilities: [0.5, 0.4]}"), "add up to 0.9, not to 1"),
        (make("{values: [1, 2], min: 0}"), "a list of values takes no 'min'"),
        ('method: random\nparameters: {"+opt.lr": {value: 1}}', r"this one holds '\+'"),
        ("method: random\nparameters: {opt/lr: {value: 1}}", "this one holds '/'"),
        ('method: random\nparameters: {"numbers[0]": {value: 1}}', r"holds '\[\]'"),
        ("method: random\nparameters: {größe: {value: 1}}", "holds 'öß'"),
        ("method: random\nparameters: {1a: {value: 1}}", "begins with '1'"),
        (f"{HYPERBAND} {{type: hyperband, max_iter: 27}}", "'max_iter' without 's', the number of"),
        (f"{HYPERBAND} {{type: hyperband}}", "neither 'min_iter' nor 'max_iter' and 's'"),
        (f"{HYPERBAND} hyperband", "write {type: hyperband, min_iter: 3}, got 'hyperband'"),
        (f"{HYPERBAND} {{type: envelope}}", "is hyperband: write .*, got 'envelope'"),
        (f"{HYPERBAND} {{type: hyperband, min_iter: 3, strikt: true}}", "did you mean 'strict'"),
        (make("{min: 0, max: 1}", more="metric: {name: m, target: 1e-3}"), "write 1.0e-3 for"),
        (make("{min: 0, max: 1}", more="metric: {name: m, goal: max}"), "minimize or maximize"),
        (make("{min: 0, max: 1}", more="metric: m"), "has a name and a goal"),
        (make("{min: 0, max: 1}", more="controller: {type: local}"), "'controller' .* not served"),
        (make("{min: 0, max: 1}", more="job: a/b:latest"), "'job' is not served: .* no Launch"),
    ],
)  # fmt: skip
def test_bad_files_say_what_is_wrong_and_what_to_write(text, message):
    with pytest.raises(BadRequestError, match=message) as caught:
        sweepfile.check_config(text)
    assert "schema" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (make("{distribution: log_uniform, min: -9.2, max: -2.3}"), ["between 0.000101 and 0.1;"]),
        (make("{distribution: inv_log_uniform, min: 1, max: 2}"), ["inv_log_uniform_values takes"]),
        (make("{distribution: q_log_uniform, min: 0, max: 3}"), ["q_log_uniform_values takes"]),
        (f"program: t.py\n{HYPERBAND} {{type: hyperband, min_iter: 3, strict: true}}", []),
        (make("{min: 0, max: 1}", more="metric: {name: m, impute_while_running: best}"), []),
        (make("{values: [1e-4]}"), ["reads 1e-4 as the text '1e-4': write 1.0e-4 for the number"]),
        (make("{values: [1e5, 2, text, 1e5]}"), ["write 1.0e+5 for"]),
        (make("{values: [1]}", more="settings: {a: 1}"), ["'settings' has no effect here"]),
        (make("{values: [1]}", more="metrix: {name: x}"), ["'metrix' is ignored; did you mean"]),
        ("method: grid\nparameters: {a: {value: 1}}", ["there is no 'program'"]),
        ("method: grid\ncommand: [./run.sh]\nparameters: {a: {value: 1}}", []),
        (make("{values: [1]}", more="controller: {type: cloud}"), []),
    ],
)
def test_what_is_documented_is_taken_and_advice_is_a_warning(text, warnings):
    config, said = sweepfile.check_config(text)
    assert len(said) == len(warnings)
    assert all(part in line for part, line in zip(warnings, said, strict=True)), said
    found = search.suggest(config, seed=1, ordinal=0, is_taken=lambda _: False, past=list)
    json.dumps(found.args, allow_nan=False)


@pytest.mark.parametrize("name", ["log_uniform", "inv_log_uniform", "q_log_uniform"])
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_distributions_of_exponents_are_searched(name, method):
    text = make(
        f"{{distribution: {name}, min: -3.0, max: -1.0}}", method, "metric: {name: m}"
    ).replace("q_log_uniform", "q_log_uniform, q: 0.01")
    config, _ = sweepfile.check_config(text)
    found = search.suggest(config, seed=1, ordinal=0, is_taken=lambda _: False, past=list)
    value = found.args["lr"]["value"]
    assert 0 < (1 / value if name == "inv_log_uniform" else value) < 1 or value == pytest.approx(0)


def test_every_key_of_the_schema_is_in_the_table():
    assert DOCS.read_text(encoding="utf-8") == write_table()
    schema = engine_schema.sweep_config_jsonschema
    keys = set(schema["properties"])
    keys |= {f"metric.{key}" for key in schema["properties"]["metric"]["properties"]}
    early = schema["definitions"]["hyperband_stopping"]["properties"]
    keys |= {f"early_terminate.{key}" for key in early}
    # What `sweeps` 0.3 adds.
    keys |= {"job", "image_uri", "run_cap", "metrics", "scheduler", "early_terminate.strict"}
    keys |= {f"scheduler.{key}" for key in ("engine", "source", "optimizer", "search_space")}
    keys |= {"metric.impute_while_running"}
    assert keys <= {*SERVED, *REFUSED, *WITHOUT_EFFECT}


@pytest.mark.parametrize("key", [key for key in SERVED if "." not in key])
def test_no_served_key_is_refused_or_warned_of(key):
    values = {
        "apiVersion": "1", "kind": "sweep", "command": ["${env}"], "controller": {"type": "cloud"},
        "method": "random", "parameters": {"a": {"min": 0, "max": 1}}, "metric": {"name": "m"},
        "early_terminate": {"type": "hyperband", "min_iter": 1}, "run_cap": 3, "seed": 1,
        "program": "t.py",
    }  # fmt: skip
    if key in ("metrics", "scheduler"):
        pytest.skip("method custom has a test of its own")
    base = {k: values[k] for k in ("program", "method", "parameters", "metric")}
    text = yaml.safe_dump({**base, key: values.get(key, "text")})
    assert sweepfile.check_config(text)[1] == []
