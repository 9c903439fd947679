"""What a run says of itself: what it is made from, each epoch, its best one, its end."""

import platform
import traceback
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import AgentError
from bpsweep.agent.training.device import describe_step
from bpsweep.agent.training.epochs import EpochResult, TakenOver
from bpsweep.agent.training.inputs import Inputs
from bpsweep.data.errors import DataError
from bpsweep.data.flat import describe_flat
from bpsweep.models import ModelError
from bpsweep.report import metrics
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import TAKEN_EPOCHS, TAKEN_RUNS

PACKAGES = ("bpsweep", "numpy", "scikit-learn", "torch", "wandb")


def describe_provenance(inputs: Inputs) -> dict[str, Any]:
    """Return what the run is made from: versions, checksums, counts, threads."""
    return {
        "synthetic": inputs.catalog.synthetic,
        "data_checksum": inputs.cache.checksum,
        "labels_checksum": inputs.catalog.checksum,
        "split_checksum": inputs.split.checksum,
        "n_training": len(inputs.split.train),
        "n_validation": len(inputs.split.val),
        "n_test": len(inputs.split.test),
        "audit": inputs.audit_line,
        "label_names": list(inputs.label_names),
        "n_threads": torch.get_num_threads(),
        "step": describe_step(),
        "host": platform.node(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def describe_start(config: RunConfig, inputs: Inputs) -> str:
    """Return what a run says first: what it trains, on what, and what the labels allow."""
    kind = "synthetic images" if inputs.catalog.synthetic else "images"
    flat = describe_flat(inputs.cache)
    return (
        f"{config.model}, {config.task}, {config.subset}, split by {config.split}: "
        f"{len(inputs.split.train):,} training and {len(inputs.split.val):,} validation {kind}, "
        f"{config.image_size} px, batch {config.batch_size}, {config.epochs} epochs, "
        f"learning rate {config.learning_rate:g}, seed {config.seed}\n"
        f"step: {describe_step()}\n"
        f"audit: {inputs.audit_line}" + (f"\nflat images: {flat}" if flat else "")
    )


def describe_epoch(config: RunConfig, values: Mapping[str, float]) -> str:
    """Return what a run says of an epoch."""
    return (
        f"epoch {values[metrics.EPOCH]:.0f}/{config.epochs}: "
        f"train loss {values[metrics.TRAIN_LOSS]:.4f}, "
        f"val loss {values[metrics.VAL_LOSS]:.4f}, accuracy {values[metrics.VAL_ACCURACY]:.1%}, "
        f"Jaccard {values[metrics.VAL_JACCARD]:.3f}, Hamming {values[metrics.VAL_HAMMING]:.3f}, "
        f"{values[metrics.IMAGES_PER_S]:,.0f} images/s"
    )


def describe_error(error: BaseException) -> str:
    """Return what a run says of its end: a sentence, or a traceback where nobody expected it."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; the epochs logged so far are kept."
    if isinstance(error, (AgentError, DataError, ModelError)):
        return str(error)
    return "".join(traceback.format_exception(error))


def summarize_best(best: EpochResult) -> dict[str, float]:
    """Return the best epoch's metrics as `best/<name>`; by validation accuracy, earliest first."""
    kept = (metrics.EPOCH, *metrics.MAXIMIZED, *metrics.MINIMIZED)
    return {f"best/{name}": best.values[name] for name in kept}


def describe_taken_over(taken: TakenOver) -> dict[str, int | str]:
    """Return how many epochs a run took over, and from whom; nothing where it took none."""
    if not taken.n_epochs:
        return {}
    return {TAKEN_EPOCHS: taken.n_epochs, TAKEN_RUNS: ", ".join(taken.runs)}


def locate_predictions(
    inputs: Inputs, rows: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> Predictions:
    """Put the probabilities (N, L) of N rows of the catalogue beside where each cell comes from."""
    table = inputs.catalog.table.iloc[rows]
    return Predictions(
        cells=table["filename"].to_numpy(dtype=np.str_),
        plates=table["plate"].to_numpy(dtype=np.str_),
        wells=table["well"].to_numpy(dtype=np.str_),
        fields=table["field"].to_numpy(dtype=np.int64),
        particles=table["particle"].to_numpy(dtype=np.str_),
        doses_gy=table["dose_gy"].to_numpy(dtype=np.float64),
        hours=table["hour"].to_numpy(dtype=np.int64),
        label_names=inputs.label_names,
        truth=inputs.labels[rows],
        probabilities=probabilities,
    )
