"""One run from beginning to end: settings, data, training, and what is kept of it."""

import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from agent.config import RunConfig, parse_config
from agent.engine import is_exclusive
from agent.inputs import Inputs, default_inputs
from agent.pictures import Decided, draw_confusion, draw_samples
from agent.tracking.run import STOCK_RUN, RunSpec, TrackedRun
from agent.train import EpochResult, TrainResult, train
from models import describe_step
from report import metrics
from report.confusion import count_confusion
from report.predictions import Predictions

PACKAGES = ("bpsweep", "numpy", "scikit-learn", "torch", "wandb")


def run_trial(spec: RunSpec = STOCK_RUN) -> None:
    """Train one configuration and keep its results at W&B.

    Args:
        spec: Which run; by default the one that a stock agent hands out.

    Raises:
        ConfigError, DataError, DivergedError, TrackingError: The run is marked failed.
        KeyboardInterrupt: It was told to stop; what it had by then is kept.
    """
    with TrackedRun(spec) as run:
        config = parse_config(run.values)
        inputs = default_inputs(config)
        provenance = describe_provenance(inputs)
        run.save_config(config.model_dump(), provenance)
        print(describe_start(config, inputs), flush=True)
        result = train(config, inputs, lambda epoch: report_epoch(run, config, epoch))
        run.save_summary(summarize_best(result.best))
        keep_results(run, config, inputs, result)
        if result.interrupted:
            raise KeyboardInterrupt


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
    return (
        f"{config.model}, {config.task}, {config.subset}, split by {config.split}: "
        f"{len(inputs.split.train):,} training and {len(inputs.split.val):,} validation {kind}, "
        f"{config.image_size} px, batch {config.batch_size}, {config.epochs} epochs, "
        f"learning rate {config.learning_rate:g}, seed {config.seed}\n"
        f"step: {describe_step()}, {torch.get_num_threads()} threads\n"
        f"audit: {inputs.audit_line}"
    )


def report_epoch(run: TrackedRun, config: RunConfig, epoch: EpochResult) -> None:
    """Log an epoch and print it as one line."""
    run.log_epoch(epoch.values)
    values = epoch.values
    print(
        f"epoch {epoch.epoch}/{config.epochs}: train loss {values[metrics.TRAIN_LOSS]:.4f}, "
        f"val loss {values[metrics.VAL_LOSS]:.4f}, accuracy {values[metrics.VAL_ACCURACY]:.1%}, "
        f"Jaccard {values[metrics.VAL_JACCARD]:.3f}, Hamming {values[metrics.VAL_HAMMING]:.3f}, "
        f"{values[metrics.IMAGES_PER_S]:,.0f} images/s",
        flush=True,
    )


def summarize_best(best: EpochResult) -> dict[str, float]:
    """Return the best epoch's metrics as `best/<name>`; by validation accuracy, earliest first."""
    kept = (metrics.EPOCH, *metrics.MAXIMIZED, *metrics.MINIMIZED)
    return {f"best/{name}": best.values[name] for name in kept}


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


def keep_results(run: TrackedRun, config: RunConfig, inputs: Inputs, result: TrainResult) -> None:
    """Log pictures and save the best weights, with the numbers that go with them."""
    best = result.best
    decided = metrics.decide(best.probabilities, is_exclusive(config))
    confusion = count_confusion(inputs.validation_labels, decided, inputs.label_names)
    synthetic = "synthetic, " if inputs.catalog.synthetic else ""
    title = f"validation, {synthetic}epoch {best.epoch}"
    predictions = Decided(best.probabilities, decided)
    pictures = {
        "confusion/picture": [draw_confusion(confusion, title)],
        **draw_samples(inputs, predictions),
    }
    run.log_results(confusion, pictures)
    run.save_predictions(locate_predictions(inputs, inputs.split.val, best.probabilities))
    about = {
        "config": config.model_dump(),
        "provenance": describe_provenance(inputs),
        "best": summarize_best(best),
        "confusion": {
            "rows": list(confusion.rows),
            "columns": list(confusion.columns),
            "counts": confusion.counts.tolist(),
        },
    }
    with tempfile.TemporaryDirectory(prefix="bpsweep-model-") as name:
        folder = Path(name)
        save_file(result.best_weights, folder / "weights.safetensors")
        (folder / "run.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        run.save_artifact(folder, {"synthetic": inputs.catalog.synthetic, **about["best"]})
