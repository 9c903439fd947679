"""The weights that a run kept, fetched back from W&B."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bpsweep.agent.errors import TrackingError
from bpsweep.agent.tracking.api import open_api
from bpsweep.agent.tracking.trouble import TROUBLE

FILE_NAME = "weights.safetensors"


def fetch_weights(sweep_path: str, run_id: str) -> dict[str, NDArray[np.float32]]:
    """Fetch the best weights of a run, float32 arrays by name.

    Args:
        sweep_path: "entity/project/sweep".
        run_id: Its id.

    Raises:
        TrackingError: It kept none, or they cannot be fetched.
    """
    project = sweep_path.rpartition("/")[0]
    name = f"{project}/model-{run_id}:latest"
    try:
        with tempfile.TemporaryDirectory(prefix="bpsweep-weights-") as folder:
            artifact = open_api(60).artifact(name, type="model")
            artifact.get_entry(FILE_NAME).download(root=folder, skip_cache=True)
            return load_file(Path(folder) / FILE_NAME)
    except (*TROUBLE, ValueError, KeyError, SafetensorError) as error:
        raise TrackingError(
            f"the weights of run {run_id} ({name}, {FILE_NAME}) cannot be fetched: {error}"
        ) from error
