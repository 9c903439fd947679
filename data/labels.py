"""What a network is asked to say about a cell: label vectors of the two tasks."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.data.catalog import Catalog
from bpsweep.data.choices import TASKS
from bpsweep.data.errors import CatalogError

_PARTICLES: Final = ("Fe", "X-ray")
_DOSES: Final = {0.0: "0 Gy", 0.1: "0.1 Gy", 0.3: "0.3 Gy", 0.82: "0.82 Gy", 1.0: "1.0 Gy"}

LABEL_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "single-label": _PARTICLES,
    "multi-label": (*_PARTICLES, *_DOSES.values()),
}


def encode_labels(catalog: Catalog, task: str) -> NDArray[np.uint8]:
    """Label vectors of every row, in catalogue order.

    Returns:
        (N, L) uint8 of zeros and ones, columns as in `LABEL_NAMES[task]`: one one per row in
        the single-label task (the particle), two in the multi-label task (particle and dose).

    Raises:
        CatalogError: `task` is not one of `TASKS`.
    """
    if task not in LABEL_NAMES:
        raise CatalogError(f"task {task!r} is unknown; allowed are {', '.join(TASKS)}")
    columns = [catalog.table["particle"].to_numpy() == name for name in _PARTICLES]
    if task == "multi-label":
        columns += [catalog.table["dose_gy"].to_numpy() == dose for dose in _DOSES]
    return np.stack(columns, axis=1).astype(np.uint8)
