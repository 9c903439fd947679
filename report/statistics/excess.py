"""What irradiated plates score beyond unirradiated ones, each held out: radiation's part.

The same design is trained and tested on irradiated and on sham plates. No biology tells the
particles of sham cells apart, so what is scored there is campaign, animal and stain; irradiated
plates have these too. The difference is what radiation can claim, as far as campaign acts on both
alike.

The unit is the plate: a plate's score is the share of its cells whose particle is named right. The
network of a fold may lean to one particle, which helps the plates of that one and hurts those of
the other as much; a plate's score is therefore mean + leaning of its fold (with the sign of its
particle) + what is the plate's own, fitted by least squares, and the interval of the mean is
Student's over what is the plates' own. It is never narrower than what the wells inside the plates
differ by. The difference of two means has the degrees of freedom of Welch and Satterthwaite.

benchmarks/plate_coverage.py counts how often the intervals hold the truth.

References:
    B. L. Welch, Biometrika 34, 28 (1947), doi 10.1093/biomet/34.1-2.28; S. E. Lazic, Experimental
    Design for Laboratory Biologists (2016), and S. E. Lazic, C. J. Clarke-Williams, M. R. Munafo,
    What exactly is 'N' in cell culture and animal experiments?, PLoS Biol. 16, e2005282 (2018),
    doi 10.1371/journal.pbio.2005282: what was treated as one is the unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import Scores
from bpsweep.report.statistics.wells import Wells, group_plate_wells, group_wells

CHANCE: Final = 0.5
_PARTICLES: Final = ("Fe", "X-ray")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PlateScores:
    """How often the particle is named right on plates that were held out.

    Args:
        mean: Over plates; naming one particle always gives 0.5.
        error: Standard error of the mean.
        freedom: Degrees of freedom that the error is known with.
        interval: Of the mean, its unit the plate.
        plates: Plate name to the share of its cells that are named right.
        n_plates: Plates of each particle.
    """

    mean: float
    error: float
    freedom: float
    interval: Interval
    plates: Mapping[str, float]
    n_plates: Mapping[str, int]


@dataclass(frozen=True)
class Excess:
    """What irradiated plates score beyond sham ones.

    Args:
        irradiated, sham: The two scores.
        optimism: What the choice of the configuration among many gave the first.
        value: The first less that, less the second or chance, whichever is more.
        interval: Of the value, its unit the plate.
    """

    irradiated: PlateScores
    sham: PlateScores
    optimism: float
    value: float
    interval: Interval

    @property
    def is_above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.interval.low > 0


def score_plates(
    predictions: Predictions, rows: NDArray[np.bool_], level: float
) -> PlateScores | None:
    """Score some rows (N,) of predictions of held-out plates.

    Returns:
        None where no plates were held out, a particle has fewer than two of them among the rows, or
        no label names a particle.
    """
    names = predictions.label_names
    if predictions.held_out != "plates" or not rows.any() or not set(_PARTICLES) <= set(names):
        return None
    plates = group_wells(predictions, rows)
    if plates.unit != "plates" or plates.n_strata < len(_PARTICLES):
        return None
    right = name_right(predictions)[rows]
    shares = plates.total(right) / plates.sizes
    first = np.unique(plates.of_cell, return_index=True)[1]
    folds = np.zeros(plates.n_wells, np.int64)
    if predictions.folds is not None:
        folds = predictions.folds[rows][first]
    mean, error, freedom = fit_mean(shares, plates.stratum, folds)
    wells = group_plate_wells(predictions, rows)
    floor = _measure_inside(right, plates, wells)
    if floor > error:  # the plates differ by less than their wells would let them
        error, freedom = floor, max(freedom, float(wells.n_wells - plates.n_wells))
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    return PlateScores(
        mean,
        error,
        freedom,
        Interval(max(0.0, mean - half), min(1.0, mean + half), level, "plates"),
        {name.split()[1]: float(one) for name, one in zip(plates.names, shares, strict=True)},
        dict(zip(_PARTICLES, map(int, np.bincount(plates.stratum)), strict=True)),
    )


def name_right(predictions: Predictions) -> Scores:
    """Return (N,) 1 where the particle that is likelier is the cell's, else 0."""
    iron, xray = (predictions.label_names.index(name) for name in _PARTICLES)
    likely = predictions.probabilities
    says_iron = likely[:, iron] > likely[:, xray]
    return np.asarray(says_iron == (predictions.particles == _PARTICLES[0]), dtype=np.float64)


def fit_mean(
    shares: Values, particle: NDArray[np.int64], fold: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Fit the mean over plates beside the leaning of each fold's network.

    Args:
        shares: (P,) what each plate scores.
        particle: (P,) 0 or 1.
        fold: (P,) whose network scored it.

    Returns:
        The mean, its standard error, and the degrees of freedom of that.
    """
    sign = np.where(particle == 0, 1.0, -1.0)
    leanings = [np.where(fold == one, sign, 0.0) for one in np.unique(fold)]
    design = np.stack([np.ones(len(shares)), *leanings], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(design, shares, rcond=None)
    freedom = max(1, len(shares) - int(rank))
    variance = float(((shares - design @ solution) ** 2).sum()) / freedom
    of_mean = float(np.linalg.pinv(design.T @ design)[0, 0])
    mean = float(np.clip(solution[0], 0, 1))
    return mean, float(np.sqrt(variance * of_mean)), float(freedom)


def _measure_inside(right: Scores, plates: Wells, wells: Wells) -> float:
    """Return the standard error of the mean that wells (or cells) inside the plates leave open."""
    shares = wells.total(right) / wells.sizes
    first = np.unique(wells.of_cell, return_index=True)[1]
    plate_of = plates.of_cell[first]  # (W,)
    n_plates = np.bincount(plates.stratum)[plates.stratum]  # (P,) of the plate's particle
    total = 0.0
    for plate in range(plates.n_wells):
        inside = plate_of == plate
        n_wells, n_cells = int(inside.sum()), plates.sizes[plate]
        share = (plates.total(right)[plate] + 0.5) / (n_cells + 1)  # not 0 where all are alike
        variance = float(share * (1 - share) / n_cells)
        if n_wells > 1:
            variance = max(variance, float(shares[inside].var(ddof=1)) / n_wells)
        total += variance / (len(_PARTICLES) * n_plates[plate]) ** 2
    return float(np.sqrt(total))


def measure_excess(
    mine: Predictions, sham: Predictions, level: float, optimism: float = 0.0
) -> Excess | None:
    """Measure the excess of a configuration over the same on sham plates; None without plates.

    Args:
        mine: What it says of irradiated cells.
        sham: What the same settings, trained on sham plates, say of sham cells.
        level: Of the interval.
        optimism: What the choice of this configuration among many gave its score.
    """
    irradiated = score_plates(mine, mine.doses_gy > 0, level)
    beside = score_plates(sham, sham.doses_gy == 0, level)
    if irradiated is None or beside is None:
        return None
    value = irradiated.mean - optimism - max(beside.mean, CHANCE)
    variances = np.array([irradiated.error**2, beside.error**2])
    freedom = (
        variances.sum() ** 2 / (variances**2 / np.array([irradiated.freedom, beside.freedom])).sum()
    )
    half = float(student.ppf((1 + level) / 2, freedom) * np.sqrt(variances.sum()))
    interval = Interval(value - half, value + half, level, "plates")
    return Excess(irradiated, beside, optimism, value, interval)
