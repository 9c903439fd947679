"""How far the best of many is too good, and how near its corrected value comes, on simulations.

    python benchmarks/report_selection.py [--n-configurations 27] [--n-simulations 300]
                                          [--wells 16] [--n-cells 1774] [--seed 0]
                                          [--likeness 0 0.5 0.8]

Each simulation draws the wells of the validation cells (the configurations find the same wells
easy: standard deviation of 4 points; and each has wells of its own that suit it: 2 points) and for
each configuration right or wrong for every cell, alike for the same cell to some degree. All are
truly at 80 %, or one is better by the lead given. Prints the machine, then for each likeness and
lead, in points: how far the best one's raw and corrected values are from that one's own truth on
average, the error of either (root mean square), how often the best one is the truly better one,
and how often the corrected value's 95 % interval holds the truth.
"""

import argparse

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm

from bpsweep.report.statistics.repeated_choice import find_worth_interval, repeat_choice
from bpsweep.report.statistics.wells import Wells, code_wells

TRUTH = 0.80
LIKENESS = (0.0, 0.5, 0.8)
"""Correlation of what makes a cell hard for one configuration and for another."""
LEADS = (0.0, 0.01, 0.02, 0.04)
_COMMON, _OWN = 0.04, 0.02  # standard deviations of wells' accuracies


def simulate_sweep(
    truths: NDArray[np.float64], likeness: float, wells: Wells, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw right (1) or wrong (0), (K, N), for K configurations with these true accuracies."""
    slope = float(norm.pdf(norm.ppf(TRUTH)))  # points of accuracy per unit of the latent threshold
    common = rng.normal(0, _COMMON / slope, wells.n_wells)
    own = rng.normal(0, _OWN / slope, (len(truths), wells.n_wells))
    spread = np.sqrt(1 + (_COMMON**2 + _OWN**2) / slope**2)  # keeps the mean over wells the truth
    threshold = (norm.ppf(truths) * spread)[:, None] + (common + own)[:, wells.of_cell]  # (K, N)
    hard = rng.normal(size=wells.n_cells)
    given = (threshold - np.sqrt(likeness) * hard) / np.sqrt(1 - likeness)
    return (rng.random(threshold.shape) < ndtr(given)).astype(np.float64)


def measure_bias(likeness: float, lead: float, arguments: argparse.Namespace) -> list[float]:
    """Per cent points: bias and error of raw and corrected, share right, coverage, width."""
    rng = np.random.default_rng([arguments.seed, round(100 * likeness), round(1000 * lead)])
    truths = np.full(arguments.n_configurations, TRUTH)
    truths[0] += lead
    raw, corrected, held, right = [], [], [], []
    for i in range(arguments.n_simulations):
        well = rng.integers(arguments.wells, size=arguments.n_cells)
        well[: arguments.wells] = np.arange(arguments.wells)  # none empty
        particles = np.where(well < arguments.wells // 2, "Fe", "X-ray")
        wells = code_wells(particles, well.astype(np.str_))
        scores = simulate_sweep(truths, likeness, wells, rng)
        best = int(scores.mean(axis=1).argmax())
        value = repeat_choice(scores, wells, seed=i).worth
        raw.append(scores[best].mean() - truths[best])
        corrected.append(value - truths[best])
        interval = find_worth_interval(scores, wells, value, level=0.95)
        held.append(interval.low <= truths[best] <= interval.high)
        right.append(best == 0)
    errors = [np.array(raw), np.array(corrected)]
    return [
        *(100 * float(error.mean()) for error in errors),
        *(100 * float(np.sqrt((error**2).mean())) for error in errors),
        100 * float(np.mean(right)),
        100 * float(np.mean(held)),
    ]


def main() -> None:
    """Simulate, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n-configurations", type=int, default=27)
    parser.add_argument("--n-simulations", type=int, default=300)
    parser.add_argument("--wells", type=int, default=16)
    parser.add_argument("--n-cells", type=int, default=1774)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--likeness", type=float, nargs="+", default=LIKENESS)
    arguments = parser.parse_args()
    print(describe_machine("numpy", "scipy"))
    print(
        f"{arguments.n_simulations} simulated sweeps of {arguments.n_configurations} "
        f"configurations, {arguments.n_cells} cells of {arguments.wells} wells, seed "
        f"{arguments.seed}"
    )
    print("likeness  lead  raw off  corrected off  raw error  corrected error  right  covered")
    for likeness in arguments.likeness:
        for lead in LEADS:
            found = measure_bias(likeness, lead, arguments)
            print(
                f"{likeness:8.1f}  {100 * lead:4.1f}  {found[0]:+7.2f}  {found[1]:+13.2f}  "
                f"{found[2]:9.2f}  {found[3]:15.2f}  {found[4]:4.0f}%  {found[5]:6.1f}%",
                flush=True,
            )


if __name__ == "__main__":
    main()
