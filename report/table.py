"""A verdict as sentences, a table, CSV and JSON; each says the same."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from report.verdict import Row, Verdict

SYNTHETIC_NOTE = "Synthetic images: these figures say nothing about real cells."


def describe(verdict: Verdict) -> list[str]:
    """Return the verdict in sentences: the count, the best, and what to keep in mind."""
    n, reached = len(verdict.rows), verdict.n_reached
    share = f"{verdict.target:.0%}".replace("%", " %")
    lines = [
        f"{reached} of {n} configuration{'s' * (n != 1)} reach{'es' * (reached == 1)} "
        f"{share} validation accuracy{_where(verdict)}; {_name_best(verdict)}"
    ]
    if unfinished := [row for row in verdict.rows if row.state != "finished"]:
        counts = Counter(row.state for row in unfinished)
        listed = ", ".join(f"{count} {state}" for state, count in counts.items())
        lines.append(f"Not finished: {listed}; their rows show the epochs they logged.")
        errors = Counter(row.error for row in unfinished if row.error)
        lines += [f"{count} failed with: {error}" for error, count in errors.most_common(3)]
    if verdict.audit:
        lines.append(f"Audit: {verdict.audit}.")
    if verdict.synthetic:
        lines.append(SYNTHETIC_NOTE)
    return lines


def _where(verdict: Verdict) -> str:
    if verdict.n_validation is None:
        return ""
    kind = "synthetic cells" if verdict.synthetic else "cells"
    return f" on {verdict.n_validation:,} validation {kind}"


def _name_best(verdict: Verdict) -> str:
    best = verdict.rows[0]
    if best.accuracy is None:
        return "no run has logged an epoch yet."
    values = ", ".join(f"{name} {show(value)}" for name, value in best.swept.items())
    spread = f", 95 % interval {best.low:.1%} to {best.high:.1%}" if best.low is not None else ""
    return (
        f"the best is {values or best.run_name} with {best.accuracy:.1%} "
        f"(epoch {best.best_epoch}{spread})."
    )


def show(value: Any) -> str:
    """Write a setting as its author would: 0.0003, not 0.00030000000000000003."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_table(verdict: Verdict) -> Table:
    """Draw the verdict for the terminal, swept values first."""
    share = f"{verdict.target:.0%}".replace("%", " %")
    title = f"{verdict.sweep.name or verdict.sweep.path}: target {share} validation accuracy"
    table = Table(
        title=title + (", synthetic images" if verdict.synthetic else ""),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    for name in verdict.rows[0].swept:
        widest = max(len(show(row.swept[name])) for row in verdict.rows)
        header = name.replace("_", "_\n")  # so that many narrow columns fit a terminal
        table.add_column(header, overflow="fold", min_width=widest)
    for name in ("accuracy (95 %)", "Jaccard", "Hamming", "epoch", "reached"):
        table.add_column(name, no_wrap=True)
    for row in verdict.rows:
        table.add_row(*(show(value) for value in row.swept.values()), *_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    if row.accuracy is None:
        return ("-", "-", "-", "-", row.state)
    spread = "" if row.low is None else f" ({100 * row.low:.1f}-{100 * (row.high or 0):.1f})"
    reached = f"[green]epoch {row.first_epoch_at_target}[/green]" if row.reached else "no"
    return (
        f"{row.accuracy:.1%}{spread}",
        "-" if row.jaccard is None else f"{row.jaccard:.3f}",
        "-" if row.hamming is None else f"{row.hamming:.3f}",
        str(row.best_epoch),
        reached if row.state == "finished" else f"{reached} ({row.state})",
    )


def flatten(verdict: Verdict) -> list[dict[str, Any]]:
    """Return one flat mapping a configuration, swept values first."""
    return [
        {
            **row.swept,
            "val_accuracy": row.accuracy,
            "val_accuracy_low": row.low,
            "val_accuracy_high": row.high,
            "val_jaccard": row.jaccard,
            "val_hamming": row.hamming,
            "best_epoch": row.best_epoch,
            "first_epoch_at_target": row.first_epoch_at_target,
            "seconds_to_target": row.seconds_to_target,
            "reached": row.reached,
            "state": row.state,
            "error": row.error,
            "run": row.run_id,
            "run_name": row.run_name,
            "synthetic": verdict.synthetic,
        }
        for row in verdict.rows
    ]


def write_csv(verdict: Verdict) -> str:
    """Write one line a configuration under a header."""
    rows = flatten(verdict)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(verdict: Verdict) -> str:
    """Write the whole verdict: the sweep, the target, the sentences and every row."""
    document: Mapping[str, Any] = {
        "sweep": verdict.sweep.path,
        "name": verdict.sweep.name,
        "state": verdict.sweep.state,
        "url": verdict.sweep.url,
        "target": verdict.target,
        "split": verdict.split,
        "audit": verdict.audit,
        "n_validation": verdict.n_validation,
        "synthetic": verdict.synthetic,
        "interval": "Wilson, 95 %, cells taken as independent",
        "n_configurations": len(verdict.rows),
        "n_reached": verdict.n_reached,
        "verdict": describe(verdict),
        "configurations": flatten(verdict),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
