"""Runs that a local scheduler has asked for, queued for the agents of its sweep."""

import time

from bpsweep.server import sweepfile
from bpsweep.server.errors import ConflictError, NotNowError
from bpsweep.server.ids import make_name
from bpsweep.server.store import runs, sweeps, trials
from bpsweep.server.store.database import Connection, Row

# A scheduler whose server ended before it answered asks again within this time.
ASKED_AGAIN_S = 120.0


def enqueue_run(
    db: Connection, sweep: Row, args: str, display_name: str | None, started_at: float
) -> Row:
    """Queue a configuration for the next agent that asks, and return its run.

    Args:
        db: The writing connection.
        sweep: The sweep.
        args: The configuration as agents get it, as JSON.
        display_name: The run's name, if the scheduler has one.
        started_at: When this server started.

    Raises:
        ConflictError: The sweep has ended, or has as many configurations as it may have.
    """
    again = _find_asked_before(db, sweep["id"], args, started_at)
    if again is not None:
        return again
    if sweep["state"] in sweeps.ENDED:
        raise ConflictError(f"sweep {sweep['name']} is {sweep['state']}: it takes no more runs")
    config = sweepfile.read_config(sweep["config"])
    n_taken = trials.count_configurations(db, sweep["id"])
    cap = config.get("run_cap")
    if cap is not None and n_taken >= cap:
        raise NotNowError(f"sweep {sweep['name']} has its {cap} runs ('run_cap')")
    engine = config["scheduler"]["engine"]
    run = runs.create_run(
        db,
        sweep["project_id"],
        make_name(),
        sweep_id=sweep["id"],
        state="pending",
        config=args,
        display_name=display_name,
        state_reason=f"queued by the scheduler ({engine})",
    )
    trials.create_trial(
        db,
        sweep["id"],
        run["id"],
        config_key=f"{args}#{sweep['cursor']}",
        ordinal=sweep["cursor"],
        args=args,
        reason=f"{engine}: suggestion {sweep['cursor'] + 1} of the scheduler",
        queued=1,
    )
    sweeps.move_cursor(db, sweep["id"], sweep["cursor"] + 1)
    if cap is not None and n_taken + 1 >= cap:
        sweeps.save_sweep(db, sweep["id"], exhausted=1)
    return run


def _find_asked_before(db: Connection, sweep_id: int, args: str, started_at: float) -> Row | None:
    """Return the run of a request that comes again, as the answer was lost with the last server."""
    last = trials.find_last(db, sweep_id)
    if (
        last is None
        or last["args"] != args
        or last["run_id"] is None
        or last["created_at"] >= started_at
        or time.time() - last["created_at"] > ASKED_AGAIN_S
    ):
        return None
    return runs.get_run(db, last["run_id"])
