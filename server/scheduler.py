"""What an agent is told when it reports: run this, stop that, wait, or go home.

A configuration is claimed by compare-and-set: it is computed from a snapshot, and taken in one
write transaction only if the search has not moved since.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bpsweep.server import leases, search, sweepfile
from bpsweep.server.errors import NotFoundError
from bpsweep.server.ids import make_name
from bpsweep.server.store import Connection, Database, Row, agents, history, runs, sweeps, trials

Command = dict[str, Any]

# An agent reports every 5 s. Asked again sooner, or after a restart of the server, it never got
# the answer; asked again later, it got the run and the program ended before it said a word.
REDELIVERY_S = 4.0
# A run asked to stop gets this long to end by itself before its agent sends SIGTERM.
STOP_GRACE_S = 10.0
MAX_CLAIM_TRIES = 20
NEVER_REPORTED = (
    "the program ended, and this server never heard of it: it failed before it called wandb.init, "
    "or W&B is switched off where it ran (`wandb offline`, WANDB_MODE), or a proxy stands between; "
    "`bpsweep serve` prints what to export"
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scheduler:
    """Hands out work.

    Attributes:
        database: The store.
        boot: Names this start of the server.
        max_attempts: How often a configuration may be tried without anyone asking for it.
    """

    database: Database
    boot: str
    max_attempts: int = 1

    def answer_heartbeat(self, agent_id: int, run_states: dict[str, Any]) -> list[Command]:
        """Note what an agent reports and return what it should do.

        Raises:
            NotFoundError: The agent or its sweep is gone.
        """
        alive = {name for name, is_alive in run_states.items() if is_alive}
        with self.database.write() as db:
            agent = _require_agent(db, agent_id)
            agents.touch_agent(db, agent_id)
            sweep = sweeps.get_sweep(db, agent["sweep_id"])
            commands = self._look_after_runs(db, agent, sweep, alive)
            if commands is not None:
                return commands
            # Nothing runs on this agent: it may be given something.
            queued = self._claim_waiting(db, agent, sweep)
            if queued is not None:
                return [queued]
            sweep = sweeps.get_sweep(db, agent["sweep_id"])
            if sweep["state"] in (*sweeps.ENDED, "PAUSED"):
                return [] if sweep["state"] == "PAUSED" else [{"type": "exit"}]
            if sweep["exhausted"]:
                return self._answer_exhausted(db, sweep)
            # Runs of a local scheduler come from its queue alone, and it may queue more.
            is_scheduled = sweepfile.is_scheduled(sweepfile.read_config(sweep["config"]))
        return [] if is_scheduled else self._claim_new(agent_id)

    def _look_after_runs(
        self, db: Connection, agent: Row, sweep: Row, alive: set[str]
    ) -> list[Command] | None:
        """Return commands about the agent's own runs, [] to wait, None if it has none at work."""
        stops: list[Command] = []
        for run in runs.list_open_agent_runs(db, agent["id"]):
            if run["name"] in alive:
                self._note_alive(db, run)
                if self._must_stop(db, run, sweep):
                    stops.append({"type": "stop", "run_id": run["name"]})
            elif run["state"] == "pending":
                command = self._redeliver(db, run, sweep)
                if command is not None:
                    return [command]
            elif run["stop_requested_at"] is not None:
                leases.crash_run(db, run, "stopped", max_attempts=self.max_attempts)
        stops += [
            {"type": "stop", "run_id": name}
            for name in sorted(alive)
            if self._is_stray(db, agent, name, sweep)
        ]
        if stops or alive:
            return stops
        return None

    def _note_alive(self, db: Connection, run: Row) -> None:
        runs.touch_run(db, run["id"])
        if run["state"] == "pending":
            trial = trials.find_trial(db, run["id"])
            if trial is not None and not trial["acknowledged"]:
                trials.save_trial(db, trial["id"], acknowledged=1)

    def _must_stop(self, db: Connection, run: Row, sweep: Row) -> bool:
        if sweep["state"] == "CANCELED":
            leases.request_stop(db, run, "the sweep was canceled")
            return True
        asked = run["stop_requested_at"]
        return asked is not None and time.time() - asked > STOP_GRACE_S

    def _is_stray(self, db: Connection, agent: Row, name: str, sweep: Row) -> bool:
        """Return whether an agent works on a run that was deleted, or that another has replaced."""
        run = runs.find_run(db, sweep["project_id"], name)
        if run is None:
            return True  # deleted while its program works
        if run["state"] in runs.OPEN:
            return False
        if run["state"] == "crashed":
            leases.note_life(db, run)
        return leases.is_superseded(db, run)

    def _redeliver(self, db: Connection, run: Row, sweep: Row) -> Command | None:
        """Tell an agent again about a run it seems not to know, or end the run."""
        trial = trials.find_trial(db, run["id"])
        if trial is None:
            return None
        got_it = trial["acknowledged"] or (
            trial["delivered_boot"] == self.boot
            and time.time() - (trial["delivered_at"] or 0.0) > REDELIVERY_S
        )
        if got_it:
            leases.crash_run(db, run, NEVER_REPORTED, max_attempts=self.max_attempts)
            logger.warning("run %s of sweep %s: %s", run["name"], sweep["name"], NEVER_REPORTED)
            return None
        if sweep["state"] not in sweeps.ENDED:
            return self._deliver(db, run, trial, sweep)
        runs.end_run(db, run["id"], "killed", "the sweep ended before the run began")
        leases.finish_if_done(db, run["sweep_id"])
        return None

    def _claim_waiting(self, db: Connection, agent: Row, sweep: Row) -> Command | None:
        """Give the agent a preempted run or a queued retry, if there is one."""
        if sweep["state"] in (*sweeps.ENDED, "PAUSED"):
            return None
        preempted = runs.find_preempted(db, sweep["id"])
        trial = trials.find_trial(db, preempted["id"]) if preempted else None
        trial = trial or trials.find_queued(db, sweep["id"])
        if trial is None:
            return None
        run = runs.get_run(db, trial["run_id"])
        runs.save_run(
            db, run["id"], agent_id=agent["id"], state="pending", heartbeat_at=time.time()
        )
        trials.save_trial(db, trial["id"], queued=0, acknowledged=0)
        if sweep["state"] == "PENDING":
            sweeps.save_sweep(db, sweep["id"], state="RUNNING")
        return self._deliver(db, run, trial, sweep)

    def _answer_exhausted(self, db: Connection, sweep: Row) -> list[Command]:
        waits_for_retries = self.max_attempts > 1 and sweeps.count_open_runs(db, sweep["id"]) > 0
        if waits_for_retries:
            return []
        leases.finish_if_done(db, sweep["id"])
        return [{"type": "exit"}]

    def _claim_new(self, agent_id: int) -> list[Command]:
        for _ in range(MAX_CLAIM_TRIES):
            with self.database.read() as db:
                agent = _require_agent(db, agent_id)
                sweep = sweeps.get_sweep(db, agent["sweep_id"])
                suggestion, seen = compute_suggestion(db, sweep)
            with self.database.write() as db:
                now = sweeps.get_sweep(db, sweep["id"])
                if now["state"] not in ("PENDING", "RUNNING"):
                    return []
                if now["exhausted"]:
                    return self._answer_exhausted(db, now)
                if now["cursor"] != sweep["cursor"] or now["config"] != sweep["config"]:
                    continue  # another agent was quicker
                if suggestion is None:
                    sweeps.save_sweep(db, sweep["id"], exhausted=1, state="RUNNING")
                    return self._answer_exhausted(db, sweeps.get_sweep(db, sweep["id"]))
                return [self._claim(db, agent, sweep, suggestion, seen)]
        return []

    def _claim(
        self,
        db: Connection,
        agent: Row,
        sweep: Row,
        suggestion: search.Suggestion,
        seen: list[search.PastRun] | None,
    ) -> Command:
        sweeps.move_cursor(db, sweep["id"], suggestion.ordinal + 1)
        if sweep["state"] == "PENDING":
            sweeps.save_sweep(db, sweep["id"], state="RUNNING")
        args = json.dumps(suggestion.args)
        run = runs.create_run(
            db,
            sweep["project_id"],
            make_name(),
            sweep_id=sweep["id"],
            agent_id=agent["id"],
            state="pending",
            config=args,
            heartbeat_at=time.time(),
        )
        key = suggestion.key
        if trials.is_taken(db, sweep["id"], key):  # bayes may suggest a point again
            key = f"{key}#{suggestion.ordinal}"
        trial = trials.create_trial(
            db,
            sweep["id"],
            run["id"],
            config_key=key,
            ordinal=suggestion.ordinal,
            args=args,
            reason=suggestion.reason,
            seen_runs=record_runs(seen) if seen is not None else None,
        )
        return self._deliver(db, run, trial, sweep)

    def _deliver(self, db: Connection, run: Row, trial: Row, sweep: Row) -> Command:
        trials.save_trial(
            db, trial["id"], delivered_at=time.time(), delivered_boot=self.boot, queued=0
        )
        config = sweepfile.read_config(sweep["config"])
        return {
            "type": "run" if run["started_at"] is None else "resume",
            "run_id": run["name"],
            "args": trials.read_args(trial),
            "program": config.get("program") or "",
        }


