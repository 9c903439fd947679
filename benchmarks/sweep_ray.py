"""The twelve configurations by Ray Tune, a trial on every core.

    python benchmarks/sweep_ray.py ARRAYS N_EPOCHS

ARRAYS is a folder as `plain_training.save_arrays` leaves it. Prints the best accuracy.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
from plain_training import LEARNING_RATES, WEIGHT_DECAYS, read_arguments, train_plainly
from ray import tune

from bpsweep.data.folders import count_cpus


def run_trial(config: dict[str, Any]) -> None:
    """Train one configuration on one core."""
    torch.set_num_threads(1)
    train_plainly(
        Path(config["arrays"]),
        config["learning_rate"],
        config["weight_decay"],
        config["n_epochs"],
        lambda epoch, accuracy: tune.report({"accuracy": accuracy, "epoch": epoch}),
    )


def start_ray() -> None:
    """Start a Ray of this machine's own, whose processes find what this one imports."""
    variables = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    ray.init(
        address="local",
        num_cpus=count_cpus(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        runtime_env={"env_vars": variables},
    )


def main() -> None:
    """Work off the grid."""
    arguments = read_arguments(__doc__)
    start_ray()
    grid = {
        "arrays": str(arguments.arrays.resolve()),
        "n_epochs": arguments.n_epochs,
        "learning_rate": tune.grid_search(list(LEARNING_RATES)),
        "weight_decay": tune.grid_search(list(WEIGHT_DECAYS)),
    }
    with tempfile.TemporaryDirectory() as name:
        tuner = tune.Tuner(
            tune.with_resources(run_trial, {"cpu": 1}),
            param_space=grid,
            tune_config=tune.TuneConfig(metric="accuracy", mode="max"),
            run_config=tune.RunConfig(storage_path=name, verbose=0),
        )
        results = tuner.fit()
    if results.num_errors:
        raise SystemExit(f"{results.num_errors} trials failed: {results.errors[0]}")
    print(f"{len(results)} trials, best {results.get_best_result().metrics['accuracy']:.3f}")
    ray.shutdown()


if __name__ == "__main__":
    main()
