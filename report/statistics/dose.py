"""Does the score rise with dose, and fall with the hours after it, on plates never trained on?

A network that sees damage gives its particle a higher probability the more there is of it: more
at high dose than in sham cells, and less the longer foci have been repaired. One that sees plates
does not. A plate holds one dose and hour, so the plate is the unit: doses are permuted among the
plates of one particle and hour (hours among those of one particle and dose), in all ways where
these are few, and what as many ways reach gives the probability of the trend.

A network that was trained on irradiated cells takes sham cells for those of the particle that
leaves fewer foci: as dose falls, that particle gains what the other loses, and neither trend alone
says how well they are told apart. The verdict therefore rests on pairs of an iron and an X-ray
plate of one hour and dose level: the mean of the two is 0.5 where they are not told apart, whatever
the network leans to, and doses are permuted among the pairs of an hour.

References:
    A. R. Jonckheere, Biometrika 41, 133 (1954), doi 10.1093/biomet/41.1-2.133: trends over ordered
    groups; P. Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005): in blocks;
    B. Phipson, G. K. Smyth, Permutation p-values should never be zero, Stat. Appl. Genet. Mol.
    Biol. 9, 39 (2010), doi 10.2202/1544-6115.1585.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.predictions import Predictions
from bpsweep.report.records import DOSE, EVALUATED
from bpsweep.report.statistics.verdict import Verdict

LEVEL: Final = 0.05
"""Probability below which a trend is said."""
_MAX_WAYS: Final = 20_000  # enumerated; more are drawn
_N_DRAWS: Final = 10_000
_MAX_PLATES: Final = 6  # of a block, whose orders are listed
_ROUNDING: Final = 1e-12

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class DoseWell:
    """A well that nothing was trained on the plate of.

    Args:
        particle, plate, well, dose_gy, hour: Where it is and what was done to it.
        score: Mean over its cells of the probability of its own particle.
        n_cells: How many.
    """

    particle: str
    plate: str
    well: str
    dose_gy: float
    hour: int
    score: float
    n_cells: int


@dataclass(frozen=True)
class Trend:
    """A trend over plates.

    Args:
        strength: Mean change of the score a step of dose (or hour), within blocks.
        probability: Of one as strong by chance, one-sided.
        n_ways: Of how many orders of plates; 1 where no plate could be exchanged.
        is_exact: Whether these are all there are.
    """

    strength: float
    probability: float
    n_ways: int
    is_exact: bool


@dataclass(frozen=True)
class DoseResponse:
    """How the best configuration's score goes with dose and hours.

    Args:
        wells: All of them.
        means: (particle, dose) to the mean over its plates.
        levels: Mean of the pairs of each dose level, from the lowest.
        doses: Rising over dose, of pairs of plates; None where no hour has pairs of two levels.
        particles: The same, of each particle by itself.
        hours: Falling over hours, of irradiated plates; None with one hour of each dose.
    """

    wells: tuple[DoseWell, ...]
    means: Mapping[tuple[str, float], float]
    levels: tuple[float, ...]
    doses: Trend | None
    particles: Mapping[str, Trend]
    hours: Trend | None

    @property
    def rises(self) -> bool:
        """Whether it rises with dose, in pairs of plates of both particles, and not by chance."""
        return self.doses is not None and self.doses.probability < LEVEL


def read_dose(verdict: Verdict) -> DoseResponse | None:
    """Read the best configuration's response; None where it was not applied to other doses."""
    ids = {run.id for run in verdict.best.run.members}
    found = {
        str(run.provenance.get(EVALUATED)): run.predictions
        for run in verdict.sweep.beside
        if run.kind == DOSE and run.predictions is not None and len(run.predictions)
    }
    parts = [one for of, one in found.items() if of in ids]
    return None if len(parts) < len(ids) else respond(parts)


