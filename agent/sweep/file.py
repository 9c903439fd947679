"""A sweep YAML, read and checked whole before any run starts."""

import importlib.util
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bpsweep.agent.config import RunConfig, check_value, unknown_name
from bpsweep.agent.errors import ConfigError
from bpsweep.report import metrics

SWEEP_KEYS = (
    "command",
    "description",
    "early_terminate",
    "entity",
    "method",
    "metric",
    "metrics",
    "name",
    "parameters",
    "program",
    "project",
    "run_cap",
    "scheduler",
    "seed",
)
METHODS = ("grid", "random", "bayes", "custom")
ENGINES = {"optuna": "optuna", "ax": "ax", "wandb": "sweeps"}
"""The engines of local schedulers, with the module that each needs."""
PROGRAM = "bpsweep.agent"
"""What a sweep file names as its program: the module that `wandb agent` starts for each run."""
SPEC_KEYS = ("value", "values", "min", "max", "mu", "sigma", "q", "distribution", "probabilities")


@dataclass(frozen=True)
class SweepFile:
    """A checked sweep YAML.

    Args:
        path: The file.
        text: Its text, byte for byte what the sweep is made from.
        config: Its content.
    """

    path: Path
    text: str
    config: Mapping[str, Any]

    @property
    def n_runs(self) -> int | None:
        """Number of runs it asks for: the grid's size or run_cap; None without an end."""
        cap: int | None = self.config.get("run_cap")
        if self.config["method"] != "grid":
            return cap
        sizes = [len(spec.get("values", [0])) for spec in self.config["parameters"].values()]
        return min(math.prod(sizes), cap) if cap else math.prod(sizes)

    def combinations(self, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Give every combination of values that the sweep can take for some settings.

        A setting drawn from a range gives nothing here: its values are not known beforehand.
        """
        parameters = self.config.get("parameters", {})
        values = [_listed_values(parameters.get(name), name) for name in names]
        for chosen in itertools.product(*values):
            yield dict(zip(names, chosen, strict=True))


def _listed_values(spec: Mapping[str, Any] | None, name: str) -> list[Any]:
    if spec is None:
        return [RunConfig.model_fields[name].default]
    if "value" in spec:
        return [spec["value"]]
    return list(spec.get("values", []))


def read_sweep_file(path: Path) -> SweepFile:
    """Read a sweep YAML and check every key and value in it.

    Raises:
        ConfigError: Not there, not YAML, or with keys or values that no run can use; all
            problems are listed, with the nearest valid name.
    """
    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{str(path)!r} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{str(path)!r} holds {type(config).__name__}, a mapping is needed.")
    problems = [*_check_head(config), *_check_parameters(config)]
    if problems:
        lines = "\n".join(f"  {line}" for problem in problems for line in problem.splitlines())
        raise ConfigError(f"{str(path)!r} cannot be swept:\n{lines}")
    return SweepFile(path, text, config)


def _check_head(config: Mapping[str, Any]) -> Iterator[str]:
    for key in config:
        if key not in SWEEP_KEYS:
            yield unknown_name("key", str(key), SWEEP_KEYS)
    if (program := config.get("program", PROGRAM)) != PROGRAM:
        older = " (its name before version 0.2)" if program == "agent" else ""
        yield f"program: {program!r}{older} is not what trains here: write `program: {PROGRAM}`."
    if (method := config.get("method")) not in METHODS:
        yield f"method: {method!r} is not allowed: choose one of {', '.join(METHODS)}."
    metric = config.get("metric")
    if method == "bayes" and metric is None:
        yield "metric: missing; a bayes sweep needs a metric with a name and a goal."
    several = config.get("metrics")
    for one in several if isinstance(several, list) else [metric]:
        if one is not None:
            yield from _check_metric(one)
    yield from _check_scheduler(config)
    cap = config.get("run_cap")
    if cap is not None and not (isinstance(cap, int) and cap > 0):
        yield f"run_cap: {cap!r} is not allowed: give a whole number above 0."


def _check_scheduler(config: Mapping[str, Any]) -> Iterator[str]:
    scheduler = config.get("scheduler")
    if scheduler is None:
        if config.get("method") == "custom":
            yield "scheduler: missing; method custom needs one, as {engine: optuna}."
    elif not isinstance(scheduler, dict) or scheduler.get("engine") not in ENGINES:
        yield f"scheduler: {scheduler!r} is not allowed: its engine is one of {', '.join(ENGINES)}."
    elif (module := ENGINES[scheduler["engine"]]) and importlib.util.find_spec(module) is None:
        yield f"scheduler: engine {scheduler['engine']} is not installed: pip install {module}."


def _check_metric(metric: Any) -> Iterator[str]:
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        yield f"metric: {metric!r} is not allowed: give a name and a goal."
        return
    name, goal = metric["name"], metric.get("goal", "minimize")
    known = (*metrics.MAXIMIZED, *metrics.MINIMIZED)
    if name not in known:
        yield f"metric: {unknown_name('metric', name, known)}"
    elif goal != (right := "maximize" if name in metrics.MAXIMIZED else "minimize"):
        yield f"metric: goal {goal!r} is the wrong way round for {name}: it is to {right}."


def _check_parameters(config: Mapping[str, Any]) -> Iterator[str]:
    parameters = config.get("parameters")
    scheduler = config.get("scheduler")
    if parameters is None and isinstance(scheduler, dict) and scheduler.get("search_space"):
        return
    if not isinstance(parameters, dict) or not parameters:
        yield "parameters: missing; name at least one setting with a value, values, or a range."
        return
    for name, spec in parameters.items():
        if name not in RunConfig.model_fields:
            yield unknown_name("setting", str(name), RunConfig.model_fields)
        elif not isinstance(spec, dict) or not spec:
            yield f"{name}: {spec!r} is not allowed: write `value: ...` or `values: [...]`."
        else:
            yield from _check_spec(name, spec, str(config.get("method")))


def _check_spec(name: str, spec: Mapping[str, Any], method: str) -> Iterator[str]:
    for key in spec:
        if key not in SPEC_KEYS:
            yield f"{name}: {unknown_name('key', str(key), SPEC_KEYS)}"
    values = spec.get("values")
    if values is not None and (not isinstance(values, list) or not values):
        yield f"{name}: values {values!r} is not allowed: give a list with at least one value."
        return
    if method == "grid" and "value" not in spec and values is None:
        yield f"{name}: a grid needs `value` or `values`, not a range."
    single = [spec[key] for key in ("value", "min", "max") if key in spec]
    if "log" in str(spec.get("distribution")) and "values" not in str(spec["distribution"]):
        single = []  # min and max are exponents of these distributions
    for value in [*single, *(values or [])]:
        if (problem := check_value(name, value)) is not None:
            yield problem
