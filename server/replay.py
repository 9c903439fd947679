"""Computes a sweep's suggestions and stops again from the record, and says where they differ."""

import json
from typing import Any

from bpsweep.server import scheduler, search, sweepfile
from bpsweep.server.store import Connection, Row, runs, trials


def replay_sweep(db: Connection, sweep: Row) -> dict[str, Any]:
    """Return how many suggestions and stops were recomputed, and the differences."""
    config = sweepfile.read_config(sweep["config"])
    recorded = [row for row in trials.list_trials(db, sweep["id"]) if row["attempt"] == 1]
    differences = _replay_suggestions(db, sweep, config, recorded)
    stopped = [run for run in runs.list_sweep_runs(db, sweep["id"]) if run["stop_record"]]
    differences += [
        difference for run in stopped if (difference := _replay_stop(config, run)) is not None
    ]
    return {
        "seed": sweep["seed"],
        "suggestions": len(recorded),
        "stops": len(stopped),
        "differences": differences,
    }


def _replay_suggestions(
    db: Connection, sweep: Row, config: dict[str, Any], recorded: list[Row]
) -> list[dict[str, Any]]:
    if sweepfile.is_scheduled(config):
        return []  # another process suggested them; what it suggested is the record
    taken = scheduler.list_prior_keys(db, sweep, config)
    cursor = 0
    differences = []
    for row in recorded:
        seen = json.loads(row["seen_runs"]) if row["seen_runs"] else []
        past = [search.PastRun(**entry) for entry in seen]
        found = search.suggest(
            config,
            seed=sweep["seed"],
            ordinal=cursor,
            is_taken=taken.__contains__,
            past=lambda past=past: past,  # type: ignore[misc]
        )
        given = trials.read_args(row)
        if found is None or found.args != given:
            differences.append(
                {
                    "suggestion": row["ordinal"] + 1,
                    "recorded": given,
                    "recomputed": found.args if found else None,
                }
            )
        key = row["config_key"]
        taken.add(key[: key.rfind("}") + 1])  # bayes may suggest a point again, as "{...}#ordinal"
        cursor = row["ordinal"] + 1
    return differences


def _replay_stop(config: dict[str, Any], run: Row) -> dict[str, Any] | None:
    record = json.loads(run["stop_record"])
    # Before version 0.2 the record was the list of runs, and `sweeps` 0.2 decided.
    find = search.find_runs_to_stop
    if isinstance(record, list):
        record, find = {"runs": record}, search.find_runs_to_stop_as_before
    past = [search.PastRun(**entry) for entry in record["runs"]]
    reason = find(config, past).get(run["name"])
    if reason == run["stop_reason"]:
        return None
    return {"stop": run["name"], "recorded": run["stop_reason"], "recomputed": reason}
