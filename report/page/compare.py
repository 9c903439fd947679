"""The page's section on LeNet-5 against the MLP: the tables of the published slides."""

from bpsweep.report.page.sections import Cell, Missing, Section, Table
from bpsweep.report.statistics.compare import Comparison, ComparisonTable
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.text.compare_table import explain_table, list_cells, list_head, name_table


def build_comparison(verdict: Verdict, comparison: Comparison | None) -> Section:
    """Build the tables of LeNet-5 against the MLP, or the command that makes them."""
    title = "LeNet-5 against the MLP"
    if comparison is None:
        command = f"bpsweep compare {verdict.sweep.path} OTHER_SWEEP"
        gone = Missing("No other sweep was given to compare with.", command)
        return Section("compare", title, missing=[gone])
    tables = [_build_table(table, i) for i, table in enumerate(comparison.tables)]
    lines = [
        f"{name_table(table)}: {sentence}"
        for table in comparison.tables
        for sentence in explain_table(table)
    ]
    missing = [Missing(what) for what in comparison.missing]
    return Section("compare", title, lines=lines, tables=tables, missing=missing)


def _build_table(table: ComparisonTable, index: int) -> Table:
    """Build one table: a row a model, LeNet-5's lead below."""
    rows = tuple(tuple(Cell(text) for text in row) for row in list_cells(table))
    where = f"; {table.n_cells:,} cells of {table.n_wells} wells" if table.n_cells else ""
    caption = f"{name_table(table)}{where}."
    return Table(f"compare-{index}", caption, tuple(list_head(table)), rows)
