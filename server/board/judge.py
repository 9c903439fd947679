"""A process of its own that computes verdicts: `python -m bpsweep.server.board.judge STORE`.

Intervals and importances take seconds of numpy and scikit-learn; in the server's process they would
keep agents' heartbeats waiting. It reads the store itself, takes one JSON question a line, gives
one JSON answer a line, and ends when its input does.
"""

import json
import math
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from bpsweep.report import metrics
from bpsweep.report.errors import ReportError
from bpsweep.report.figures.importance import draw_importance, draw_interaction
from bpsweep.report.predictions import FILE_NAME, Predictions
from bpsweep.report.records import (
    CONTROL,
    DOSE,
    ONE_CLASS,
    REPLICATE,
    TEST,
    TRAIN,
    RunRecord,
    SweepRecord,
)
from bpsweep.report.statistics.controls import judge_controls
from bpsweep.report.statistics.dose import read_dose
from bpsweep.report.statistics.grade import find_grade
from bpsweep.report.statistics.importance import weigh_parameters
from bpsweep.report.statistics.scores import ACCURACY, METRICS, Metric
from bpsweep.report.statistics.selection_bias import correct_selection
from bpsweep.report.statistics.verdict import Row as VerdictRow
from bpsweep.report.statistics.verdict import Verdict, judge
from bpsweep.report.text.grade import name_grade
from bpsweep.report.text.numbers import show_chance, show_ends, show_value
from bpsweep.report.text.verdict import describe
from bpsweep.server import sweepfile
from bpsweep.server.board.comparison import read_file
from bpsweep.server.board.curves import RunCurves
from bpsweep.server.board.rows import read_config
from bpsweep.server.board.watched import WatchedRuns
from bpsweep.server.errors import ServerError
from bpsweep.server.settings import Settings
from bpsweep.server.store import Connection, Row, files, runs, sweeps
from bpsweep.server.store.database import connect
from bpsweep.server.store.watch import list_watched
from bpsweep.server.uploads import locate_run_file

_MAX_PREDICTIONS = 200
"""Sweeps with more runs are judged by their curves alone: each file takes tens of milliseconds."""
_MAX_ROWS = 200
_NICE = 10


