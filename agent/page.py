"""The report as one HTML page, with pictures and foci of the winner's cells where there are any."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from agent.cells import draw_cells
from agent.errors import AgentError
from agent.foci import count_foci
from agent.tracking.sweeps import read_sweep
from agent.tracking.weights import fetch_weights
from data.errors import DataError
from report.compare import compare_models
from report.findings import Findings
from report.html import Extras, write_html
from report.html_cells import CellPicture


def write_page(findings: Findings, others: list[str], data_dir: Path, console: Console) -> str:
    comparison = None
    if others:
        comparison = compare_models([findings.verdict.sweep, *map(read_sweep, others)])
    cells = _draw_cells(findings, data_dir, console)
    foci = _count_foci(findings, data_dir, console)
    return write_html(findings, Extras(cells, foci, comparison, datetime.now().astimezone()))


def _count_foci(findings: Findings, data_dir: Path, console: Console) -> NDArray[np.int64] | None:
    """Count the foci of the winner's cells; a report without them is better than none."""
    winner = findings.verdict.best.run
    if winner.predictions is None:
        return None
    try:
        return count_foci(winner, data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No foci counted: {error}", highlight=False)
        return None


def _draw_cells(findings: Findings, data_dir: Path, console: Console) -> list[CellPicture]:
    """Draw cells of the winner; a report without them is better than none."""
    verdict = findings.verdict
    try:
        weights = fetch_weights(verdict.sweep.path, verdict.best.run.id)
        return draw_cells(verdict.best.run, weights, data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No pictures of cells: {error}", highlight=False)
        return []
