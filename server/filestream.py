"""The file stream: history, events, console output and summary in chunks, and a run's end."""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from bpsweep.server import leases, scheduler, sweepfile
from bpsweep.server.context import Context, get_context
from bpsweep.server.errors import BadRequestError, NotFoundError
from bpsweep.server.limits import parse_object, read_body
from bpsweep.server.store import Connection, Row, history, projects, runs, sweeps

router = APIRouter()

_HISTORY, _EVENTS = "wandb-history.jsonl", "wandb-events.jsonl"
_SUMMARY, _OUTPUT = "wandb-summary.json", "output.log"
_STREAMS = {_HISTORY: "history", _EVENTS: "events", _OUTPUT: "output"}


@router.post("/files/{entity}/{project}/{run}/file_stream")
async def post_file_stream(entity: str, project: str, run: str, request: Request) -> dict[str, Any]:
    """Take one chunk of a run's stream and say whether the run should stop."""
    context = get_context(request)
    context.auth.require_user(request)
    body = await read_body(request, context.settings.max_body_bytes)
    chunk = parse_object(body)
    return await run_in_threadpool(apply_chunk, context, (entity, project, run), chunk)


def apply_chunk(
    context: Context, path: tuple[str, str, str], chunk: dict[str, Any]
) -> dict[str, Any]:
    """Store a chunk, durably before it is answered; the same chunk again changes nothing.

    Raises:
        BadRequestError: The chunk is malformed; nothing of it is stored.
        NotFoundError: The run does not exist.
    """
    entity, project_name, run_name = path
    with context.database.write() as db:
        project = projects.require_project(db, entity, project_name)
        run = runs.find_run(db, project["id"], run_name)
        if run is None:
            raise NotFoundError(f"run {entity}/{project_name}/{run_name} does not exist")
        sweep = sweeps.get_sweep(db, run["sweep_id"]) if run["sweep_id"] else None
        metric = _find_metric(sweep)
        if run["restarting"]:
            run = _restart(db, run, chunk)
        leases.note_life(db, run)
        latest = _write_files(db, run, chunk, metric)
        if sweep is not None and latest is not None:
            scheduler.finish_at_target(db, sweep, latest)
        _write_state(db, runs.get_run(db, run["id"]), chunk)
    if sweep is not None and latest is not None:
        _stop_bad_runs(context, sweep)
    with context.database.read() as db:
        stopped = must_stop(db, runs.get_run(db, run["id"]))
    return {"exitcode": None, "limits": {}, "stopped": stopped}


def must_stop(db: Connection, run: Row) -> bool:
    """Return whether a run has been asked to end, or another has taken its place."""
    return run["stop_requested_at"] is not None or (
        run["state"] == "crashed" and leases.is_superseded(db, run)
    )


def _restart(db: Connection, run: Row, chunk: dict[str, Any]) -> Row:
    """Let a run begin anew: each stream that starts at line 0 forgets what it held."""
    if run["state"] not in ("running", "preempting"):
        leases.start_run(db, run)
    for name, offset, _ in _iterate_files(chunk):
        if offset == 0 and name in _STREAMS:
            history.clear_lines(db, run["id"], _STREAMS[name])
            if name == _HISTORY:
                runs.save_run(db, run["id"], restarting=0)
    if chunk.get("complete"):
        runs.save_run(db, run["id"], restarting=0)
    return runs.get_run(db, run["id"])


def _find_metric(sweep: Row | None) -> str | None:
    if sweep is None:
        return None
    config = sweepfile.read_config(sweep["config"])
    name: str | None = config.get("metric", {}).get("name")
    return name


def _write_files(
    db: Connection, run: Row, chunk: dict[str, Any], metric: str | None
) -> float | None:
    """Store the chunk's lines; return the newest value of the sweep's metric in them."""
    latest = None
    for name, offset, lines in _iterate_files(chunk):
        if name == _HISTORY:
            history.write_history(db, run, run["forked_lines"] + offset, lines, metric)
            for text in lines:
                value = history.read_metric(json.loads(text), metric)
                latest = value if value is not None else latest
        elif name == _EVENTS:
            history.write_lines(db, run, "events", offset, lines)
            _save_system_metrics(db, run, lines)
        elif name == _OUTPUT:
            history.write_lines(db, run, "output", offset, lines)
        elif name == _SUMMARY and lines:
            summary = parse_object(lines[-1].encode())
            runs.save_run(db, run["id"], summary_metrics=lines[-1])
            if latest is None:
                latest = history.read_metric(summary, metric)
    return latest


def _iterate_files(chunk: dict[str, Any]) -> Iterator[tuple[str, int, list[str]]]:
    files = chunk.get("files")
    if files is None:
        return
    if not isinstance(files, dict):
        raise BadRequestError(f"'files' is an object of chunks by name, got {type(files).__name__}")
    for name in sorted(files, key=lambda key: key == _SUMMARY):  # the summary after the history
        part = files[name]
        offset = part.get("offset") if isinstance(part, dict) else None
        lines = part.get("content") if isinstance(part, dict) else None
        if isinstance(offset, bool) or not isinstance(offset, int) or not isinstance(lines, list):
            raise BadRequestError(f"chunk {name!r} needs a whole 'offset' and a list 'content'")
        if not all(isinstance(line, str) for line in lines):
            raise BadRequestError(f"the content of chunk {name!r} is a list of texts")
        yield name, offset, lines


def _write_state(db: Connection, run: Row, chunk: dict[str, Any]) -> None:
    # A stop is carried out by SIGTERM too: a run told to stop has not lost its machine.
    is_lost = run["state"] == "running" and run["stop_requested_at"] is None
    if chunk.get("preempting") and is_lost:
        runs.save_run(db, run["id"], state="preempting")
        run = {**run, "state": "preempting"}
    if chunk.get("complete"):
        exit_code = chunk.get("exitcode") or 0
        if not isinstance(exit_code, int) or not -(2**31) <= exit_code < 2**31:
            raise BadRequestError(f"'exitcode' is a whole number of 32 bits, got {exit_code!r}")
        leases.complete_run(db, run, exit_code)


def _save_system_metrics(db: Connection, run: Row, lines: list[str]) -> None:
    if not lines:
        return
    values = parse_object(lines[-1].encode())
    kept = {key: value for key, value in values.items() if not key.startswith("_")}
    merged = {**json.loads(run["system_metrics"]), **kept}
    runs.save_run(db, run["id"], system_metrics=json.dumps(merged))


def _stop_bad_runs(context: Context, sweep: Row) -> None:
    with context.database.read() as db:
        verdicts = scheduler.find_bad_runs(db, sweep)
    if verdicts:
        with context.database.write() as db:
            for run_id, (reason, record) in verdicts.items():
                leases.request_stop(db, runs.get_run(db, run_id), reason, record)