def compute_suggestion(
    db: Connection, sweep: Row
) -> tuple[search.Suggestion | None, list[search.PastRun] | None]:
    """Return a sweep's next configuration, without taking it, and the runs it was told of."""
    config = sweepfile.read_config(sweep["config"])
    cap = config.get("run_cap")
    if cap is not None and trials.count_configurations(db, sweep["id"]) >= cap:
        return None, None
    prior = list_prior_keys(db, sweep, config)
    seen = None
    if config["method"] == "bayes":
        seen = [search.shorten(run) for run in list_past_runs(db, sweep, config)]
    suggestion = search.suggest(
        config,
        seed=sweep["seed"],
        ordinal=sweep["cursor"],
        is_taken=lambda key: key in prior or trials.is_taken(db, sweep["id"], key),
        past=lambda: seen or [],
    )
    return suggestion, seen


def record_runs(past: Sequence[search.PastRun]) -> str:
    """Return what the search was told, as JSON, so that it can be told again."""
    return json.dumps([asdict(run) for run in past])


def list_prior_keys(db: Connection, sweep: Row, config: dict[str, Any]) -> set[str]:
    """Return the configurations that the sweep's prior runs have tried."""
    if "parameters" not in config:
        return set()
    space = search.build_space(config)
    keys = set()
    for run_id in sweeps.list_prior_run_ids(db, sweep["id"]):
        point = space.read_args(runs.read_config(runs.get_run(db, run_id)))
        if point is not None:
            keys.add(space.name_point(point))
    return keys


