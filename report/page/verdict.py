"""The page's sections on what the runs scored: table, curves, settings, confusion, repetition."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import yaml

from bpsweep.report import metrics
from bpsweep.report.figures.curves import Role, collect_curves, draw_curves
from bpsweep.report.figures.figure import Figure
from bpsweep.report.figures.importance import draw_importance, draw_interaction
from bpsweep.report.figures.parallel import draw_parallel
from bpsweep.report.figures.scatter import Column, draw_scatter
from bpsweep.report.page.sections import Block, Cell, Missing, Section, Table, number, setting
from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.importance import MIN_RUNS, Importance
from bpsweep.report.statistics.intervals import CLUSTERED, Interval
from bpsweep.report.statistics.scores import ACCURACY, METRICS, Metric
from bpsweep.report.statistics.selection_bias import TestResult
from bpsweep.report.statistics.verdict import Row, Verdict
from bpsweep.report.text.evidence import explain_importance
from bpsweep.report.text.numbers import (
    name_share,
    show,
    show_chance,
    show_ends,
    show_spread,
    show_value,
)
from bpsweep.report.text.verdict import name_goal, name_row

_YAML_ORDER: Final = ("program", "command", "name", "method", "metric", "parameters")
_STATE_TONES: Final = {"finished": "", "failed": "bad", "crashed": "bad"}
_TONES: Final = {"reached": "good", "likely": "close", "not reached": "", "no result": ""}


def build_table(verdict: Verdict, test: TestResult | None) -> Section:
    """Build the table of configurations, swept columns first, best on top.

    Args:
        verdict: The verdict.
        test: The winner on the untouched test part; None where it was not evaluated.
    """
    columns = list(_list_columns(verdict))
    rows = tuple(tuple(write(row) for _, write in columns) for row in verdict.rows)
    synthetic = ", synthetic images" if verdict.synthetic else ""
    caption = (
        f"Configurations, the best first{synthetic}. Results are of the best epoch on the "
        "validation cells. Press a column's title to order by it."
    )
    head = tuple(title for title, _ in columns)
    return Section(
        "configurations",
        "Configurations",
        lines=[f"Target: {name_goal(verdict.goal)}."],
        tables=[Table("table", caption, head, rows, sortable=True)],
        missing=list(_list_unused(verdict, test)),
    )


def _list_unused(verdict: Verdict, test: TestResult | None) -> Iterator[Missing]:
    """Name what would make the verdict firmer: other seeds, the untouched test part."""
    path = verdict.sweep.path
    if verdict.best.value is None:
        return
    if all(row.n_runs == 1 for row in verdict.rows):
        yield Missing(
            "No configuration was repeated: how much chance in training matters is not known.",
            f"bpsweep replicate {path} --top 3 --seeds 4",
        )
    if test is None and verdict.best.run.provenance.get("n_test"):
        yield Missing(
            "The untouched test part has not been looked at. It can be, once.",
            f"bpsweep evaluate {path}",
        )


def _list_columns(verdict: Verdict) -> Iterator[tuple[str, Callable[[Row], Cell]]]:
    """Give each column's title and how to write its cell of a row."""
    goal = verdict.goal
    is_by_plate = any(row.interval and row.interval.method == "plates" for row in verdict.rows)
    for name in verdict.best.swept:
        yield name, partial(_show_setting, name)
    if not verdict.best.swept:
        yield "run", lambda row: Cell(row.run.name, row.run.name)
    sign = "≥" if goal.metric.higher_is_better else "≤"
    yield "verdict", _show_status
    yield goal.metric.words, partial(_show_metric, goal.metric)
    yield (
        f"{name_share(goal.level)} interval over {'plates' if is_by_plate else 'wells'}",
        lambda row: _show_ends(
            row.interval if row.interval and row.interval.method in CLUSTERED else None, goal
        ),
    )
    yield (
        f"P({sign} {name_share(goal.target)})".replace(" ", "\u00a0"),
        lambda row: _show_share(row.probability),
    )
    for metric in METRICS.values():
        if metric is not goal.metric:
            yield metric.words, partial(_show_metric, metric)
    yield "loss", lambda row: number(row.val_loss, f"{row.val_loss or 0:.4f}")
    yield "best epoch", lambda row: number(row.best_epoch, str(row.best_epoch))
    yield (
        "epoch at target",
        lambda row: number(row.first_epoch_at_target, str(row.first_epoch_at_target)),
    )
    yield (
        "seconds to target",
        lambda row: number(row.seconds_to_target, f"{row.seconds_to_target or 0:.1f}"),
    )
    yield (
        "interval of independent cells",
        lambda row: _show_ends(row.estimate.naive if row.estimate else None, goal),
    )
    if any(row.n_runs > 1 for row in verdict.rows):
        yield "seeds", partial(_show_seeds, goal.metric)
    yield "state", lambda row: Cell(row.state, row.state, _STATE_TONES.get(row.state, "close"))


