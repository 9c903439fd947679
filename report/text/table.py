"""A verdict as a table for the terminal, CSV, JSON and LaTeX; each says the same."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, METRICS
from bpsweep.report.statistics.verdict import Row, Verdict
from bpsweep.report.text.numbers import name_share, show
from bpsweep.report.text.verdict import describe, name_goal

__all__ = ["describe", "draw_table", "flatten", "write_csv", "write_json", "write_latex"]


def draw_table(verdict: Verdict) -> Table:
    """Draw the verdict for the terminal, swept values first."""
    title = f"{verdict.sweep.name or verdict.sweep.path}: target {name_goal(verdict.goal)}"
    table = Table(
        title=title + (", synthetic images" if verdict.synthetic else ""),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    for name in verdict.rows[0].swept:
        header = name.replace("_", "_\n")  # so that many narrow columns fit a terminal
        texts = [*header.split("\n"), *(show(row.swept[name]) for row in verdict.rows)]
        widest = min(24, max(map(len, texts)))
        table.add_column(header, overflow="fold", min_width=widest)
    *measured, status = _head(verdict)
    for name in measured:
        table.add_column(name, no_wrap=True)
    table.add_column(status, min_width=len("not reached"))
    for row in verdict.rows:
        table.add_row(*(show(value) for value in row.swept.values()), *_cells(row, verdict))
    return table


def _head(verdict: Verdict) -> tuple[str, ...]:
    goal = verdict.goal
    sign = ">=" if goal.metric.higher_is_better else "<="
    target = name_share(goal.target) if goal.metric is ACCURACY else f"{goal.target:g}"
    names = [_title(name) for name in METRICS]
    names[list(METRICS).index(goal.metric.name)] += f" ({name_share(goal.level)})"
    return (*names, f"P({sign}\n{target})", "best\nepoch", "from\nepoch", "verdict")


def _title(name: str) -> str:
    return name if name == "accuracy" else name.capitalize()


def _cells(row: Row, verdict: Verdict) -> tuple[str, ...]:
    if not row.estimates:
        return (*("-" for _ in METRICS), "-", "-", "-", row.state)
    values = [_show_metric(row, name, verdict) for name in METRICS]
    chance = "-" if row.probability is None else _show_chance(row.probability)
    first = row.first_epoch_at_target
    status = f"[green]{row.status}[/green]" if row.status == "reached" else str(row.status)
    if row.state != "finished":
        status += f", {row.state}"
    return (*values, chance, str(row.best_epoch), "-" if first is None else str(first), status)


def _show_chance(probability: float) -> str:
    """Write a probability without claiming certainty."""
    if not 0.01 <= probability <= 0.99:
        return "<1%" if probability < 0.5 else ">99%"
    return f"{probability:.0%}"


def _show_metric(row: Row, name: str, verdict: Verdict) -> str:
    estimate = row.estimates.get(name)
    if estimate is None:
        return "-"
    as_share = name == "accuracy"
    text = f"{estimate.value:.1%}" if as_share else f"{estimate.value:.3f}"
    found = estimate.interval
    if name == verdict.goal.metric.name and found is not None:
        ends = (found.low, found.high)
        text += (
            " ({:.1f}-{:.1f})".format(*(100 * end for end in ends))
            if as_share
            else (" ({:.3f}-{:.3f})".format(*ends))
        )
    return text


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
    names = list(verdict.rows[0].swept)
    head = [*names, *(name.replace("\n", " ") for name in _head(verdict))]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(' '.join(describe(verdict)))}}}",
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(METRICS)}rrrl}}",
        r"\toprule",
        " & ".join(map(_escape, head)) + r" \\",
        r"\midrule",
    ]
    for row in verdict.rows:
        cells = [*(show(value) for value in row.swept.values()), *_cells(row, verdict)]
        plain = [cell.replace("[green]", "").replace("[/green]", "") for cell in cells]
        lines.append(" & ".join(map(_escape, plain)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


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