class Judge:
    """Judges the sweeps of one store, from what the store holds now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._db = connect(settings.database)
        self._db.execute("PRAGMA query_only = ON")
        self._watched: dict[int, WatchedRuns] = {}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield the reading connection."""
        yield self._db

    def close(self) -> None:
        """Let go of the store."""
        self._db.close()

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return a sweep's sentences and figures.

        Args:
            question: "sweep", its number, and "path", as W&B names it.
        """
        record = self._make_record(int(question["sweep"]), str(question["path"]))
        if not any(run.epochs for run in record.runs):
            return {"sentences": [], "figures": []}
        try:
            verdict = judge(record, read_target(record.config), read_metric_name(record.config))
        except ReportError as error:
            return {"sentences": [], "figures": [], "problem": str(error)}
        controls = judge_controls(verdict, correct_selection(verdict))
        dose = read_dose(verdict)
        grade = find_grade(verdict, controls, rises=dose is not None and dose.rises)
        return {
            "grade": grade,
            "sentences": [name_grade(grade, verdict), *describe(verdict)],
            "figures": draw_figures(verdict),
            "metric": verdict.goal.metric.name,
            "level": verdict.goal.level,
            "n_configurations": len(verdict.rows),
            "configurations": [
                describe_configuration(row, verdict.goal.metric) for row in verdict.rows[:_MAX_ROWS]
            ],
        }

    def _make_record(self, number: int, path: str) -> SweepRecord:
        sweep = sweeps.get_sweep(self._db, number)
        config = sweepfile.read_config(sweep["config"])
        watched = self._watched.setdefault(
            number, WatchedRuns(self, "sweep_id", number, None, largest=True)
        )
        watched.refresh()
        found = list_watched(self._db, list(watched.entries))
        curves = {key: entry.curves for key, entry in watched.entries.items()}
        near = {"group": sweep["name"], "jobType": {"$in": [CONTROL, REPLICATE, TEST, DOSE]}}
        beside = runs.list_runs(self._db, sweep["project_id"], filters=near)
        for run in beside:
            curves[run["id"]] = RunCurves()
            curves[run["id"]].update(self._db, run["id"])
        return SweepRecord(
            path=path,
            name=sweep["display_name"] or sweep["name"],
            state=sweep["state"],
            config=config,
            runs=self._make_runs(found, curves),
            url=f"/{path}",
            beside=self._make_runs(beside, curves),
        )

    def _make_runs(
        self, listed: Sequence[Row], curves: Mapping[int, RunCurves]
    ) -> tuple[RunRecord, ...]:
        with_cells = len(listed) <= _MAX_PREDICTIONS
        return tuple(
            make_run_record(
                run, curves[run["id"]], self._read_predictions(run) if with_cells else None
            )
            for run in listed
        )

    def _read_predictions(self, run: Row) -> Predictions | None:
        file = files.find_file(self._db, run["id"], FILE_NAME)
        if file is None or not file["md5"]:
            return None
        path = locate_run_file(self._settings.uploads, run["id"], file["id"])
        return _read_once(str(path), file["md5"])


@lru_cache(maxsize=2 * _MAX_PREDICTIONS)
def _read_once(path: str, _: str) -> Predictions | None:
    return read_file(Path(path))


def make_run_record(run: Row, curves: RunCurves, predictions: Predictions | None) -> RunRecord:
    """Return a run as the report knows it."""
    names = curves.names()
    columns = {name: curves.values(name) for name in names}
    lines = [
        {name: columns[name][i] for name in names if not math.isnan(columns[name][i])}
        for i in range(curves.n_lines)
    ]
    summary = json.loads(run["summary_metrics"])
    error, one_class = summary.get("error"), summary.get(ONE_CLASS)
    return RunRecord(
        id=run["name"],
        name=run["display_name"],
        state=run["state"],
        config=read_config(run),
        history=tuple(line for line in lines if metrics.EPOCH in line),
        error=None if error is None else str(error),
        kind=run["job_type"] or TRAIN,
        predictions=predictions,
        one_class=None if one_class is None else str(one_class),
    )


def read_metric_name(config: Mapping[str, Any]) -> str:
    """Return which of the report's metrics a sweep optimises; accuracy for any other."""
    wanted = (config.get("metric") or {}).get("name")
    return next((name for name, one in METRICS.items() if one.key == wanted), ACCURACY.name)


def read_target(config: Mapping[str, Any]) -> float | None:
    """Return the target that a sweep's YAML sets for one of the report's metrics."""
    metric = config.get("metric") or {}
    is_known = any(one.key == metric.get("name") for one in METRICS.values())
    target = metric.get("target")
    return float(target) if is_known and isinstance(target, int | float) else None


def describe_configuration(row: VerdictRow, metric: Metric) -> dict[str, Any]:
    """Return the verdict on one configuration, for a table; `shown` is how the report writes it."""
    found, value, chance = row.interval, row.value, row.probability
    shown = {
        "value": None if value is None else show_value(value, metric),
        "interval": None if found is None else " to ".join(show_ends(found, metric)),
        "chance": None if chance is None else show_chance(chance),
    }
    return {
        "run": row.run.id,
        "swept": dict(row.swept),
        "n_runs": row.n_runs,
        "value": value,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "probability": chance,
        "shown": shown,
        "status": row.status,
        "trouble": row.trouble.kind if row.trouble else None,
        "epoch": row.first_epoch_at_target,
    }


def draw_figures(verdict: Verdict) -> list[dict[str, Any]]:
    """Return what mattered as the report draws it."""
    importance = weigh_parameters(verdict.sweep, verdict.goal)
    if importance is None:
        return []
    figures = [draw_importance(importance, verdict.synthetic)]
    if importance.interaction is not None:
        figures.append(
            draw_interaction(importance.interaction, importance.metric, verdict.synthetic)
        )
    return [
        {"name": one.name, "title": one.title, "words": one.words, **one.to_plotly()}
        for one in figures
    ]


def main(store: str) -> int:
    """Answer questions until there are no more."""
    os.nice(_NICE)
    one = Judge(Settings(Path(store)))
    for line in sys.stdin:
        try:
            answer = one.answer(json.loads(line))
        except (ServerError, sqlite3.Error) as error:
            answer = {"sentences": [], "figures": [], "problem": str(error)}
        print(json.dumps(answer), flush=True)
    one.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