def _show_status(row: Row) -> Cell:
    if row.trouble is not None:
        text = f"{row.status}, {row.trouble.kind}"
        return Cell(text, row.probability, "bad", as_text=True)
    return Cell(row.status, row.probability, _TONES[row.status], as_text=True)


def _show_setting(name: str, row: Row) -> Cell:
    return setting(row.swept[name], show(row.swept[name]))


def _show_metric(metric: Metric, row: Row) -> Cell:
    value = row.find_value(metric.name)
    return number(value, "" if value is None else show_value(value, metric))


def _show_share(share: float | None) -> Cell:
    return number(share, "" if share is None else show_chance(share))


def _show_seeds(metric: Metric, row: Row) -> Cell:
    spread = row.replicates.spread if row.replicates else None
    text = "" if spread is None else f" (± {show_spread(spread, metric)})"
    return Cell(f"{row.n_runs}{text}", row.n_runs)


def _show_ends(interval: Interval | None, goal: Goal) -> Cell:
    if interval is None:
        return Cell("–")
    sign = "%" if goal.metric is ACCURACY else ""
    return Cell(" to ".join(show_ends(interval, goal.metric)) + sign, interval.low)


def build_curves(verdict: Verdict) -> Section:
    """Build the learning curves: the judged metric with the target, and the validation loss."""
    goal = verdict.goal
    roles: dict[str, Role] = {
        row.run.id: "reached" for row in verdict.rows if row.status in ("reached", "likely")
    }
    if verdict.best.value is not None:
        roles[verdict.best.run.id] = "best"
    figures = []
    for key, target in ((goal.metric.key, goal.target), (metrics.VAL_LOSS, None)):
        curves = collect_curves(verdict.sweep, key, roles=roles)
        if curves:
            figures.append(draw_curves(curves, key, target=target, synthetic=verdict.synthetic))
    missing = [] if figures else [Missing("No run has logged an epoch yet.", _agent(verdict))]
    return Section("curves", "Learning curves", figures=figures, missing=missing)


def _agent(verdict: Verdict) -> str:
    return f"wandb agent {verdict.sweep.path}"


def build_settings(verdict: Verdict) -> Section:
    """Build parallel coordinates."""
    goal, rows = verdict.goal, verdict.rows
    missing = _find_missing(verdict)
    if missing is not None:
        return Section("settings", "Settings and results", missing=[missing])
    figure = draw_parallel(
        [row.swept for row in rows],
        [row.value for row in rows],
        goal.metric,
        goal.target,
        verdict.synthetic,
        best=0,
    )
    return Section("settings", "Settings and results", figures=[figure])


def _find_missing(verdict: Verdict) -> Missing | None:
    if not verdict.best.swept:
        return Missing("Nothing was swept: one configuration has no settings to compare.")
    if verdict.best.value is None:
        return Missing("No configuration has a result yet.", _agent(verdict))
    return None


