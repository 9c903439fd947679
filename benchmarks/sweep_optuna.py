"""The twelve configurations by Optuna, in one process with all threads.

    python benchmarks/sweep_optuna.py ARRAYS N_EPOCHS

ARRAYS is a folder as `plain_training.save_arrays` leaves it. Prints the best accuracy.
"""

import optuna
import torch
from plain_training import LEARNING_RATES, WEIGHT_DECAYS, read_arguments, train_plainly

from bpsweep.data.folders import count_cpus


def main() -> None:
    """Work off the grid."""
    arguments = read_arguments(__doc__)
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
