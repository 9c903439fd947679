"""The grid of trajectories.py by Optuna in one process, or by Ray Tune with a trial on every core.

    python benchmarks/grid_plain.py optuna|ray ARRAYS

ARRAYS is a folder as `plain_training.save_arrays` leaves it. Prints the number of trials.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from plain_training import train_plainly

from bpsweep.data.folders import count_cpus

GRID = {
    "batch_size": [32, 64, 128],
    "learning_rate": [1e-4, 3e-4, 1e-3],
    "n_epochs": [5, 10, 15],
}
N_TRIALS = 27


def work_by_optuna(arrays: Path) -> int:
    """Work the grid off; return the number of trials."""
    import optuna  # noqa: PLC0415  # one of the two is needed

    torch.set_num_threads(count_cpus())

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
        return train_plainly(
            arrays,
            weight_decay=0.0,
            report=lambda epoch, accuracy: trial.report(accuracy, epoch),
            **chosen,
        )

    sampler = optuna.samplers.GridSampler(GRID, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=N_TRIALS)
    return len(study.trials)


def run_ray_trial(config: dict[str, Any]) -> None:
    """Train one configuration on one core."""
    from ray import tune  # noqa: PLC0415

    torch.set_num_threads(1)
    arrays = Path(config.pop("arrays"))
    train_plainly(
        arrays,
        weight_decay=0.0,
        report=lambda epoch, accuracy: tune.report({"accuracy": accuracy, "epoch": epoch}),
        **config,
    )


def work_by_ray(arrays: Path) -> int:
    """Work the grid off; return the number of trials."""
    import ray  # noqa: PLC0415
    from ray import tune  # noqa: PLC0415
    from sweep_ray import start_ray  # noqa: PLC0415

    start_ray()
    grid: dict[str, Any] = {name: tune.grid_search(values) for name, values in GRID.items()}
    with tempfile.TemporaryDirectory() as name:
        tuner = tune.Tuner(
            tune.with_resources(run_ray_trial, {"cpu": 1}),
            param_space={"arrays": str(arrays.resolve()), **grid},
            tune_config=tune.TuneConfig(metric="accuracy", mode="max"),
            run_config=tune.RunConfig(storage_path=name, verbose=0),
        )
        results = tuner.fit()
    if results.num_errors:
        raise SystemExit(f"{results.num_errors} trials failed: {results.errors[0]}")
    ray.shutdown()
    return len(results)


def main() -> None:
    """Work the grid off by the one that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", choices=("optuna", "ray"))
    parser.add_argument("arrays", type=Path)
    arguments = parser.parse_args()
    work = work_by_optuna if arguments.engine == "optuna" else work_by_ray
    print(f"{work(arguments.arrays)} trials")


if __name__ == "__main__":
    main()
