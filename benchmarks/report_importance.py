"""Whether the importance of settings is recovered in the right order, ours and Optuna's fANOVA.

    python benchmarks/report_importance.py [--n-sweeps 100] [--noise 0.005 0.01 0.02] [--seed 0]

Simulates sweeps of 27 runs of a known function of three settings: one dominates, one acts through
the first alone (an interaction), one does nothing; on a full 3 x 3 x 3 grid and at random places,
with noise of the size that validation accuracy has from run to run. Prints the machine, then for
each design and noise how many per cent of the sweeps each method puts in the right order, its mean
shares, and the true ones: each setting's own variance and half of the interaction's. Optuna is
asked about the same runs; its shares count own variance alone.
"""

import argparse
import itertools

import numpy as np
import optuna
from machine import describe_machine
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator

from bpsweep.report.statistics.forest import build_grid, predict_grid, share_variance
from bpsweep.report.statistics.importance import N_TREES

_NAMES = ("dominant", "interacting", "inert")
_DOMINANT, _INTERACTING = 0.04, 0.035  # of accuracy, at either end of a setting
N_RUNS = 27

Table = NDArray[np.float64]


def draw_settings(design: str, rng: np.random.Generator) -> Table:
    """Draw settings (27, 3) in [-1, 1]: the full grid, or random places."""
    if design == "grid":
        return np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(_NAMES))))
    return rng.uniform(-1, 1, (N_RUNS, len(_NAMES)))


def score_settings(settings: Table, noise: float, rng: np.random.Generator) -> Table:
    """Return the accuracies (27,) of runs with these settings."""
    first, second, _ = settings.T
    exact = 0.75 + _DOMINANT * first + _INTERACTING * first * second
    return np.asarray(exact + rng.normal(0, noise, len(settings)))


def weigh_by_us(settings: Table, values: Table, seed: int) -> Table:
    """Return our shares (3,) of the settings."""
    codes = np.stack([np.unique(one, return_inverse=True)[1] for one in settings.T], axis=1)
    codes = codes.astype(np.float64)
    return share_variance(predict_grid(codes, values, build_grid(codes), N_TREES, seed))[0]


def weigh_by_optuna(settings: Table, values: Table, seed: int) -> Table:
    """Return Optuna's shares (3,) on the same runs."""
    study = optuna.create_study(direction="maximize")
    space = {name: FloatDistribution(-1, 1) for name in _NAMES}
    for row, value in zip(settings.tolist(), values.tolist(), strict=True):
        trial = optuna.trial.create_trial(
            params=dict(zip(_NAMES, row, strict=True)), distributions=dict(space), value=value
        )
        study.add_trial(trial)
    found = FanovaImportanceEvaluator(seed=seed).evaluate(study)
    return np.array([found[name] for name in _NAMES])


def find_truth(design: str) -> Table:
    """Return the true shares (3,), from variances of uniform settings."""
    variance = 2 / 3 if design == "grid" else 1 / 3
    own = _DOMINANT**2 * variance
    both = _INTERACTING**2 * variance**2
    return np.array([own + both / 2, both / 2, 0.0]) / (own + both)


def is_ordered(shares: Table) -> bool:
    """Tell whether the dominant setting comes before the interacting, and that before the inert."""
    return bool(shares[0] > shares[1] > shares[2])


def main() -> None:
    """Simulate, weigh, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n-sweeps", type=int, default=100)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.005, 0.01, 0.02])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(describe_machine("numpy", "scikit-learn", "optuna"))
    print(f"{arguments.n_sweeps} simulated sweeps of {N_RUNS} runs each, seed {arguments.seed}")
    print("design  noise  method  right order  shares: dominant, interacting, inert")
    for design in ("grid", "random"):
        print(f"{design:6}              truth  {np.round(find_truth(design), 2)}")
        for noise in arguments.noise:
            rng = np.random.default_rng([arguments.seed, round(1000 * noise)])
            shares: dict[str, list[Table]] = {"ours": [], "optuna": []}
            for i in range(arguments.n_sweeps):
                settings = draw_settings(design, rng)
                values = score_settings(settings, noise, rng)
                shares["ours"].append(weigh_by_us(settings, values, i))
                shares["optuna"].append(weigh_by_optuna(settings, values, i))
            for method, found in shares.items():
                right = 100 * np.mean([is_ordered(one) for one in found])
                mean = np.round(np.mean(found, axis=0), 2)
                print(f"{design:6}  {noise:.3f}  {method:6}  {right:10.0f}%  {mean}", flush=True)


if __name__ == "__main__":
    main()
