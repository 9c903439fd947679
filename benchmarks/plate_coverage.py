"""How often intervals whose unit is the plate hold the truth, and how often a trend is false.

    python benchmarks/plate_coverage.py [--plates 3 4 5 6] [--n-simulations 1000] [--seed 0]

Each simulation draws plates of both particles, three folds, eight wells a plate and ten cells a
well. A cell is right with the mean (0.75 on irradiated, 0.6 on three sham plates a particle), plus
what is its plate's own (normal; 0, 5 and 10 points), plus or minus its fold's leaning to one
particle (normal, 10 points), plus its well's own (3 points). Prints, for each number of plates a
particle, how many per cent of the 95 % intervals held the truth, and how wide they were in points:
of the mean over plates and of the excess over sham as in report/statistics/excess.py, and of the
accuracy over plates as in a verdict's table. "above": per cent of simulations in which an excess
was said where irradiated plates truly score as sham ones do (2.5 are due). Then, for 3, 2 and 1
hours, in how many per cent of sets without effect of dose a rise was found (5 are due).
"""

import argparse
from dataclasses import replace

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray

from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.dose import LEVEL, find_trend
from bpsweep.report.statistics.estimates import estimate_predictions
from bpsweep.report.statistics.excess import measure_excess
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY

SPREADS = (0.0, 0.05, 0.1)
IRRADIATED, SHAM = 0.75, 0.6
N_SHAM, N_FOLDS, N_WELLS, N_CELLS = 3, 3, 8, 10
_LEANING, _WELL = 0.1, 0.03


def simulate(n_plates: int, mean: float, spread: float, rng: np.random.Generator) -> Predictions:
    """Draw what networks of three folds say of plates that they were not trained on."""
    shape = (2, n_plates, N_WELLS, N_CELLS)
    particle, plate, well, _ = (axis.reshape(-1) for axis in np.indices(shape))
    leaning = rng.normal(0, _LEANING, N_FOLDS)
    of_plate = mean + rng.normal(0, spread, (2, n_plates))
    fold = np.arange(n_plates) % N_FOLDS
    of_plate += np.array([[1.0], [-1.0]]) * leaning[fold]
    of_well = of_plate[:, :, None] + rng.normal(0, _WELL, shape[:3])
    right = rng.random(shape) < of_well[..., None]
    iron = particle == 0
    p_iron = np.where(iron == right.reshape(-1), 0.9, 0.1).astype(np.float32)
    n_cells = particle.size
    return Predictions(
        cells=np.arange(n_cells).astype(np.str_),
        plates=np.char.add("P", (particle * 50 + plate).astype(np.str_)),
        wells=np.char.add("A", well.astype(np.str_)),
        fields=np.ones(n_cells, np.int64),
        particles=np.where(iron, "Fe", "X-ray"),
        doses_gy=np.ones(n_cells),
        hours=np.full(n_cells, 4),
        label_names=("Fe", "X-ray"),
        truth=np.stack([iron, ~iron], axis=1).astype(np.uint8),
        probabilities=np.stack([p_iron, 1 - p_iron], axis=1),
        held_out="plates",
        folds=fold[plate] + 1,
    )


def measure_line(n_plates: int, spread: float, n_simulations: int, seed: int) -> list[str]:
    """Tally the three intervals, and excesses said where there is none."""
    rng = np.random.default_rng([seed, n_plates, round(1000 * spread)])
    ends: NDArray[np.float64] = np.zeros((3, n_simulations, 2))
    truths = (IRRADIATED, IRRADIATED - SHAM, IRRADIATED)
    n_above = 0
    for i in range(n_simulations):
        mine = simulate(n_plates, IRRADIATED, spread, rng)
        sham = simulate(N_SHAM, SHAM, spread, rng)
        same = simulate(N_SHAM, IRRADIATED, spread, rng)
        excess = measure_excess(mine, as_sham(sham), 0.95)
        none = measure_excess(mine, as_sham(same), 0.95)
        assert excess is not None and none is not None
        n_above += none.is_above
        row = estimate_predictions([mine], ACCURACY, 0.95)[0].interval
        assert row is not None
        ends[:, i] = [_read(one) for one in (excess.irradiated.interval, excess.interval, row)]
    held = [
        (low <= truth) & (truth <= high)
        for (low, high), truth in zip((one.T for one in ends), truths, strict=True)
    ]
    widths = 100 * (ends[:, :, 1] - ends[:, :, 0]).mean(axis=1)
    cells = [
        f"{100 * one.mean():5.1f} ({width:4.1f})" for one, width in zip(held, widths, strict=True)
    ]
    return [*cells, f"{100 * n_above / n_simulations:4.1f}"]


def as_sham(cells: Predictions) -> Predictions:
    """Return cells as unirradiated ones."""
    return replace(cells, doses_gy=np.zeros(len(cells)))


def _read(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def count_rises(n_hours: int, n_simulations: int, seed: int) -> float:
    """Per cent of sets in which plates differ, and not by dose, and a rise is found."""
    rng = np.random.default_rng([seed, n_hours])
    step = np.tile(np.arange(3.0), n_hours)  # a pair of plates each
    block = np.repeat(np.arange(n_hours), 3)
    found = [find_trend(rng.normal(0.5, 0.1, len(step)), step, block) for _ in range(n_simulations)]
    return 100 * float(np.mean([one is not None and one.probability < LEVEL for one in found]))


def main() -> None:
    """Simulate, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plates", type=int, nargs="+", default=[3, 4, 5, 6])
    parser.add_argument("--n-simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(describe_machine("numpy", "scipy"))
    print(
        f"{arguments.n_simulations} simulations, seed {arguments.seed}: per cent (width in points)"
    )
    print("plates  spread  mean over plates  excess over sham  accuracy      above")
    for n_plates in arguments.plates:
        for spread in SPREADS:
            line = measure_line(n_plates, spread, arguments.n_simulations, arguments.seed)
            print(
                f"{n_plates:6}  {spread:6.2f}  {line[0]:16}  {line[1]:16}  {line[2]}  {line[3]}",
                flush=True,
            )
    print("hours  rises found (%)")
    for n_hours in (3, 2, 1):
        print(f"{n_hours:5}  {count_rises(n_hours, arguments.n_simulations, arguments.seed):4.1f}")


if __name__ == "__main__":
    main()
