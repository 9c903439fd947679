"""Local schedulers: a user's process, `wandb sweep-scheduler`, suggests the runs of a sweep.

What it suggests is queued for the agents as a run of its own, and nothing else is handed out.
"""

import json
from typing import Any

from ariadne import MutationType, ObjectType

from bpsweep.server import sweepfile
from bpsweep.server.errors import BadRequestError, ConflictError
from bpsweep.server.graphql.common import Info, get_operation
from bpsweep.server.ids import decode_id
from bpsweep.server.jsontext import parse_json
from bpsweep.server.queueing import enqueue_run
from bpsweep.server.store import Row, sweeps

mutation = MutationType()
sweep_type = ObjectType("Sweep")


@mutation.field("enqueueSweepRun")
def enqueue_sweep_run(_: None, info: Info, input: dict[str, Any]) -> Row:
    server = get_operation(info).server
    args = parse_json(input["config"], "config", dict)
    for name, entry in args.items():
        if not isinstance(entry, dict) or "value" not in entry:
            raise BadRequestError(f"config holds {{name: {{value: ...}}}}, got {name}: {entry!r}")
    with server.database.write() as db:
        sweep = sweeps.get_sweep(db, decode_id("Sweep", input["id"]))
        if not sweepfile.is_scheduled(sweepfile.read_config(sweep["config"])):
            raise ConflictError(
                f"sweep {sweep['name']} has no 'scheduler' in its config: this server suggests its"
                " runs itself"
            )
        run = enqueue_run(db, sweep, json.dumps(args), input.get("display_name"), server.started_at)
    # The client calls this an id and compares it with the names of runs.
    return {"id": run["name"], "run_queue_item_id": None}


@sweep_type.field("controllerRunName")
def resolve_controller_run_name(sweep: Row, _: Info) -> str | None:
    """Return the run that keeps what a sweep's scheduler says; the client makes it."""
    scheduled = sweepfile.is_scheduled(sweepfile.read_config(sweep["config"]))
    return f"scheduler-{sweep['name']}" if scheduled else None


TYPES = (mutation, sweep_type)
