"""How often the intervals of a verdict hold the truth, on simulated predictions.

    python benchmarks/report_coverage.py [--wells 8 16] [--n-simulations 1000] [--n-cells 1774]
                                         [--seed 0]

Each simulation draws wells, half of either particle, of uneven size; an accuracy for each well
around the truth (beta-distributed; "none": all alike, "weak", "strong": standard deviation of 4 and
9 points at 80 %); and right or wrong for each cell. Prints the machine, then for each number of
wells, effect and truth how many per cent of the 95 % intervals held the truth, and how wide they
were in points: over wells as in report/statistics/intervals.py, the plain two-stage bootstrap
(wells, then cells, nothing corrected) and the naive one (Wilson).
"""

import argparse
from dataclasses import dataclass

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray

from bpsweep.report.statistics.intervals import find_interval, naive_interval, resample_mean
from bpsweep.report.statistics.wells import Wells, code_wells

TRUTHS = (0.78, 0.80, 0.82)
EFFECTS = {"none": 0.0, "weak": 0.01, "strong": 0.05}
"""Share of a cell's variance that is the well's (intraclass correlation)."""


@dataclass(frozen=True)
class Tally:
    """Per cent of intervals that held the truth, and their mean width in points."""

    covered: float
    width: float

    def __str__(self) -> str:
        return f"{self.covered:5.1f} ({self.width:4.1f})"


def simulate_scores(
    truth: float, correlation: float, n_wells: int, n_cells: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Wells]:
    """Draw right (1) or wrong (0) for N cells of wells of uneven size."""
    shares = rng.dirichlet(np.full(n_wells, 20.0))
    well = rng.choice(n_wells, size=n_cells, p=shares)
    well[:n_wells] = np.arange(n_wells)  # none empty
    accuracy = np.full(n_wells, truth)
    if correlation:
        precision = 1 / correlation - 1
        accuracy = rng.beta(truth * precision, (1 - truth) * precision, size=n_wells)
    scores = (rng.random(n_cells) < accuracy[well]).astype(np.float64)
    particles = np.where(well < n_wells // 2, "Fe", "X-ray")
    return scores, code_wells(particles, well.astype(np.str_))


def resample_plainly(
    scores: NDArray[np.float64], wells: Wells, n_draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw wells, then cells inside them, and take the mean: the two-stage bootstrap as it is."""
    n_wells = wells.n_wells
    counts = rng.multinomial(n_wells, np.full(n_wells, 1 / n_wells), size=n_draws) * wells.sizes
    right = rng.binomial(counts, wells.total(scores) / wells.sizes)
    return np.asarray(right.sum(axis=1) / counts.sum(axis=1))


def measure_coverage(
    truth: float, correlation: float, n_wells: int, arguments: argparse.Namespace
) -> list[Tally]:
    """Tally intervals over wells, plain and naive ones."""
    rng = np.random.default_rng([arguments.seed, n_wells, round(100 * truth)])
    ends = np.zeros((3, arguments.n_simulations, 2))
    for i in range(arguments.n_simulations):
        scores, wells = simulate_scores(truth, correlation, n_wells, arguments.n_cells, rng)
        draws = resample_mean(scores, wells, seed=i, n_draws=2000)
        over = find_interval(draws, float(scores.mean()))
        plain = np.quantile(resample_plainly(scores, wells, 2000, rng), (0.025, 0.975))
        naive = naive_interval(scores)
        ends[:, i] = (over.low, over.high), plain, (naive.low, naive.high)
    held = (ends[:, :, 0] <= truth) & (truth <= ends[:, :, 1])
    widths = (ends[:, :, 1] - ends[:, :, 0]).mean(axis=1)
    return [
        Tally(100 * float(share), 100 * float(width))
        for share, width in zip(held.mean(axis=1), widths, strict=True)
    ]


def main() -> None:
    """Simulate, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wells", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--n-simulations", type=int, default=1000)
    parser.add_argument("--n-cells", type=int, default=1774)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(describe_machine("numpy", "scipy"))
    print(
        f"{arguments.n_simulations} simulations of {arguments.n_cells} cells, seed "
        f"{arguments.seed}: coverage in per cent (width in points)"
    )
    print("wells  effect  truth  over wells     plain          naive")
    for n_wells in arguments.wells:
        for effect, correlation in EFFECTS.items():
            for truth in TRUTHS:
                tallies = measure_coverage(truth, correlation, n_wells, arguments)
                print(f"{n_wells:5}  {effect:6}  {truth:.2f} ", *tallies, sep="  ", flush=True)


if __name__ == "__main__":
    main()
