"""A sweep file: read, and checked before a sweep is made from it.

Reading is for sweeps that exist, which were checked by the version that made them. Checking is for
new ones: every key is served, refused with the reason, or taken with a warning.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from bpsweep.server import parameters
from bpsweep.server.errors import BadRequestError
from bpsweep.server.space import NESTING, Space, engine_schema
from bpsweep.server.sweepkeys import REFUSED, WITHOUT_EFFECT, list_keys, suggest_name
from bpsweep.server.yamltext import load_yaml

METHODS = ("grid", "random", "bayes")
# The engines of local schedulers, with the methods that each serves.
ENGINES = {"optuna": ("custom",), "ax": ("custom",), "wandb": METHODS}
IMPUTES = ("latest", "best", "worst")


@lru_cache(maxsize=256)
def read_config(text: str) -> dict[str, Any]:
    """Parse a sweep config.

    Raises:
        BadRequestError: It is no YAML mapping.
    """
    config = load_yaml(text, "the sweep config")
    if not isinstance(config, dict):
        raise BadRequestError(f"a sweep config is a mapping, got {type(config).__name__}")
    return config


def is_scheduled(config: dict[str, Any]) -> bool:
    """Return whether a sweep's runs come from a local scheduler, `wandb sweep-scheduler`."""
    scheduler = config.get("scheduler")
    return isinstance(scheduler, dict) and scheduler.get("engine") in ENGINES


def check_config(text: str) -> tuple[dict[str, Any], list[str]]:
    """Parse and check a sweep config, and return it with warnings.

    Raises:
        BadRequestError: The YAML or the config is wrong; the message lists every problem.
    """
    config = read_config(text)
    problems = [*_find_in_head(config), *_find_in_parameters(config)]
    if problems:
        raise BadRequestError("invalid sweep config: " + "; ".join(problems))
    return config, list(_find_warnings(config))


def _find_in_head(config: dict[str, Any]) -> Iterator[str]:
    for key, reason in REFUSED.items():
        if key in config:
            yield f"{key!r} is not served: {reason}"
    method = config.get("method")
    if method not in (*METHODS, "custom"):
        hint = suggest_name(str(method), METHODS) if method is not None else ""
        allowed = f"{', '.join(METHODS)}, or custom with a 'scheduler'"
        yield f"'method' is one of {allowed}, got {method!r}{hint}"
    yield from _find_in_scheduler(config)
    if "metric" in config:
        yield from _find_in_metric(config["metric"])
    elif method == "bayes":
        yield "method 'bayes' needs a 'metric' with a name and a goal"
    if "early_terminate" in config:
        yield from _find_in_early_terminate(config)
    for key in ("name", "description", "program", "entity", "project"):
        if not isinstance(config.get(key, ""), str | None):
            yield f"{key!r} is a text, got {config[key]!r}"
    if not isinstance(config.get("command", []), list):
        yield f"'command' is a list, such as [python, train.py], got {config['command']!r}"
    if config.get("program") == "agent" and "-m" in (config.get("command") or ()):
        yield "program 'agent' is named bpsweep.agent: write `program: bpsweep.agent`"
    for key, lowest in (("run_cap", 1), ("seed", 0)):
        value = config.get(key, lowest)
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            yield f"{key!r} is a whole number of at least {lowest}, got {value!r}"


def _find_in_scheduler(config: dict[str, Any]) -> Iterator[str]:
    scheduler, method = config.get("scheduler"), config.get("method")
    example = "{engine: optuna}"
    if "scheduler" not in config:
        if method == "custom":
            yield f"method 'custom' needs a 'scheduler' that suggests the runs, as {example}"
    elif not isinstance(scheduler, dict) or scheduler.get("engine") not in ENGINES:
        given = scheduler.get("engine") if isinstance(scheduler, dict) else scheduler
        engines = ", ".join(ENGINES)
        yield f"'scheduler.engine' is one of {engines}: write {example}, got {given!r}"
    else:
        yield from _find_in_engine(config, scheduler)
    if "metrics" in config:
        yield from _find_in_metrics(config)
    controller = config.get("controller", {"type": "cloud"})
    if not isinstance(controller, dict) or controller.get("type") != "cloud":
        yield (
            f"'controller' {controller!r} is not served: this server suggests the runs, a"
            " wandb.controller() of your own would never be asked; leave 'controller' out"
        )


def _find_in_engine(config: dict[str, Any], scheduler: dict[str, Any]) -> Iterator[str]:
    yield from _find_unknown("scheduler", scheduler)
    engine, method = scheduler["engine"], config.get("method")
    if method not in ENGINES[engine]:
        wanted = " or ".join(ENGINES[engine])
        yield f"'scheduler.engine' {engine} goes with method {wanted}, not with {method!r}"
    for key in ("source", "optimizer", "search_space"):
        if not isinstance(scheduler.get(key, ""), str):
            yield f"'scheduler.{key}' is a text, got {scheduler[key]!r}"
        elif key in scheduler and "source" not in scheduler:
            yield f"'scheduler.{key}' names a function: say in which Python file, as 'source'"
    if "early_terminate" in config:
        yield "'early_terminate' does not go with a 'scheduler', which prunes by itself"
    if "metric" not in config and "metrics" not in config:
        yield "a 'scheduler' needs a 'metric' with a name and a goal, or several 'metrics'"


