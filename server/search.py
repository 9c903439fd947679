"""The next configuration of a sweep, and the runs to stop early: W&B's own engine, made repeatable.

Everything here is a function of its arguments. Each draw is seeded by the sweep's seed and the
suggestion's number, so that the same seed and the same results give the same suggestions.
"""

import json
import math
import random
import threading
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from bpsweep.server import hyperband, sweepfile
from bpsweep.server.space import Space, engine_schema, pick_point, sweeps

MAX_DRAWS = 500
# On a finite space that is nearly used up, walking it is quicker than drawing.
MAX_DRAWS_FINITE = 30
# numpy's global generator drives `sweeps`' bayes; one draw at a time may own it.
_global_random = threading.Lock()


@dataclass(frozen=True)
class PastRun:
    """What the search may know about a run."""

    name: str
    state: str
    config: dict[str, Any]
    summary: dict[str, Any] = field(default_factory=dict)
    metric_values: Sequence[float] = ()


def shorten(run: PastRun) -> PastRun:
    """Return a run with as many metric values as bayes looks at: extremes and the latest."""
    values = [value for value in run.metric_values if math.isfinite(value)]
    if len(values) > 3:
        values = [min(values), max(values), values[-1]]
    config = {key: entry for key, entry in run.config.items() if key != "_wandb"}
    return PastRun(run.name, run.state, config, dict(run.summary), values)


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try: its values, identity, number in the search, and why it was chosen."""

    args: dict[str, Any]
    key: str
    ordinal: int
    reason: str


def count_expected(config: dict[str, Any], prior_keys: Collection[str] = frozenset()) -> int | None:
    """Return how many runs the sweep will have, or None if nothing bounds it.

    Args:
        config: The sweep's config.
        prior_keys: The configurations, by key, that prior runs have tried.
    """
    cap: int | None = config.get("run_cap")
    if config["method"] != "grid" or sweepfile.is_scheduled(config):
        return cap
    space = build_space(config)
    size = space.grid_size - space.count_grid_points(set(prior_keys))
    return size if cap is None else min(size, cap)


def build_space(config: dict[str, Any]) -> Space:
    """Return the search space of a config; the same object for the same parameters."""
    return _build_space(json.dumps(config["parameters"], sort_keys=True, default=str))


def suggest(
    config: dict[str, Any],
    *,
    seed: int,
    ordinal: int,
    is_taken: Callable[[str], bool],
    past: Callable[[], Sequence[PastRun]],
) -> Suggestion | None:
    """Return the next configuration, or None when the space is exhausted.

    Args:
        config: A config that `check_config` has accepted.
        seed: The sweep's seed.
        ordinal: The number of this suggestion; a grid starts looking at this point.
        is_taken: Whether a configuration (by key) has been handed out already.
        past: The sweep's runs, asked for by bayes alone.
    """
    space = build_space(config)
    if config["method"] == "grid":
        return _suggest_grid(space, ordinal, is_taken)
    if config["method"] == "random":
        return _suggest_random(space, seed, ordinal, is_taken)
    return _suggest_bayes(config, space, seed, ordinal, past())


def find_runs_to_stop(config: dict[str, Any], runs: Sequence[PastRun]) -> dict[str, str]:
    """Return the running runs that hyperband ends, by name, each with the reason."""
    name, goal = config["metric"]["name"], config["metric"].get("goal", "minimize")
    early = config["early_terminate"]
    histories = [[value for value in run.metric_values if math.isfinite(value)] for run in runs]
    verdicts = hyperband.judge_runs(early, goal, histories)
    return {
        run.name: _explain_stop(name, early, history, verdict)
        for run, history, verdict in zip(runs, histories, verdicts, strict=True)
        if verdict is not None and run.state == "running"
    }


def find_runs_to_stop_as_before(config: dict[str, Any], runs: Sequence[PastRun]) -> dict[str, str]:
    """Return what `find_runs_to_stop` returned while it asked `sweeps` 0.2, to replay its stops."""
    metric = config["metric"]["name"]
    engine_runs = [
        sweeps.SweepRun(
            name=run.name,
            state=run.state,
            sampledHistory=[{metric: value} for value in run.metric_values],
        )
        for run in runs
    ]
    stopped = sweeps.stop_runs(_strip_extras(config), engine_runs)
    return {run.name: _explain_stop_as_before(run, metric) for run in stopped}


def _suggest_grid(space: Space, start: int, is_taken: Callable[[str], bool]) -> Suggestion | None:
    size = space.grid_size
    for index in range(start, size):
        point = pick_point(space.grid_axes, index)
        key = space.name_point(point)
        if not is_taken(key):
            reason = f"grid: point {index + 1} of {size}"
            return Suggestion(space.build_args(point), key, index, reason)
    return None


def _suggest_random(
    space: Space, seed: int, ordinal: int, is_taken: Callable[[str], bool]
) -> Suggestion | None:
    rng = random.Random(f"{seed}/{ordinal}")  # noqa: S311 - a search, not a secret
    n_draws = MAX_DRAWS if space.finite_size is None else MAX_DRAWS_FINITE
    for draw in range(1, n_draws + 1):
        point = space.draw(rng)
        key = space.name_point(point)
        if not is_taken(key):
            reason = f"random: seed {seed}, suggestion {ordinal + 1}, draw {draw}"
            return Suggestion(space.build_args(point), key, ordinal, reason)
    if space.finite_axes is None or not space.finite_size:
        return None
    # Almost everything is taken: walk the space once from a drawn place on.
    start = rng.randrange(space.finite_size)
    for step in range(space.finite_size):
        point = pick_point(space.finite_axes, (start + step) % space.finite_size)
        key = space.name_point(point)
        if not is_taken(key):
            reason = f"random: seed {seed}, suggestion {ordinal + 1}, found by walking"
            return Suggestion(space.build_args(point), key, ordinal, reason)
    return None


def _suggest_bayes(
    config: dict[str, Any], space: Space, seed: int, ordinal: int, past: Sequence[PastRun]
) -> Suggestion:
    flat = {
        "method": "bayes",
        "metric": {k: v for k, v in config["metric"].items() if k != "impute_while_running"},
        "parameters": {p.name: _drop_probabilities(p.config) for p in space.searched},
    }
    metric = config["metric"]["name"]
    engine_runs = []
    for run in past:
        point = space.read_args(run.config)
        if point is not None and _is_allowed(space, point):
            engine_runs.append(_make_engine_run(_impute(run, config["metric"]), point, metric))
    with _global_random, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the engine divides by a spread of zero at first
        before = np.random.get_state()
        np.random.seed(_mix(seed, ordinal))
        try:
            run = sweeps.next_run(flat, engine_runs)
        finally:
            np.random.set_state(before)
    point = {name: entry["value"] for name, entry in run.config.items()}
    args = space.build_args(point)
    plain = space.read_args(args) or {}
    start = f"bayes: seed {seed}, suggestion {ordinal + 1}, from {len(engine_runs)} runs"
    reason = f"{start}; {_explain_guess(run.search_info, config['metric'])}"
    return Suggestion(args, space.name_point(plain), ordinal, reason)


def _explain_guess(found: dict[str, Any], metric: dict[str, Any]) -> str:
    """Say what the engine expects of its suggestion; it counts in losses, whatever the goal."""
    info = {key: float(value) for key, value in found.items() if key != "warnings"}
    if not all(math.isfinite(value) for value in info.values()):
        return "drawn at random, as there is no result to learn from yet"
    sign = -1.0 if metric.get("goal") == "maximize" else 1.0
    return (
        f"expected improvement {info['expected_improvement']:.3g}, predicted {metric['name']}"
        f" {sign * info['predicted_value']:.4g} ± {info['predicted_value_std_dev']:.2g}"
    )


def _impute(run: PastRun, metric: dict[str, Any]) -> PastRun:
    """Count a run at work that has logged the metric as one that has ended, where asked to."""
    wanted = metric.get("impute_while_running", "false") not in ("false", False)
    known = bool(run.metric_values) or run.summary.get(metric["name"]) is not None
    return replace(run, state="finished") if wanted and known and run.state == "running" else run


def _make_engine_run(run: PastRun, point: dict[str, Any], metric: str) -> Any:
    summary = run.summary.get(metric)
    return sweeps.SweepRun(
        name=run.name,
        state=run.state,
        config={name: {"value": value} for name, value in point.items()},
        summaryMetrics={} if summary is None else {metric: summary},
        sampledHistory=[{metric: value} for value in run.metric_values],
    )


def _is_allowed(space: Space, point: dict[str, Any]) -> bool:
    for parameter in space.searched:
        value = point[parameter.name]
        if "values" in parameter.config:
            if value not in parameter.config["values"]:
                return False
        elif isinstance(value, bool) or not isinstance(value, int | float):
            return False
    return True


def _drop_probabilities(parameter: dict[str, Any]) -> dict[str, Any]:
    # The engine's bayes cannot place weighted values on its axis and fails; unweighted it can.
    return {
        key: "categorical" if key == "distribution" and "values" in parameter else value
        for key, value in parameter.items()
        if key != "probabilities"
    }


def _mix(seed: int, ordinal: int) -> int:
    return random.Random(f"{seed}/{ordinal}").randrange(2**32)  # noqa: S311


def _explain_stop(
    metric: str, early: dict[str, Any], history: Sequence[float], verdict: hyperband.Verdict
) -> str:
    what = "its value there" if early.get("strict", True) else "its best so far"
    return (
        f"hyperband: after {len(history)} values of {metric} it is not among the top at band"
        f" {verdict.band} ({what} is {verdict.value:.6g}, the threshold {verdict.threshold:.6g})"
    )


def _explain_stop_as_before(run: Any, metric: str) -> str:
    info = run.early_terminate_info
    values = run.metric_history(metric, filter_invalid=True)
    passed = [(band, limit) for band, limit in zip(info["bands"], info["thresholds"], strict=True)]
    band, limit = [pair for pair in passed if pair[0] < len(values)][-1]
    return (
        f"hyperband: after {len(values)} values of {metric} the best is not among the top at band"
        f" {band} (threshold {abs(limit):.6g}, latest {values[-1]:.6g})"
    )


def _strip_extras(config: dict[str, Any]) -> dict[str, Any]:
    known = engine_schema.sweep_config_jsonschema["properties"]
    return {key: value for key, value in config.items() if key in known}


@lru_cache(maxsize=64)
def _build_space(parameters: str) -> Space:
    return Space(json.loads(parameters))
