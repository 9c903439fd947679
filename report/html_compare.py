"""The page's section on LeNet-5 against the MLP: the tables of the published slides."""

from report.compare import Comparison, ComparisonTable, Entry
from report.html_sections import Cell, Missing, Section, Table, number
from report.scores import ACCURACY, METRICS, Metric
from report.verdict import Verdict
from report.words import name_ends, show_value


def build_comparison(verdict: Verdict, comparison: Comparison | None) -> Section:
    """Build the tables of LeNet-5 against the MLP, or the command that makes them."""
    title = "LeNet-5 against the MLP"
    if comparison is None or not comparison.tables:
        gone = [Missing(what) for what in comparison.missing] if comparison else []
        gone.append(
            Missing(
                "No other sweep was given to compare with.",
                f"bpsweep compare {verdict.sweep.path} OTHER_SWEEP",
            )
        )
        return Section("compare", title, missing=gone)
    tables = [_build_table(table, i) for i, table in enumerate(comparison.tables)]
    lines = [_describe_leads(table) for table in comparison.tables if table.leads]
    missing = [Missing(what) for what in comparison.missing]
    return Section("compare", title, lines=lines, tables=tables, missing=missing)


def _build_table(table: ComparisonTable, index: int) -> Table:
    """Build one table: a row a model, and the difference under them."""
    rows = [_build_row(entry) for entry in table.entries]
    if table.leads:
        rows.append(_build_difference(table))
    synthetic = ", synthetic images" if table.synthetic else ""
    where = f" on {table.n_cells:,} cells of {table.n_wells} wells" if table.n_cells else ""
    caption = (
        f"{table.task.capitalize()}, {table.subset}, split by {table.split}, "
        f"{table.choice} configurations{where}{synthetic}."
    )
    head = ("model", "training loss", "validation loss", *(one.words for one in METRICS.values()))
    return Table(f"compare-{index}", caption, head, tuple(rows))


def _build_row(entry: Entry) -> tuple[Cell, ...]:
    note = f"best of {entry.n_tried}" if entry.n_tried > 1 else ""
    cells = [
        Cell(entry.model, entry.model, note=note),
        number(entry.train_loss, f"{entry.train_loss or 0:.4f}"),
        number(entry.val_loss, f"{entry.val_loss or 0:.4f}"),
    ]
    for name, metric in METRICS.items():
        found = entry.estimates.get(name)
        if found is None:
            cells.append(Cell("–"))
            continue
        ends = "" if found.interval is None else name_ends(found.interval, metric)
        cells.append(Cell(show_value(found.value, metric), found.value, note=ends))
    return tuple(cells)


def _build_difference(table: ComparisonTable) -> tuple[Cell, ...]:
    cells = [Cell("LeNet-5 is better by"), Cell(""), Cell("")]
    for name, metric in METRICS.items():
        lead = table.leads[name]
        low, high = (_show(end, metric) for end in (lead.interval.low, lead.interval.high))
        tone = "" if lead.verdict == "open" else "good" if lead.verdict == "better" else "close"
        cells.append(
            Cell(_show(lead.difference, metric), lead.difference, tone, note=f"{low} to {high}")
        )
    return tuple(cells)


def _show(difference: float, metric: Metric) -> str:
    return f"{100 * difference:+.1f} points" if metric is ACCURACY else f"{difference:+.3f}"


_KNOWN = {
    "better": "LeNet-5 is better than the MLP",
    "worse": "LeNet-5 is worse than the MLP",
    "open": "which is better is open: the interval of the difference holds zero",
}


def _describe_leads(table: ComparisonTable) -> str:
    lead = table.leads[ACCURACY.name]
    low, high = (_show(end, ACCURACY) for end in (lead.interval.low, lead.interval.high))
    return (
        f"{table.task.capitalize()}, {table.choice} configurations, by accuracy: "
        f"{_KNOWN[lead.verdict]} ({_show(lead.difference, ACCURACY)}; {low} to {high})."
    )