def _find_in_metrics(config: dict[str, Any]) -> Iterator[str]:
    if config.get("method") != "custom":
        yield "'metrics' needs method 'custom' and a 'scheduler': name one 'metric'"
    if "metric" in config:
        yield "'metric' and 'metrics' exclude each other: keep 'metric' for a single one"
    if not isinstance(config["metrics"], list) or len(config["metrics"]) < 2:
        yield f"'metrics' is a list of at least two, got {config['metrics']!r}"
    else:
        for metric in config["metrics"]:
            yield from _find_in_metric(metric)


def _find_in_metric(metric: Any) -> Iterator[str]:
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        yield f"'metric' has a name and a goal, as {{name: loss, goal: minimize}}, got {metric!r}"
        return
    yield from _find_unknown("metric", metric)
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        yield f"'metric.goal' is minimize or maximize, got {metric['goal']!r}"
    target = metric.get("target", 0)
    if parameters.write_number(target):
        yield f"'metric.target': {parameters.describe_text(target)}"
    elif isinstance(target, bool) or not isinstance(target, int | float):
        yield f"'metric.target' is a number, got {target!r}"
    if metric.get("impute", "worst") not in IMPUTES:
        yield f"'metric.impute' is one of {', '.join(IMPUTES)}, got {metric['impute']!r}"
    value = metric.get("impute_while_running", "false")
    if value not in (*IMPUTES, "false", False):
        yield f"'metric.impute_while_running' is {', '.join(IMPUTES)} or false, got {value!r}"


def _find_in_early_terminate(config: dict[str, Any]) -> Iterator[str]:
    early = config["early_terminate"]
    example = "{type: hyperband, min_iter: 3}"
    if not isinstance(early, dict):
        yield f"'early_terminate' is a mapping: write {example}, got {early!r}"
        return
    if early.get("type") != "hyperband":
        yield f"'early_terminate.type' is hyperband: write {example}, got {early.get('type')!r}"
        return
    if "metric" not in config:
        yield "'early_terminate' needs a 'metric' with a name and a goal"
    yield from _find_unknown("early_terminate", early)
    if "min_iter" not in early and not ("max_iter" in early and "s" in early):
        has = "'max_iter' without" if "max_iter" in early else "neither 'min_iter' nor"
        rest = "'s', the number of bands" if "max_iter" in early else "'max_iter' and 's'"
        yield f"'early_terminate' has {has} {rest}: write {example} or {{..., max_iter: 27, s: 2}}"
    for key, lowest in (("min_iter", 1), ("max_iter", 1), ("s", 1)):
        value = early.get(key, lowest)
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            yield f"'early_terminate.{key}' is a whole number of at least {lowest}, got {value!r}"
    eta = early.get("eta", 3)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or eta <= 1:
        yield f"'early_terminate.eta' is a number above 1, got {eta!r}"
    if not isinstance(early.get("strict", True), bool):
        yield f"'early_terminate.strict' is true or false, got {early['strict']!r}"


def _find_unknown(section: str, values: dict[str, Any]) -> Iterator[str]:
    known = list_keys(section)
    for key in values:
        if key not in known:
            yield f"{section!r} has no key {key!r}{suggest_name(str(key), known)}"


def _find_in_parameters(config: dict[str, Any]) -> Iterator[str]:
    if "parameters" not in config:
        scheduler = config.get("scheduler")
        if isinstance(scheduler, dict) and scheduler.get("search_space"):
            return
        yield "'parameters' is missing: name what is searched, as {lr: {min: 0.001, max: 0.1}}"
        return
    problems = list(parameters.find_problems(config["parameters"]))
    yield from problems
    if not problems:
        yield from _find_in_space(config)


def _find_in_space(config: dict[str, Any]) -> Iterator[str]:
    """Say what the engine itself finds wrong, and what the method cannot search."""
    try:
        space = Space(config["parameters"])
        if config.get("method") == "grid":
            space.grid_axes  # noqa: B018 - raises where a grid is impossible
        elif config.get("method") == "bayes" and not space.searched:
            yield "bayes needs at least one parameter to search"
    except Exception as error:  # the engine raises assertions, jsonschema's and its own errors
        message = str(error).replace(NESTING, ".").splitlines()
        yield message[0] if message else f"invalid parameters: {config['parameters']!r}"


def _find_warnings(config: dict[str, Any]) -> Iterator[str]:
    known = {*list_keys(), *engine_schema.sweep_config_jsonschema["properties"]}
    for key in sorted(set(config) - known):
        if key in WITHOUT_EFFECT:
            yield f"{key!r} {WITHOUT_EFFECT[key]}"
        else:
            yield f"unknown key {key!r} is ignored{suggest_name(key, known)}"
    command = config.get("command", ["${program}"])
    if not config.get("program") and any("${program}" in str(part) for part in command or ()):
        yield (
            "there is no 'program': `wandb agent` would start nothing; name your script, as"
            " `program: train.py` (wandb.agent(..., function=...) needs none)"
        )
    yield from parameters.find_warnings(config.get("parameters", {}))
