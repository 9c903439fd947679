"""Settings and sweep YAMLs are checked whole, with messages that say what to do."""

from pathlib import Path

import pytest
import yaml

from bpsweep.agent.config import RunConfig, parse_config
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.sweep.file import read_sweep_file

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batchsize": 64}, r"batchsize: unknown setting. Did you mean 'batch_size'\?"),
        ({"batch_size": 0}, r"batch_size: 0 is not allowed: .*greater than or equal to 1"),
        ({"batch_size": "64"}, r"batch_size: '64' is not allowed: '64' is str, a number"),
        ({"epochs": True}, r"epochs: True is not allowed"),
        ({"learning_rate": -0.1}, r"learning_rate: -0.1 is not allowed: .*greater than 0"),
        ({"learning_rate": float("nan")}, r"learning_rate: nan is not allowed"),
        ({"image_size": 225}, r"image_size: 225 .*less than or equal to 224"),
        ({"model": "lenet"}, r"model: 'lenet' is not allowed: .*'lenet5'"),
        ({"subset": "high-4h"}, r"subset: 'high-4h' is not allowed"),
        ({"split": "wells"}, r"split: 'wells' is not allowed: split 'wells' is unknown; allowed"),
        ({"normalize": "zscore"}, r"normalize: 'zscore' is not allowed: .*'plate'"),
        ({"seed": -1}, r"seed: -1 is not allowed"),
    ],
)
def test_a_bad_setting_is_named(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(values)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"batch_size": 0, "learning_rate": -1, "modle": "mlp"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "batch_size",
        "learning_rate",
        "modle",
    ]


def test_whole_floats_are_taken_for_integers() -> None:
    assert parse_config({"batch_size": 64.0}).batch_size == 64


def make_yaml(folder: Path, **changes) -> Path:
    config = {
        "program": "bpsweep.agent",
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": {"batch_size": {"values": [16, 32]}, "epochs": {"value": 2}},
        **changes,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"bach_size": {"value": 1}}}, r"bach_size.*Did you mean 'batch_size'\?"),
        ({"parameters": {"batch_size": {"values": [16, 0]}}}, r"batch_size: 0 is not allowed"),
        ({"parameters": {"batch_size": {"values": []}}}, r"at least one value"),
        ({"parameters": {"batch_size": {"vals": [1]}}}, r"vals: unknown key.*'values'"),
        ({"parameters": {"batch_size": 16}}, r"batch_size: 16 is not allowed: write `value:"),
        ({"parameters": {"learning_rate": {"min": 1e-4, "max": 1e-2}}}, r"a grid needs `value`"),
        ({"parameters": {}}, r"parameters: missing"),
        ({"metod": "grid"}, r"metod: unknown key. Did you mean 'method'\?"),
        ({"method": "grd"}, r"method: 'grd' is not allowed: choose one of grid, random, bayes"),
        ({"metric": {"name": "val/acc"}}, r"val/acc: unknown metric. Did you mean 'val/accuracy'"),
        ({"metric": {"name": "val/accuracy", "goal": "minimize"}}, r"the wrong way round"),
        ({"run_cap": 0}, r"run_cap: 0 is not allowed"),
    ],
)
def test_a_bad_sweep_yaml_is_explained(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_sweep_file(make_yaml(tmp_path, **changes))


def test_a_sweep_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml' cannot be read"):
        read_sweep_file(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_sweep_file(tmp_path / "bad.yaml")


def test_exponents_of_log_uniform_are_no_values(tmp_path: Path) -> None:
    spec = {"distribution": "log_uniform", "min": -9, "max": -4}
    path = make_yaml(tmp_path, method="random", parameters={"learning_rate": spec})
    assert read_sweep_file(path).n_runs is None


def test_combinations_cover_values_and_defaults(tmp_path: Path) -> None:
    path = make_yaml(tmp_path, parameters={"image_size": {"values": [32, 64]}})
    found = list(read_sweep_file(path).combinations(("image_size", "subset")))
    assert found == [
        {"image_size": 32, "subset": "hi-4h"},
        {"image_size": 64, "subset": "hi-4h"},
    ]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_shipped_sweeps_say_what_they_are(path: Path) -> None:
    file = read_sweep_file(path)
    head = {
        key.strip(): value.strip()
        for key, _, value in (
            line.lstrip("# ").partition(":") for line in file.text.splitlines() if line[:1] == "#"
        )
    }
    assert list(head) == ["Question", "Command", "Runs", "Minutes", "Target"]
    assert path.name in head["Command"] or head["Command"].startswith("make sweep")
    assert head["Runs"].startswith(f"{file.n_runs}, a {file.config['method']}") or head[
        "Runs"
    ].startswith(f"{file.n_runs}, {file.config['method']}")
    assert head["Target"].startswith("0.80")
    assert float(head["Minutes"].split()[0]) > 0
    assert file.config["command"][-2:] == ["-m", "${program}"]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("lenet_single", {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4}),
        ("mlp_single", {"batch_size": 64, "epochs": 10, "learning_rate": 3e-4}),
        ("lenet_multi", {"batch_size": 128, "epochs": 10, "learning_rate": 1.5e-4}),
        ("mlp_multi", {"batch_size": 32, "epochs": 15, "learning_rate": 3e-4}),
    ],
)
def test_grids_contain_the_published_configurations(name: str, published: dict) -> None:
    file = read_sweep_file(ROOT / "sweeps" / f"{name}.yaml")
    assert published in list(file.combinations(tuple(published)))
    assert file.config["parameters"]["image_size"] == {"value": 200}


def test_defaults_are_a_valid_run() -> None:
    assert parse_config({}) == RunConfig()
