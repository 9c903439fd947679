"""A verdict as a table for the terminal, CSV, JSON and LaTeX; each says the same."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, METRICS
from bpsweep.report.statistics.verdict import Row, Verdict
from bpsweep.report.text.numbers import (
    list_values,
    name_share,
    show,
    show_chance,
    show_ends,
    show_value,
)
from bpsweep.report.text.verdict import describe, name_goal

__all__ = ["describe", "draw_table", "flatten", "write_csv", "write_json", "write_latex"]


def draw_table(verdict: Verdict, width: int | None = None) -> Table:
    """Draw the verdict for the terminal: settings, the judged metric, the verdict, then the rest.

    Args:
        verdict: What to draw.
        width: Characters of a line. What does not fit is left out from the right, and named below
            the table; settings that still do not fit share one column. None for no limit.
    """
    columns = _list_columns(verdict)
    for is_folded in (False, True):
        for n_shown in range(len(columns), N_NEEDED - 1, -1):
            table = _build_table(verdict, columns[:n_shown], is_folded)
            surplus = _count_surplus(table) if is_folded else 0
            if width is None or _measure(table) - surplus <= width:
                _name_missing(table, columns[n_shown:])
                return table
    _name_missing(table, columns[N_NEEDED:])
    return table


N_NEEDED: Final = 2
"""Columns that are never left out: the judged metric and the verdict."""


@dataclass(frozen=True)
class _Column:
    """A column of results: its header, and its text for a row."""

    header: str
    show: Callable[[Row], str]


def _list_columns(verdict: Verdict) -> list[_Column]:
    """List the columns of results, the ones that matter first."""
    goal = verdict.goal
    others = [name for name in METRICS if name != goal.metric.name]
    return [
        _metric_column(goal.metric.name, verdict),
        _Column("verdict", _show_status),
        _Column(_name_chance(goal), _show_probability),
        _Column("best\nepoch", lambda row: _show_count(row.best_epoch)),
        *(_metric_column(name, verdict) for name in others),
    ]


def _metric_column(name: str, verdict: Verdict) -> _Column:
    level = f" ({name_share(verdict.goal.level)})" if name == verdict.goal.metric.name else ""
    return _Column(_title(name) + level, lambda row: _show_metric(row, name, verdict))


def _name_chance(goal: Goal) -> str:
    sign = ">=" if goal.metric.higher_is_better else "<="
    return (
        f"P({sign}\n{name_share(goal.target) if goal.metric is ACCURACY else f'{goal.target:g}'})"
    )


def _build_table(verdict: Verdict, columns: Sequence[_Column], is_folded: bool) -> Table:
    title = f"{verdict.sweep.name or verdict.sweep.path}: target {name_goal(verdict.goal)}"
    table = Table(
        title=title + (", synthetic images" if verdict.synthetic else ""),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold",
        caption_justify="left",
    )
    names = list(verdict.rows[0].swept)
    if is_folded and names:
        table.add_column("settings", min_width=MIN_SETTINGS)
    else:
        for name in names:
            table.add_column(name.replace("_", "_\n"), no_wrap=True)  # narrow, so that many fit
    for column in columns:
        table.add_column(column.header, no_wrap=True)
    for row in verdict.rows:
        settings = [show(value) for value in row.swept.values()]
        if is_folded and names:
            settings = [list_values(row.swept)]
        table.add_row(*settings, *(column.show(row) for column in columns))
    return table


MIN_SETTINGS: Final = 18


def _measure(table: Table) -> int:
    """Return how wide a table has to be for nothing in it to be cut."""
    console = Console(width=10_000, file=io.StringIO())
    return console.measure(table).maximum


def _count_surplus(table: Table) -> int:
    """Return how much narrower than its longest text a column of all settings may be."""
    longest = max(len(str(cell)) for cell in table.columns[0].cells)
    return max(0, longest - MIN_SETTINGS)


def _name_missing(table: Table, columns: Sequence[_Column]) -> None:
    if columns:
        names = ", ".join(column.header.replace("\n", " ") for column in columns)
        table.caption = f"Left out for want of room: {names}. A wider terminal, or --csv, has them."


def _title(name: str) -> str:
    return name if name == "accuracy" else name.capitalize()


def _show_status(row: Row) -> str:
    """Write the verdict on a row, and the first epoch at the target."""
    if not row.estimates:
        return row.state
    first = row.first_epoch_at_target
    text = str(row.status) if first is None else f"{row.status}, epoch {first}"
    if row.trouble is not None:
        text = f"[yellow]{text}, {row.trouble.kind}[/yellow]"
    elif row.status == "reached":
        text = f"[green]{text}[/green]"
    return text if row.state == "finished" else f"{text}, {row.state}"


def _show_probability(row: Row) -> str:
    return "-" if row.probability is None else show_chance(row.probability)


def _show_count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _show_metric(row: Row, name: str, verdict: Verdict) -> str:
    estimate = row.estimates.get(name)
    if estimate is None:
        return "-"
    metric, found = METRICS[name], estimate.interval
    text = show_value(estimate.value, metric)
    if metric is not verdict.goal.metric or found is None:
        return text
    return f"{text} ({'-'.join(show_ends(found, metric))})"


def flatten(verdict: Verdict) -> list[dict[str, Any]]:
    """Return one flat mapping a configuration, swept values first."""
    return [_flatten_row(row, verdict) for row in verdict.rows]


def _flatten_row(row: Row, verdict: Verdict) -> dict[str, Any]:
    flat: dict[str, Any] = dict(row.swept)
    for name in METRICS:
        estimate = row.estimates.get(name)
        flat[f"val_{name}"] = estimate.value if estimate else None
        flat |= _ends(f"val_{name}", estimate.interval if estimate else None)
        flat |= _ends(f"val_{name}_naive", estimate.naive if estimate else None)
    repeated = row.replicates
    return flat | {
        "probability_at_target": row.probability,
        "verdict": row.status,
        "n_runs": row.n_runs,
        "spread_over_seeds": repeated.spread if repeated else None,
        "train_loss": row.train_loss,
        "val_loss": row.val_loss,
        "best_epoch": row.best_epoch,
        "first_epoch_at_target": row.first_epoch_at_target,
        "seconds_to_target": row.seconds_to_target,
        "state": row.state,
        "error": row.run.error,
        "trouble": row.trouble.text if row.trouble else None,
        "run": row.run.id,
        "run_name": row.run.name,
        "synthetic": verdict.synthetic,
    }


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }


def write_csv(verdict: Verdict) -> str:
    """Write one line a configuration under a header."""
    rows = flatten(verdict)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def summarize(verdict: Verdict) -> dict[str, Any]:
    """Return the whole verdict as plain values: sweep, target, sentences and every row."""
    goal = verdict.goal
    kinds = {row.interval.method for row in verdict.rows if row.interval}
    return {
        "sweep": verdict.sweep.path,
        "name": verdict.sweep.name,
        "state": verdict.sweep.state,
        "url": verdict.sweep.url,
        "metric": goal.metric.name,
        "target": goal.target,
        "level": goal.level,
        "split": verdict.split,
        "audit": verdict.audit,
        "n_validation": verdict.n_validation,
        "n_wells": verdict.n_wells,
        "n_plates_held_out": dict(verdict.n_plates) if verdict.n_plates else None,
        "synthetic": verdict.synthetic,
        "intervals": sorted(kinds),
        "n_configurations": len(verdict.rows),
        "n_reached": verdict.n_reached,
        "n_likely": verdict.n_likely,
        "verdict": describe(verdict),
        "configurations": flatten(verdict),
    }


def write_json(verdict: Verdict, more: Mapping[str, Any] | None = None) -> str:
    """Write the whole verdict, and more plain values beside it."""
    document = {**summarize(verdict), **(more or {})}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_latex(verdict: Verdict) -> str:
    r"""Write the table for a paper; it needs `\usepackage{booktabs}`."""
    names, columns = list(verdict.rows[0].swept), _list_columns(verdict)
    head = [*names, *(column.header.replace("\n", " ") for column in columns)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(' '.join(describe(verdict)))}}}",
        rf"\begin{{tabular}}{{{'l' * len(head)}}}",
        r"\toprule",
        " & ".join(map(_escape, head)) + r" \\",
        r"\midrule",
    ]
    for row in verdict.rows:
        cells = [*map(show, row.swept.values()), *(column.show(row) for column in columns)]
        plain = [_MARKUP.sub("", cell) for cell in cells]
        lines.append(" & ".join(map(_escape, plain)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


_MARKUP: Final = re.compile(r"\[/?(?:green|yellow)\]")  # of the terminal, ours alone
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ">": r"\textgreater{}",
    "<": r"\textless{}",
} | {sign: "\\" + sign for sign in "&%$#_{}"}


def _escape(text: str) -> str:
    """Write text so that TeX prints it as it is."""
    escaped = "".join(_SPECIAL.get(sign, sign) for sign in text)
    greater, less = r"\textgreater{}=", r"\textless{}="
    return escaped.replace(greater, r"$\geq$").replace(less, r"$\leq$")
