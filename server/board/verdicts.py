"""A sweep's verdict in the report's words, computed when someone looks and not too often."""

import json
import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from report import metrics
from report.goals import ReportError
from report.predictions import FILE_NAME, Predictions
from report.records import CONTROL, REPLICATE, TEST, TRAIN, RunRecord, SweepRecord
from report.verdict import judge
from report.words import describe
from server import search
from server.board.comparison import read_run_predictions
from server.board.curves import RunCurves
from server.board.rows import read_config
from server.board.watched import WatchedRuns
from server.context import Context
from server.store import Connection, Row, files, runs
from server.store.watch import list_watched

logger = logging.getLogger(__name__)

_MAX_PREDICTIONS = 100
"""Sweeps with more runs are judged by their curves alone: each file takes tens of milliseconds."""
_PAUSE_S = 10.0
_PAUSE_FACTOR = 20.0
"""While a sweep is live, a twentieth of one core at most goes into its verdict."""


@dataclass
class _Kept:
    boot: str = ""
    revision: int = -1
    answer: dict[str, Any] = field(default_factory=dict)
    next_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Verdicts:
    """The verdicts of the sweeps that pages look at; one a server."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._predictions: dict[tuple[int, str], Predictions | None] = {}

    def read(self, context: Context, sweep: Row, path: str, watched: WatchedRuns) -> dict[str, Any]:
        """Return the verdict's sentences as of some recent revision; never waits for another."""
        kept = self._kept.setdefault(sweep["id"], _Kept())
        is_old = (kept.boot, kept.revision) != (watched.boot, watched.revision)
        if is_old and time.monotonic() >= kept.next_at and kept.lock.acquire(blocking=False):
            try:
                started = time.monotonic()
                boot, revision = watched.boot, watched.revision
                kept.answer = self._judge(context, sweep, path, watched)
                kept.boot, kept.revision = boot, revision
                took_s = time.monotonic() - started
                kept.next_at = time.monotonic() + max(_PAUSE_S, _PAUSE_FACTOR * took_s)
            finally:
                kept.lock.release()
        is_current = (kept.boot, kept.revision) == (watched.boot, watched.revision)
        return {**kept.answer, "current": is_current}

    def _judge(
        self, context: Context, sweep: Row, path: str, watched: WatchedRuns
    ) -> dict[str, Any]:
        with context.database.read() as db:
            record = self._make_record(db, context, sweep, path, watched)
        if not any(run.epochs for run in record.runs):
            return {"sentences": []}
        try:
            return {"sentences": describe(judge(record))}
        except ReportError as error:
            return {"sentences": [], "problem": str(error)}

    def _make_record(
        self, db: Connection, context: Context, sweep: Row, path: str, watched: WatchedRuns
    ) -> SweepRecord:
        config, _ = search.read_config(sweep["config"])
        found = list_watched(db, list(watched.entries))
        curves = {number: entry.curves for number, entry in watched.entries.items()}
        near = {"group": sweep["name"], "jobType": {"$in": [CONTROL, REPLICATE, TEST]}}
        beside = runs.list_runs(db, sweep["project_id"], filters=near)
        for run in beside:
            curves[run["id"]] = RunCurves()
            curves[run["id"]].update(db, run["id"])
        with_cells = len(found) <= _MAX_PREDICTIONS

        def make(listed: Sequence[Row]) -> tuple[RunRecord, ...]:
            return tuple(
                make_run_record(
                    run,
                    curves[run["id"]],
                    self._read_predictions(db, context, run) if with_cells else None,
                )
                for run in listed
            )

        return SweepRecord(
            path=path,
            name=sweep["display_name"] or sweep["name"],
            state=sweep["state"],
            config=config,
            runs=make(found),
            url=f"/{path}",
            beside=make(beside),
        )

    def _read_predictions(self, db: Connection, context: Context, run: Row) -> Predictions | None:
        file = files.find_file(db, run["id"], FILE_NAME)
        if file is None or not file["md5"]:
            return None
        key = run["id"], file["md5"]
        if key not in self._predictions:
            while len(self._predictions) >= 4 * _MAX_PREDICTIONS:
                self._predictions.pop(next(iter(self._predictions)))
            self._predictions[key] = read_run_predictions(db, context, run)
        return self._predictions[key]


def make_run_record(run: Row, curves: RunCurves, predictions: Predictions | None) -> RunRecord:
    """Return a run as the report knows it."""
    names = curves.names()
    columns = {name: curves.values(name) for name in names}
    lines = [
        {name: columns[name][i] for name in names if not math.isnan(columns[name][i])}
        for i in range(curves.n_lines)
    ]
    summary = json.loads(run["summary_metrics"])
    error = summary.get("error")
    return RunRecord(
        id=run["name"],
        name=run["display_name"],
        state=run["state"],
        config=read_config(run),
        history=tuple(line for line in lines if metrics.EPOCH in line),
        error=None if error is None else str(error),
        kind=run["job_type"] or TRAIN,
        predictions=predictions,
    )
