"""How a run's record is shown: one resolver per field that is not simply a column."""

import json
import posixpath
import re
import time
from typing import Any

from ariadne import ObjectType

from bpsweep.server import api, filestream
from bpsweep.server.graphql.common import (
    Info,
    as_page,
    build_page,
    get_operation,
    pick,
    pick_id,
    pick_time,
    read_window,
)
from bpsweep.server.ids import format_time
from bpsweep.server.jsontext import make_strict, parse_json
from bpsweep.server.store import Row, artifacts, files, history, projects, runs, sweeps, users

run_type = ObjectType("Run")

MAX_SAMPLES = 1_000_000
_DEFAULT_SAMPLES = 500
# What the client puts before a console line: a level for stderr, and a time.
_CONSOLE_LINE = re.compile(r"(?:(ERROR) )?(\d{4}-\d\d-\d\dT\S+) (.*)", re.DOTALL)

for _field, _column in {
    "projectId": "project_id",
    "group": "group_name",
    "jobProgram": "program",
    "jobRepo": "repo",
    "commit": "commit_hash",
    "exitcode": "exit_code",
    "eventsLineCount": "event_lines",
    "logLineCount": "output_lines",
}.items():
    run_type.set_field(_field, pick(_column))
run_type.set_field("createdAt", pick_time("created_at"))
run_type.set_field("updatedAt", pick_time("updated_at"))


@run_type.field("historyLineCount")
def resolve_history_line_count(run: Row, _: Info) -> int:
    """Return at which line the run's program goes on: its own count, without a parent's lines."""
    return int(run["history_lines"] - run["forked_lines"])


run_type.set_field("id", pick_id("Run"))


@run_type.field("heartbeatAt")
def resolve_heartbeat_at(run: Row, _: Info) -> str | None:
    return format_time(run["heartbeat_at"] or run["created_at"])


@run_type.field("computeSeconds")
def resolve_compute_seconds(run: Row, _: Info) -> int:
    if run["started_at"] is None:
        return 0
    return int((run["finished_at"] or time.time()) - run["started_at"])


@run_type.field("project")
def resolve_project(run: Row, info: Info) -> Row:
    return projects.get_project(get_operation(info).db, run["project_id"])


@run_type.field("sweep")
def resolve_sweep(run: Row, info: Info) -> Row | None:
    return sweeps.get_sweep(get_operation(info).db, run["sweep_id"]) if run["sweep_id"] else None


@run_type.field("user")
def resolve_user(run: Row, info: Info) -> Row:
    operation = get_operation(info)
    user = users.get_user(operation.db, run["user_id"]) if run["user_id"] else None
    return user or operation.user


@run_type.field("readOnly")
def resolve_read_only(_: Row, __: Info) -> bool:
    return False


@run_type.field("tags")
def resolve_tags(run: Row, _: Info) -> Any:
    return json.loads(run["tags"])


@run_type.field("stopped")
@run_type.field("shouldStop")
def resolve_stopped(run: Row, info: Info) -> bool:
    return filestream.must_stop(get_operation(info).db, run)


@run_type.field("failed")
def resolve_failed(run: Row, _: Info) -> bool:
    return run["state"] in runs.UNFINISHED


@run_type.field("running")
def resolve_running(run: Row, _: Info) -> bool:
    return bool(run["state"] == "running")


@run_type.field("retryOf")
def resolve_retry_of(run: Row, info: Info) -> str | None:
    return api.find_retried(get_operation(info).db, run)


@run_type.field("wandbConfig")
def resolve_wandb_config(run: Row, _: Info, keys: list[str] | None = None) -> str:
    internal = runs.read_config(run).get("_wandb", {})
    values = internal.get("value", {}) if isinstance(internal, dict) else {}
    wanted = {key: values[key] for key in values if keys is None or key in keys}
    return json.dumps(wanted)


@run_type.field("historyKeys")
def resolve_history_keys(run: Row, _: Info) -> Row | None:
    known = json.loads(run["history_keys"])
    if not known:
        return None
    keys = {
        name: {
            "typeCounts": [{"type": entry["type"], "count": entry["count"]}],
            "monotonic": entry.get("rising", False),
            "previousValue": entry.get("last"),
        }
        for name, entry in known.items()
    }
    return {"sets": [], "keys": keys, "lastStep": run["last_step"]}


@run_type.field("historyTail")
def resolve_history_tail(run: Row, info: Info) -> str:
    return json.dumps(history.read_tail(get_operation(info).db, run["id"], "history"))


@run_type.field("eventsTail")
def resolve_events_tail(run: Row, info: Info) -> str:
    return json.dumps(history.read_tail(get_operation(info).db, run["id"], "events"))