def list_past_runs(db: Connection, sweep: Row, config: dict[str, Any]) -> list[search.PastRun]:
    """Return what the search may know of a sweep's runs and of its prior runs."""
    metric = config.get("metric", {})
    values = history.read_metric_values(db, sweep["id"])
    known = [runs.get_run(db, run_id) for run_id in sweeps.list_prior_run_ids(db, sweep["id"])]
    known += runs.list_sweep_runs(db, sweep["id"])
    past = []
    for run in known:
        summary = json.loads(run["summary_metrics"])
        value = history.read_result(summary, metric)
        past.append(
            search.PastRun(
                name=run["name"],
                state=run["state"],
                config=runs.read_config(run),
                summary={} if value is None else {metric["name"]: value},
                metric_values=values.get(run["id"], []),
            )
        )
    return past


def find_bad_runs(db: Connection, sweep: Row) -> dict[int, tuple[str, str]]:
    """Return the running runs that early termination gives up: the reason, what it knew."""
    config = sweepfile.read_config(sweep["config"])
    if "early_terminate" not in config or "metric" not in config:
        return {}
    past = list_past_runs(db, sweep, config)
    verdicts = search.find_runs_to_stop(config, past)
    found = {}
    for name, reason in verdicts.items():
        run = runs.find_run(db, sweep["project_id"], name)
        if run is not None and run["stop_requested_at"] is None:
            bare = [replace(other, config={}, summary={}) for other in past]
            found[run["id"]] = reason, json.dumps({"runs": [asdict(other) for other in bare]})
    return found


def finish_at_target(db: Connection, sweep: Row, value: float) -> None:
    """End a sweep whose metric has reached its target; the runs at work go on to their end."""
    config = sweepfile.read_config(sweep["config"])
    target = config.get("metric", {}).get("target")
    if target is None or sweep["state"] in sweeps.ENDED:
        return
    name, goal = config["metric"]["name"], config["metric"].get("goal", "minimize")
    if value >= target if goal == "maximize" else value <= target:
        reason = f"{name} = {value:.6g} has reached the target {target:.6g}"
        sweeps.save_sweep(db, sweep["id"], state="FINISHED", state_reason=reason)


def _require_agent(db: Connection, agent_id: int) -> Row:
    agent = agents.find_agent(db, agent_id)
    if agent is None:
        raise NotFoundError("the agent does not exist, its sweep may have been deleted")
    return agent
