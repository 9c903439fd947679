"""LeNet-5 against the MLP as tables for the terminal and Markdown, sentences and plain values."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from bpsweep.report.statistics.compare import LENET, MLP, Comparison, ComparisonTable, Entry, Lead
from bpsweep.report.statistics.intervals import Interval, list_ends
from bpsweep.report.statistics.scores import ACCURACY, METRICS, Metric
from bpsweep.report.text.evidence import name_difference
from bpsweep.report.text.numbers import list_values, name_share, show_value
from bpsweep.report.text.verdict import SYNTHETIC_NOTE

_SHOWN = ("batch_size", "epochs", "learning_rate")


def name_table(table: ComparisonTable) -> str:
    """Title a table: "single-label, split image, published configurations, synthetic images"."""
    chosen = "published configurations" if table.choice == "published" else "each model's best"
    parts = [table.task, table.subset, f"split {table.split}", chosen]
    return ", ".join([*parts, "synthetic images"] if table.synthetic else parts)


def list_head(table: ComparisonTable) -> list[str]:
    """Name the columns: on the slides Jaccard and Hamming are of the multi-label task alone."""
    return ["model", "train loss", "val loss", *(_head(one) for one in _list_metrics(table))]


def _head(metric: Metric) -> str:
    return metric.words if metric is ACCURACY else metric.name.capitalize()


def _list_metrics(table: ComparisonTable) -> list[Metric]:
    return list(METRICS.values()) if table.task == "multi-label" else [ACCURACY]


def list_cells(table: ComparisonTable) -> list[list[str]]:
    """List the cells: a row a model, and LeNet-5's lead with its interval below."""
    rows = [_list_entry(entry, table) for entry in table.entries]
    if table.leads:
        found = [(table.leads.get(one.name), one) for one in _list_metrics(table)]
        leads = ["-" if lead is None else _show_lead(lead, metric) for lead, metric in found]
        rows.append([f"{LENET} better by", "", "", *leads])
    return rows


def _list_entry(entry: Entry, table: ComparisonTable) -> list[str]:
    losses = ["-" if one is None else f"{one:.3f}" for one in (entry.train_loss, entry.val_loss)]
    values = []
    for metric in _list_metrics(table):
        found = entry.estimates.get(metric.name)
        shown = "-" if found is None else show_value(found.value, metric)
        if found is not None and found.interval is not None:
            shown += f" ({_show_ends(found.interval, metric)})"
        values.append(shown)
    return [entry.model, *losses, *values]


def _show_lead(lead: Lead, metric: Metric) -> str:
    unit, digits = (100, 1) if metric is ACCURACY else (1, 3)
    return f"{unit * lead.difference:+.{digits}f} ({_show_ends(lead.interval, metric)})"


def _show_ends(interval: Interval, metric: Metric) -> str:
    unit, digits = (100, 1) if metric is ACCURACY else (1, 3)
    return f"{unit * interval.low:.{digits}f} to {unit * interval.high:.{digits}f}"


def draw_comparison(comparison: Comparison) -> list[Table]:
    """Draw the tables for the terminal."""
    drawn = []
    for one in comparison.tables:
        table = Table(title=name_table(one), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in list_head(one):
            table.add_column(name)
        for row in list_cells(one):
            table.add_row(*row)
        drawn.append(table)
    return drawn


def write_markdown(comparison: Comparison) -> str:
    """Write the tables as a README shows them."""
    blocks = []
    for one in comparison.tables:
        head = list_head(one)
        lines = [f"**{name_table(one)}**", "", _join(head), _join(["---"] * len(head))]
        lines += [_join(row) for row in list_cells(one)]
        blocks.append("\n".join([*lines, "", *explain_table(one)]))
    return "\n\n".join(blocks) + "\n"


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def explain_comparison(comparison: Comparison) -> list[str]:
    """Say which model is better where, and what could not be compared."""
    lines = [
        f"{name_table(one)}: {sentence}"
        for one in comparison.tables
        for sentence in explain_table(one)
    ]
    lines += comparison.missing
    synthetic = any(one.synthetic for one in comparison.tables)
    return [*lines, SYNTHETIC_NOTE] if synthetic else lines


def explain_table(table: ComparisonTable) -> list[str]:
    """Say which model is better in one table, and which configurations those are."""
    lines = []
    for metric in _list_metrics(table):
        lead = table.leads.get(metric.name)
        if lead is None:
            continue
        spread = f"{name_share(lead.interval.level)} interval {_show_ends(lead.interval, metric)}"
        over = f"paired over {table.n_wells} well{'s' * (table.n_wells != 1)}"
        if lead.verdict == "open":
            said = f"which of the two has the better {metric.words} is open"
        else:
            first, second = (LENET, MLP) if lead.verdict == "better" else (MLP, LENET)
            by = name_difference(lead.difference, metric)
            said = f"{first} beats the {second} on {metric.words} by {by}"
        lines.append(f"{said} ({spread}, {over}).")
    if table.choice == "best":
        chosen = "; ".join(
            f"{entry.model} {list_values({name: entry.run.config.get(name) for name in _SHOWN})}, "
            f"the best of {entry.n_tried}"
            for entry in table.entries
        )
        lines.append(f"The bests are {chosen}; picked on these cells, both are somewhat too good.")
    return lines


def list_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return the tables as plain values for JSON."""
    return {
        "tables": [_list_table(one) for one in comparison.tables],
        "findings": explain_comparison(comparison),
    }


def _list_table(table: ComparisonTable) -> dict[str, Any]:
    return {
        "task": table.task,
        "subset": table.subset,
        "split": table.split,
        "split_checksum": table.split_checksum,
        "choice": table.choice,
        "n_cells": table.n_cells,
        "n_wells": table.n_wells,
        "synthetic": table.synthetic,
        "models": [
            {
                "model": entry.model,
                "run": entry.run.id,
                "n_tried": entry.n_tried,
                **{name: entry.run.config.get(name) for name in _SHOWN},
                "train_loss": entry.train_loss,
                "val_loss": entry.val_loss,
                **{
                    name: {"value": found.value, **list_ends(found.interval)}
                    for name, found in entry.estimates.items()
                },
            }
            for entry in table.entries
        ],
        "lenet5_better_by": {
            name: {"difference": lead.difference, **list_ends(lead.interval)}
            for name, lead in table.leads.items()
        },
    }