def respond(parts: Sequence[Predictions]) -> DoseResponse | None:
    """Measure the response from what networks say of plates that they were not trained on.

    Returns:
        None where no particle has plates of two doses at one hour.
    """
    wells = list_wells(parts)
    of_plate: dict[tuple[str, float, int, str], list[float]] = {}
    for well in wells:
        key = (well.particle, well.dose_gy, well.hour, well.plate)
        of_plate.setdefault(key, []).append(well.score)
    score = np.array([np.mean(scores) for scores in of_plate.values()])
    particle = np.array([key[0] for key in of_plate])
    dose, hour = (np.array([key[i] for key in of_plate], dtype=np.float64) for i in (1, 2))
    by_hour = _number([(key[0], key[2]) for key in of_plate])
    step = np.zeros(len(score))
    for name in np.unique(particle):
        own = particle == name
        step[own] = _rank(dose[own])
    pairs = _pair(score, particle, step, hour)
    each = {
        str(name): find_trend(score[of], step[of], by_hour[of])
        for name in np.unique(particle)
        for of in [particle == name]
    }
    trends = {name: trend for name, trend in each.items() if trend is not None}
    if not trends:
        return None
    hot = dose > 0
    by_dose = _number([(key[0], key[1]) for key in of_plate])
    conditions = sorted({key[:2] for key in of_plate})
    return DoseResponse(
        tuple(wells),
        {(p, d): float(score[(particle == p) & (dose == d)].mean()) for p, d in conditions},
        tuple(float(pairs[0][pairs[1] == one].mean()) for one in np.unique(pairs[1])),
        find_trend(*pairs),
        trends,
        find_trend(score[hot], -_rank(hour)[hot], by_dose[hot]),
    )


def _pair(
    score: Values, particle: NDArray[np.str_], step: Values, hour: Values
) -> tuple[Values, Values, Numbers]:
    """Pair the plates of both particles: scores (Q,), dose levels (Q,) and hours (Q,)."""
    kinds = np.unique(particle)
    found = []
    for at, level in sorted(set(zip(hour.tolist(), step.tolist(), strict=True))):
        here = (hour == at) & (step == level)
        own = [score[here & (particle == kind)] for kind in kinds]
        if len(own) > 1 and all(len(one) for one in own):
            found.append((np.mean([one.mean() for one in own]), level, int(at)))
    scores, levels, hours = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return scores, levels, hours.astype(np.int64)


def _rank(values: Values) -> Values:
    """Return the place of each value among the different ones, from 0."""
    return np.searchsorted(np.unique(values), values).astype(np.float64)


def list_wells(parts: Sequence[Predictions]) -> list[DoseWell]:
    """List the wells of all parts, each the mean over its cells and the networks that saw them."""
    sums: dict[tuple[str, str, str, float, int], list[float]] = {}
    for part in parts:
        own = _find_own(part)
        columns = (part.particles, part.plates, part.wells, part.doses_gy, part.hours)
        keys = zip(*(column.tolist() for column in columns), strict=True)
        for key, value in zip(keys, own.tolist(), strict=True):
            sums.setdefault(key, []).append(value)
    return [DoseWell(*key, float(np.mean(of)), len(of)) for key, of in sorted(sums.items())]


def _find_own(part: Predictions) -> Values:
    """Return (N,) the probability of each cell's own particle, of both together."""
    iron, xray = (part.label_names.index(name) for name in ("Fe", "X-ray"))
    likely = part.probabilities.astype(np.float64)
    share = likely[:, iron] / np.maximum(likely[:, iron] + likely[:, xray], 1e-9)
    return np.asarray(np.where(part.particles == "Fe", share, 1 - share))


def _number(keys: Sequence[tuple[str, float]]) -> Numbers:
    order = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([order[key] for key in keys], dtype=np.int64)


def find_trend(score: Values, step: Values, block: Numbers, seed: int = 0) -> Trend | None:
    """Test whether scores (P,) of plates rise with steps (P,) within blocks (P,).

    Returns:
        None where no block has two different steps.
    """
    parts, observed, scale = [], 0.0, 0.0
    for one in np.unique(block):
        inside = block == one
        deviation = step[inside] - step[inside].mean()
        if not np.ptp(deviation):
            continue
        parts.append(_list_ways(score[inside], deviation, seed))
        observed += float(deviation @ score[inside])
        scale += float(deviation @ deviation)
    if not parts:
        return None
    n_ways = int(np.prod([float(len(part)) for part in parts]))
    is_exact = n_ways <= _MAX_WAYS
    if is_exact:
        totals = np.zeros(1)
        for part in parts:
            totals = (totals[:, None] + part).reshape(-1)
        probability = float((totals >= observed - _ROUNDING).mean())
    else:
        rng, n_ways = np.random.default_rng(seed), _N_DRAWS
        totals = np.sum([rng.choice(part, size=_N_DRAWS) for part in parts], axis=0)
        probability = float(((totals >= observed - _ROUNDING).sum() + 1) / (_N_DRAWS + 1))
    return Trend(observed / scale, probability, n_ways, is_exact)


def _list_ways(score: Values, deviation: Values, seed: int) -> Values:
    """List the statistic of a block under all orders of its plates, or many drawn ones."""
    if len(score) <= _MAX_PLATES:
        orders = np.array(list(itertools.permutations(range(len(score)))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([rng.permutation(len(score)) for _ in range(_N_DRAWS)])
    return np.asarray(score[orders] @ deviation)
