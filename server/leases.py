"""The life and end of runs: life signs, leases, retries, preemption, the end of a sweep.

Every function works inside the caller's write transaction, so that what it decides is decided once.
A run lives on signs of life: its own (file stream, upserts) or its agent's naming it. Silent for
the lease time, it has crashed. A crashed run that speaks again goes on, unless another run has
taken over its configuration.
"""

import time
from typing import Any

from bpsweep.server import search, sweepfile
from bpsweep.server.ids import make_name
from bpsweep.server.store import runs, sweeps, trials
from bpsweep.server.store.database import Connection, Row

# The client's exit code after Ctrl-C or after the server has asked it to stop.
EXIT_INTERRUPTED = 255
# How the reasons begin for which a search ends a run.
EARLY_STOPS = ("hyperband", "pruned")
ALL_TRIED = "every configuration has been tried"
MAX_INTERRUPTIONS = 10


def note_life(db: Connection, run: Row) -> None:
    """Note a sign of life of a run; a crashed one goes on if nobody has taken over."""
    runs.touch_run(db, run["id"])
    if run["state"] == "crashed" and take_back(db, run):
        runs.save_run(db, run["id"], state="running", state_reason=None, finished_at=None)
    elif run["state"] == "pending":
        start_run(db, run)


def start_run(db: Connection, run: Row) -> None:
    """Note that a run's program is at work."""
    runs.save_run(
        db,
        run["id"],
        state="running",
        state_reason=None,
        finished_at=None,
        exit_code=None,
        stop_requested_at=run["stop_requested_at"] if run["state"] == "pending" else None,
        stop_reason=run["stop_reason"] if run["state"] == "pending" else None,
        started_at=run["started_at"] or time.time(),
        heartbeat_at=time.time(),
    )
    trial = trials.find_trial(db, run["id"])
    if trial is not None:
        trials.save_trial(db, trial["id"], acknowledged=1, queued=0)


def take_back(db: Connection, run: Row) -> bool:
    """Return whether a run may go on; a retry of it that nobody has started is withdrawn."""
    trial = trials.find_trial(db, run["id"])
    successor = trials.find_successor(db, trial["id"]) if trial else None
    if successor is None:
        return True
    if not successor["queued"]:
        return False
    trials.delete_trial(db, successor["id"])
    runs.delete_run(db, successor["run_id"])
    return True


def is_superseded(db: Connection, run: Row) -> bool:
    """Return whether another run has taken over this run's configuration."""
    trial = trials.find_trial(db, run["id"])
    successor = trials.find_successor(db, trial["id"]) if trial else None
    return successor is not None and not successor["queued"]


def complete_run(db: Connection, run: Row, exit_code: int) -> None:
    """End a run as its program says. Said again, or of a run that has ended, it changes nothing."""
    if run["state"] not in (*runs.OPEN, "crashed") or (
        run["state"] == "crashed" and not take_back(db, run)
    ):
        return
    if run["state"] == "preempting" and exit_code != 0:
        state, reason = "preempted", "preempted; the next agent resumes it"
    elif exit_code == 0:
        state, reason = "finished", run["stop_reason"]
    elif run["stop_requested_at"] is not None:
        state, reason = _state_after_stop(run), run["stop_reason"]
    elif exit_code == EXIT_INTERRUPTED:
        state, reason = "killed", "interrupted"
    else:
        state, reason = "failed", f"the program ended with exit code {exit_code}"
    runs.end_run(db, run["id"], state, reason, exit_code=exit_code)
    finish_if_done(db, run["sweep_id"])


def crash_run(db: Connection, run: Row, reason: str, *, max_attempts: int = 1) -> None:
    """End a run of which nothing is heard; its configuration is queued again within the limit."""
    if run["state"] == "preempting":
        runs.save_run(db, run["id"], state="preempted", state_reason="preempted; silent since")
        return
    if run["stop_requested_at"] is not None:
        runs.end_run(db, run["id"], _state_after_stop(run), run["stop_reason"])
    else:
        runs.end_run(db, run["id"], "crashed", reason)
        trial = trials.find_trial(db, run["id"])
        if trial is not None and trial["attempt"] < max_attempts:
            queue_retry(db, runs.get_run(db, run["id"]), trial)
    finish_if_done(db, run["sweep_id"])


def has_silent_runs(db: Connection, silent_since: float) -> bool:
    """Return whether there is anything for `expire_leases` to do."""
    return bool(runs.list_silent_runs(db, silent_since))


def expire_leases(
    db: Connection, silent_since: float, *, sweep_id: int | None = None, max_attempts: int = 1
) -> list[str]:
    """End every run silent since a time, and return their names."""
    silent = runs.list_silent_runs(db, silent_since, sweep_id)
    for run in silent:
        quiet_s = time.time() - (run["heartbeat_at"] or run["created_at"])
        reason = f"nothing heard from the run or its agent for {quiet_s:.0f} s"
        crash_run(db, run, reason, max_attempts=max_attempts)
    return [run["name"] for run in silent]


