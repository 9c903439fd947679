"""How far a sweep is: its state, runs done of expected, best value, time left, agents."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bpsweep.report.records import swept_names
from bpsweep.report.statistics.scores import METRICS
from bpsweep.server import sweepfile
from bpsweep.server.board.board import read_metric
from bpsweep.server.store import Connection, Row, agents, runs, sweeps, trials
from bpsweep.server.store.watch import find_best, list_at_work, list_logged, time_runs

ALIVE_S = 30.0
"""An agent reports every 5 s."""
_MAX_AGENTS = 200
_MAX_NAMES = 8


def describe_status(db: Connection, sweep: Row) -> dict[str, Any]:
    """Return what stands at the top of a sweep's page."""
    config = sweepfile.read_config(sweep["config"])
    metric, largest = read_metric(config)
    times = time_runs(db, sweep["id"])
    working = list_at_work(db, sweep["id"])
    now = time.time()
    found = agents.list_agents(db, sweep["id"])
    alive = [row for row in found if now - row["heartbeat_at"] < ALIVE_S]
    return {
        "name": sweep["name"],
        "display_name": sweep["display_name"] or sweep["name"],
        "state": sweep["state"],
        "state_reason": explain_state(db, sweep, metric, times),
        "method": sweep["method"],
        "metric": metric,
        "goal": "maximize" if largest else "minimize",
        "target": read_target(config),
        "counts": runs.count_states(db, sweep["id"]),
        "n_runs": times["n"],
        "n_ended": times["ended"] or 0,
        "expected": sweep["run_count_expected"],
        "configurations": trials.count_configurations(db, sweep["id"]),
        "time_left_s": estimate_time_left(sweep, times, len(alive)),
        "n_alive": len(alive),
        "agents": [
            {
                "name": row["name"],
                "host": row["host"],
                "runs": row["total_runs"],
                "heard_s": round(now - row["heartbeat_at"], 1),
                "alive": now - row["heartbeat_at"] < ALIVE_S,
                "run": working.get(row["id"]),
            }
            for row in found[-_MAX_AGENTS:]
        ],
    }


def explain_state(db: Connection, sweep: Row, metric: str | None, times: Row) -> str | None:
    """Return why a sweep is as it is; a metric that no run has logged is said first."""
    reason: str | None = sweep["state_reason"]
    if metric is None or not times["ended"] or find_best(db, sweep["id"], largest=True) is not None:
        return reason
    logged = list_logged(db, sweep["id"])
    if not logged:
        return reason
    names = ", ".join(logged[:_MAX_NAMES])
    missing = f"no run has logged the metric {metric!r}, but {names}: the search is blind"
    return f"{missing}; {reason}" if reason else missing


def describe_brief(db: Connection, sweep: Row) -> dict[str, Any]:
    """Return a sweep as a line of a listing."""
    config = sweepfile.read_config(sweep["config"])
    metric, largest = read_metric(config)
    times = time_runs(db, sweep["id"])
    n_alive = sum(
        time.time() - row["heartbeat_at"] < ALIVE_S for row in agents.list_agents(db, sweep["id"])
    )
    return {
        "name": sweep["name"],
        "display_name": sweep["display_name"] or sweep["name"],
        "state": sweep["state"],
        "method": sweep["method"],
        "metric": metric,
        "goal": "maximize" if largest else "minimize",
        "best": find_best(db, sweep["id"], largest=largest) if metric else None,
        "n_runs": times["n"],
        "n_ended": times["ended"] or 0,
        "expected": sweep["run_count_expected"],
        "counts": runs.count_states(db, sweep["id"]),
        "time_left_s": estimate_time_left(sweep, times, n_alive),
        "n_alive": n_alive,
        "created": sweep["created_at"],
    }


def estimate_time_left(sweep: Row, times: Row, n_alive: int) -> float | None:
    """Return seconds until the last run ends, at the pace so far; None where nobody can know.

    What is left is every run not ended, less what the running ones have done, each taken to last
    as long as a finished one does on average, shared by the agents that are alive.
    """
    expected, mean_s = sweep["run_count_expected"], times["mean_s"]
    if sweep["state"] in sweeps.ENDED or not expected or not mean_s or not n_alive:
        return None
    n_left = max(expected - (times["ended"] or 0), 0)
    done_s = min(times["open_s"] or 0.0, (times["running"] or 0) * mean_s)
    left_s = max(n_left * mean_s - done_s, 0.0) / min(n_alive, max(n_left, 1))
    return float(round(left_s, 1))


def read_target(config: dict[str, Any]) -> float | None:
    """Return the value to reach: the sweep's own target, else the report's for its metric."""
    metric = config.get("metric") or {}
    target = metric.get("target")
    if isinstance(target, int | float) and not isinstance(target, bool):
        return float(target)
    known = (one.default_target for one in METRICS.values() if one.key == metric.get("name"))
    return next(known, None)


def list_swept(config: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return the settings that a sweep varies, in its YAML's order; without one, those that differ.

    A nested setting goes by its dotted name.
    """
    known = dict.fromkeys(name for row in rows for name in row["config"])
    swept = swept_names(config)
    if swept and not rows:
        return list(swept)
    if swept:
        return [key for name in swept for key in known if f"{key}.".startswith(f"{name}.")]
    values: dict[str, set[str]] = {name: set() for name in known}
    for row in rows:
        for name in known:
            values[name].add(json.dumps(row["config"].get(name)))
    return [name for name, seen in values.items() if len(seen) > 1]