def build_importance(verdict: Verdict, importance: Importance | None) -> Section:
    """Build what mattered: each setting's share, the top two together, and the first as dots."""
    missing = _find_missing(verdict)
    if missing is None and importance is None:
        missing = Missing(
            f"What mattered is said of {MIN_RUNS} runs or more with different settings and results."
        )
    if missing is not None or importance is None:
        return Section("importance", "What mattered", missing=[missing] if missing else [])
    figures = [draw_importance(importance, verdict.synthetic)]
    if importance.interaction is not None:
        figures.append(
            draw_interaction(importance.interaction, importance.metric, verdict.synthetic)
        )
    figures.append(_draw_scatter(verdict, importance.factors[0].name))
    lines = explain_importance(importance)
    return Section("importance", "What mattered", lines=lines, figures=figures)


def _draw_scatter(verdict: Verdict, name: str) -> Figure:
    goal, rows = verdict.goal, verdict.rows
    ends = [row.interval for row in rows]
    return draw_scatter(
        Column(name, tuple(row.swept[name] for row in rows)),
        Column(
            goal.metric.words,
            tuple(row.value for row in rows),
            "%" if goal.metric is ACCURACY else "",
            tuple(None if one is None else one.low for one in ends),
            tuple(None if one is None else one.high for one in ends),
        ),
        [name_row(row) for row in rows],
        best=0,
        target=goal.target,
        synthetic=verdict.synthetic,
    )


def build_repetition(verdict: Verdict) -> Section:
    """Build what it takes to repeat the sweep: data, split, versions, commands."""
    known = next((run for run in verdict.sweep.runs if run.provenance), None)
    missing = [] if known else [Missing("No run has written what it is made from yet.")]
    tables = (
        []
        if known is None
        else [_list_data(known.provenance, known.config), _list_versions(known.provenance)]
    )
    lines = []
    checksums = {
        tuple(run.provenance.get(name) for name in ("data_checksum", "split_checksum"))
        for run in verdict.sweep.runs
        if run.provenance
    }
    if len(checksums) > 1:
        lines.append(
            f"Runs of this sweep were made from {len(checksums)} different pairs of data and "
            "split; the table below is that of the first run."
        )
    folder = [] if verdict.synthetic else ["export BPSWEEP_DATA_DIR=~/bps/train"]
    commands = [
        *folder,
        "bpsweep run sweep.yaml",
        f"bpsweep report {verdict.sweep.path} --html report.html",
    ]
    return Section(
        "repeat",
        "Data, versions, and how to repeat it",
        lines=lines,
        tables=tables,
        missing=missing,
        blocks=[
            Block("Commands", "\n".join(commands)),
            Block("sweep.yaml", write_sweep(verdict.sweep.config)),
        ],
    )


def write_sweep(config: Mapping[str, Any]) -> str:
    """Write a sweep's definition as its YAML."""
    first = {name: config[name] for name in _YAML_ORDER if name in config}  # servers sort them
    text = yaml.safe_dump(
        {**first, **config}, sort_keys=False, default_flow_style=None, allow_unicode=True, width=88
    )
    return text.rstrip()


def _list_data(provenance: Mapping[str, Any], config: Mapping[str, Any]) -> Table:
    names = provenance.get("label_names")
    facts = {
        "images": "synthetic" if provenance.get("synthetic") else "as fetched",
        "subset": config.get("subset"),
        "labels": ", ".join(map(str, names)) if isinstance(names, list) else None,
        "checksum of the decoded images": provenance.get("data_checksum"),
        "checksum of the labels": provenance.get("labels_checksum"),
        "split": config.get("split"),
        "checksum of the split": provenance.get("split_checksum"),
        "training cells": provenance.get("n_training"),
        "validation cells": provenance.get("n_validation"),
        "test cells": provenance.get("n_test"),
        "seed": config.get("seed"),
    }
    rows = tuple(
        (Cell(name), Cell(f"{value:,}" if name.endswith("cells") else str(value)))
        for name, value in facts.items()
        if value is not None
    )
    return Table("data", "Data and split", ("what", "value"), rows)


def _list_versions(provenance: Mapping[str, Any]) -> Table:
    found = provenance.get("versions")
    versions = found if isinstance(found, Mapping) else {}
    rows = tuple((Cell(str(name)), Cell(str(value))) for name, value in versions.items())
    return Table("versions", "Versions", ("package", "version"), rows)