def retry_sweep(
    db: Connection, sweep: Row, *, abandoned: bool = False, only_interrupted: bool = False
) -> list[dict[str, Any]]:
    """Queue every configuration whose last attempt ended without finishing, as new runs.

    Args:
        db: The writing connection.
        sweep: The sweep.
        abandoned: The caller knows that no agent of the sweep lives: open runs end first.
        only_interrupted: Leave what failed, what a user stopped, and what was interrupted
            `MAX_INTERRUPTIONS` times: it may be what kills its worker.

    Returns:
        For each new run its name, the old run's name and state, and the configuration.
    """
    freed = [] if only_interrupted else free_deleted(db, sweep)
    if abandoned:
        for run in runs.list_sweep_runs(db, sweep["id"]):
            if run["state"] in runs.OPEN and not _is_queued(db, run):
                reason = "abandoned: the sweep was retried without its agents"
                runs.end_run(db, run["id"], "crashed", reason)
    retried = []
    for run in runs.list_sweep_runs(db, sweep["id"]):
        trial = trials.find_trial(db, run["id"])
        if run["state"] not in runs.UNFINISHED or trial is None:
            continue
        if only_interrupted and not _was_interrupted(run, trial):
            continue
        if trials.find_successor(db, trial["id"]) is None:
            new = queue_retry(db, run, trial)
            retried.append(describe_retry(new, trial, run))
    retried += [describe_retry(run, trial, None) for run, trial in freed]
    interrupted = bool(retried) or not sweep["exhausted"]
    if sweep["state"] in sweeps.ENDED and interrupted:
        sweeps.save_sweep(db, sweep["id"], state="RUNNING", state_reason="retried")
    return retried


def describe_retry(new: Row, trial: Row, old: Row | None) -> dict[str, Any]:
    """Return a queued run as JSON, with the run that it repeats unless that was deleted."""
    return {
        "run": new["name"],
        "retry_of": old["name"] if old else None,
        "state": old["state"] if old else "deleted",
        "config": {k: v.get("value") for k, v in trials.read_args(trial).items()},
    }


def free_deleted(db: Connection, sweep: Row) -> list[tuple[Row, Row]]:
    """Queue again what deleted runs have tried, where the search walks a finite space.

    Returns:
        The new runs, each with the trial that it repeats.
    """
    config = sweepfile.read_config(sweep["config"])
    if config["method"] not in ("grid", "random") or sweepfile.is_scheduled(config):
        return []
    if search.build_space(config).finite_size is None:
        return []
    freed = []
    for trial in trials.list_orphans(db, sweep["id"]):
        new = runs.create_run(
            db,
            sweep["project_id"],
            make_name(),
            sweep_id=sweep["id"],
            state="pending",
            state_reason="its configuration was tried by a run that was deleted",
            config=trial["args"],
        )
        _create_successor(db, new, trial, f"again after its run was deleted: {trial['reason']}")
        freed.append((new, trial))
    return freed


def _was_interrupted(run: Row, trial: Row) -> bool:
    is_wish = run["stop_requested_at"] is not None
    has_fallen = run["state"] in ("crashed", "killed", "preempted")
    return has_fallen and not is_wish and trial["attempt"] < MAX_INTERRUPTIONS


def queue_retry(db: Connection, run: Row, trial: Row) -> Row:
    """Create the run that tries a configuration again; the next agent that asks gets it."""
    new = runs.create_run(
        db,
        run["project_id"],
        make_name(),
        sweep_id=run["sweep_id"],
        user_id=run["user_id"],
        state="pending",
        state_reason=f"retry of {run['name']}, which {run['state']}",
        config=trial["args"],
        display_name=f"{run['display_name'].split(' (try')[0]} (try {trial['attempt'] + 1})",
    )
    _create_successor(db, new, trial, f"retry of {run['name']}: {trial['reason']}")
    return new


def _create_successor(db: Connection, new: Row, trial: Row, reason: str) -> None:
    """Queue a run as the next attempt at a trial's configuration."""
    trials.create_trial(
        db,
        trial["sweep_id"],
        new["id"],
        config_key=trial["config_key"],
        attempt=trial["attempt"] + 1,
        retry_of=trial["id"],
        ordinal=trial["ordinal"],
        args=trial["args"],
        reason=reason,
        queued=1,
    )


def request_stop(db: Connection, run: Row, reason: str, record: str | None = None) -> None:
    """Ask a run to end; the client learns it from its polls, the agent with its next heartbeat."""
    if run["state"] in runs.OPEN and run["stop_requested_at"] is None:
        values = {"stop_requested_at": time.time(), "stop_reason": reason, "stop_record": record}
        runs.save_run(db, run["id"], **values)


def withdraw_run(db: Connection, run: Row, reason: str) -> bool:
    """End a run that waits for an agent; return whether it did."""
    trial = trials.find_trial(db, run["id"])
    if run["state"] not in runs.OPEN or trial is None:
        return False
    if not trial["queued"] and run["state"] != "preempted":
        return False
    trials.save_trial(db, trial["id"], queued=0)
    runs.end_run(db, run["id"], "killed", reason)
    return True


def finish_if_done(db: Connection, sweep_id: int | None) -> None:
    """End a sweep whose configurations are all handed out and whose runs have all ended."""
    if sweep_id is None:
        return
    sweep = sweeps.get_sweep(db, sweep_id)
    if (
        sweep["exhausted"]
        and sweep["state"] in ("RUNNING", "PENDING")
        and sweeps.count_open_runs(db, sweep_id) == 0
    ):
        sweeps.save_sweep(db, sweep_id, state="FINISHED", state_reason=ALL_TRIED)


def reopen_sweep(db: Connection, sweep_id: int) -> None:
    """Let a sweep look for configurations again; one that ended for lack of them goes on."""
    sweep = sweeps.get_sweep(db, sweep_id)
    changed: dict[str, Any] = {"exhausted": 0}
    if sweep["state"] == "FINISHED" and sweep["state_reason"] == ALL_TRIED:
        changed |= {"state": "RUNNING", "state_reason": None}
    sweeps.save_sweep(db, sweep_id, **changed)


def _state_after_stop(run: Row) -> str:
    # A run that the search ended has a result; one that the user stopped has not.
    return "finished" if (run["stop_reason"] or "").startswith(EARLY_STOPS) else "killed"


def _is_queued(db: Connection, run: Row) -> bool:
    trial = trials.find_trial(db, run["id"])
    return trial is not None and bool(trial["queued"])
