"""Foci counted in a run's cells, for the report's accuracy by number of foci."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent.training.inputs import load_catalog
from bpsweep.agent.verdict.controls import check_data, read_settings
from bpsweep.data.foci import find_foci
from bpsweep.data.folders import count_cpus
from bpsweep.data.images import read_image
from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.breakdown import NOT_COUNTED

N_COUNTED: Final = 1500
"""Most cells to count in: each costs some milliseconds."""


def count_foci(run: RunRecord, data_dir: Path, n_counted: int = N_COUNTED) -> NDArray[np.int64]:
    """Count the foci of the cells that a run kept predictions of, or of some, evenly chosen.

    Args:
        run: A run that kept its predictions.
        data_dir: The image folder, which must be the one that the run was trained on.
        n_counted: Most cells to count in.

    Returns:
        (N,) in the order of the predictions; `NOT_COUNTED` where no count was made.

    Raises:
        ConfigError: The folder is another.
        DataError: An image cannot be read.
    """
    assert run.predictions is not None  # the caller has looked
    first = run.members[0]  # all folds are of one subset
    settings = read_settings(first)
    check_data(first, settings, data_dir)
    catalog = load_catalog(data_dir, settings.subset)
    known = set(catalog.table["filename"])  # a name that came over the network opens no other file
    names = [str(name) for name in run.predictions.cells]
    counts = np.full(len(names), NOT_COUNTED, dtype=np.int64)
    chosen = np.linspace(0, len(names) - 1, min(n_counted, len(names))).astype(np.int64)
    rows = [int(row) for row in chosen if names[row] in known]
    with ThreadPoolExecutor(count_cpus()) as pool:
        found = pool.map(lambda row: len(find_foci(read_image(catalog.folder / names[row]))), rows)
        counts[rows] = list(found)
    return counts
