"""The report as one HTML page, with pictures and foci of the winner's cells where there are any."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bpsweep.agent.errors import AgentError
from bpsweep.agent.tracking.sweeps import read_sweep
from bpsweep.agent.tracking.weights import fetch_weights
from bpsweep.agent.verdict.cells import draw_cells
from bpsweep.agent.verdict.foci import count_foci
from bpsweep.data.errors import DataError
from bpsweep.report.page.cells import CellPicture
from bpsweep.report.page.page import Extras, write_html
from bpsweep.report.statistics.assessment import Assessment
from bpsweep.report.statistics.compare import compare_models


def write_page(assessment: Assessment, others: list[str], data_dir: Path, console: Console) -> str:
    comparison = None
    if others:
        comparison = compare_models([assessment.verdict.sweep, *map(read_sweep, others)])
    cells = _draw_cells(assessment, data_dir, console)
    foci = _count_foci(assessment, data_dir, console)
    return write_html(assessment, Extras(cells, foci, comparison, datetime.now().astimezone()))


def _count_foci(
    assessment: Assessment, data_dir: Path, console: Console
) -> NDArray[np.int64] | None:
    """Count the foci of the winner's cells; a report without them is better than none."""
    winner = assessment.verdict.best.run
    if winner.predictions is None:
        return None
    try:
        return count_foci(winner, data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No foci counted: {error}", highlight=False)
        return None


def _draw_cells(assessment: Assessment, data_dir: Path, console: Console) -> list[CellPicture]:
    """Draw cells of the winner; a report without them is better than none."""
    verdict = assessment.verdict
    try:
        run = verdict.best.run.members[0]  # of the first fold, where there are several
        return draw_cells(run, fetch_weights(verdict.sweep.path, run.id), data_dir)
    except (AgentError, DataError) as error:
        console.print(f"No pictures of cells: {error}", highlight=False)
        return []