@run_type.field("history")
def resolve_history(
    run: Row,
    info: Info,
    min_step: int | None = None,
    max_step: int | None = None,
    samples: int | None = None,
) -> list[str]:
    limit = _bound_samples(samples)
    db = get_operation(info).db
    if min_step is None and max_step is None:
        return history.read_sample(db, run["id"], "history", limit)
    stop = max_step if max_step is not None else run["last_step"] + 1
    return history.read_steps(db, run["id"], min_step or 0, stop, limit)


@run_type.field("events")
def resolve_events(run: Row, info: Info, samples: int | None = None) -> list[str]:
    limit = _bound_samples(samples)
    return history.read_sample(get_operation(info).db, run["id"], "events", limit)


@run_type.field("sampledHistory")
def resolve_sampled_history(run: Row, info: Info, specs: list[str]) -> list[list[Row]]:
    return [_sample_history(run, info, parse_json(spec, "a spec", dict)) for spec in specs]


def _sample_history(run: Row, info: Info, spec: dict[str, Any]) -> list[Row]:
    """Return the points that have all keys of a spec, with these keys only."""
    keys = list(dict.fromkeys(str(key) for key in spec.get("keys") or []))
    if not keys:
        return []
    first = spec.get("minStep")
    last = spec.get("maxStep")
    lines = history.read_steps(
        get_operation(info).db,
        run["id"],
        int(first) if isinstance(first, int | float) else 0,
        int(last) + 1 if isinstance(last, int | float) else run["last_step"] + 1,
        -1,
    )
    points = [select_keys(json.loads(line), keys) for line in lines]
    found = [json.dumps(make_strict(point)) for point in points if point is not None]
    samples = spec.get("samples")
    limit = _bound_samples(samples if isinstance(samples, int) else None)
    return [json.loads(text) for text in history.pick_evenly(found, limit)]


def select_keys(point: dict[str, Any], keys: list[str]) -> dict[str, Any] | None:
    """Return these keys of a logged point ("a.b" may lead into an object), None if one lacks."""
    chosen = {}
    for key in keys:
        value: Any = point.get(key)
        if value is None and "." in key:
            value = point
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        if value is None and key not in point:
            return None
        chosen[key] = value
    return chosen


@run_type.field("parquetHistory")
def resolve_parquet_history(_: Row, __: Info, **___: Any) -> Row:
    """There are no exported files: without them the client reads `history` itself."""
    return {"parquet_urls": [], "live_data": []}


@run_type.field("logLines")
def resolve_log_lines(
    run: Row,
    info: Info,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    if last is not None:
        offset, length = max(0, run["output_lines"] - max(0, last)), max(0, last)
    else:
        offset, length = read_window(first, after)
    found = history.read_output(get_operation(info).db, run["id"], offset, length + 1)
    return build_page([parse_console_line(row) for row in found], offset, length)


def parse_console_line(row: Row) -> Row:
    """Return a console line with the time and level that the client wrote before it."""
    match = _CONSOLE_LINE.fullmatch(row["data"])
    level, timestamp, text = match.groups() if match else (None, None, row["data"])
    return {
        "number": row["line"],
        "timestamp": timestamp,
        "level": "error" if level else None,
        "label": None,
        "line": text.rstrip("\n"),
    }


@run_type.field("fileCount")
def resolve_file_count(run: Row, info: Info) -> int:
    return files.count_files(get_operation(info).db, run["id"])


@run_type.field("files")
def resolve_files(
    run: Row,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> Row:
    db = get_operation(info).db
    offset, length = read_window(first, after)
    # A program may save "./notes.txt", which lies here as the client sends it: "notes.txt".
    wanted = [posixpath.normpath(name) for name in names or []]
    found = files.list_files(
        db, run["id"], names=wanted, pattern=pattern, offset=offset, limit=length + 1
    )
    total = files.count_files(db, run["id"], names=wanted, pattern=pattern)
    return build_page([{**row, "kind": "run"} for row in found], offset, length, total)


@run_type.field("outputArtifacts")
@as_page
def list_output_artifacts(run: Row, info: Info) -> list[Row]:
    return artifacts.list_logged(get_operation(info).db, run["id"])


@run_type.field("inputArtifacts")
@as_page
def list_input_artifacts(run: Row, info: Info) -> list[Row]:
    return artifacts.list_used(get_operation(info).db, run["id"])


def _bound_samples(samples: int | None) -> int:
    return max(0, min(_DEFAULT_SAMPLES if samples is None else samples, MAX_SAMPLES))


TYPES = (run_type,)
