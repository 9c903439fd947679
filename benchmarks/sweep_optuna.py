"""The twelve configurations by Optuna, in one process with all threads.

    python benchmarks/sweep_optuna.py ARRAYS N_EPOCHS

ARRAYS is a folder as `plain_training.save_arrays` leaves it. Prints the best accuracy.
"""

import argparse
from pathlib import Path

import optuna
import torch
from plain_training import LEARNING_RATES, WEIGHT_DECAYS, train_plainly

from bpsweep.data.folders import count_cpus


def main() -> None:
    """Work off the grid."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path)
    parser.add_argument("n_epochs", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(count_cpus())

    def objective(trial: optuna.Trial) -> float:
        return train_plainly(
            arguments.arrays,
            trial.suggest_categorical("learning_rate", LEARNING_RATES),
            trial.suggest_categorical("weight_decay", WEIGHT_DECAYS),
            arguments.n_epochs,
            lambda epoch, accuracy: trial.report(accuracy, epoch),
        )

    grid = {"learning_rate": list(LEARNING_RATES), "weight_decay": list(WEIGHT_DECAYS)}
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.GridSampler(grid, seed=0)
    )
    study.optimize(objective, n_trials=len(LEARNING_RATES) * len(WEIGHT_DECAYS))
    print(f"{len(study.trials)} trials, best {study.best_value:.3f}")


if __name__ == "__main__":
    main()
