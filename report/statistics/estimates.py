"""What a configuration's runs say of it: values, intervals, and the spread over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bpsweep.report.predictions import Predictions
from bpsweep.report.records import RunRecord, is_number
from bpsweep.report.statistics.configurations import Configuration, find_best_epoch
from bpsweep.report.statistics.intervals import (
    N_DRAWS,
    Draws,
    Interval,
    find_interval,
    move_interval,
    naive_interval,
    resample_mean,
    wilson_interval,
)
from bpsweep.report.statistics.scores import (
    ACCURACY,
    METRICS,
    Metric,
    count_undecided,
    score_cells,
    stack_scores,
)
from bpsweep.report.statistics.wells import Wells, align_cells

_ROUNDING: Final = 0.002
"""How far the accuracy of stored predictions may be from the logged one, be it for other reasons
than cells that are as good as undecided."""


@dataclass(frozen=True)
class Replicates:
    """What runs of one configuration that differ in the seed alone gave.

    Args:
        values: The metric of each run at its best epoch, the sweep's own first.
        mean: Their mean.
        spread: Their standard deviation (n - 1 in the denominator).
    """

    values: tuple[float, ...]
    mean: float
    spread: float

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(self.values)


@dataclass(frozen=True)
class SeedVariance:
    """How much runs of one configuration differ, pooled over all that were repeated.

    Args:
        variance: Of one run; 0 where nothing was repeated.
        freedom: Degrees of freedom that it is known with.
    """

    variance: float = 0.0
    freedom: int = 0


@dataclass(frozen=True)
class Estimate:
    """One metric of one configuration.

    Args:
        value: At the best epoch; the mean over the runs where there are several.
        interval: Over wells; Wilson's where only the share and the number of cells are known.
        naive: As if cells were independent.
        draws: (B,) what `interval` was read from; None where nothing is known.
        replicates: Set where two runs or more differ in the seed alone.
    """

    value: float
    interval: Interval | None = None
    naive: Interval | None = None
    draws: Draws | None = None
    replicates: Replicates | None = None


def estimate_metric(
    one: Configuration, metric: Metric, level: float, seeds: SeedVariance
) -> Estimate | None:
    """Estimate one metric of a configuration; None before its first epoch.

    The interval is over wells where every run kept its predictions of the same cells. It is then
    that of the trained networks at hand; where seeds were repeated, their spread is added, and it
    is that of the configuration.
    """
    values = _read_values(one.runs, metric)
    if not values:
        return None
    value = float(np.mean(values))
    replicates = None
    if len(values) > 1:
        replicates = Replicates(tuple(values), value, float(np.std(values, ddof=1)))
    found = gather_predictions(one.runs)
    if found is None:
        return _estimate_from_share(value, metric, level, _count_cells(one.runs), replicates)
    estimate, _ = estimate_predictions(found, metric, level, value)
    assert estimate.draws is not None and estimate.interval is not None  # predictions give both
    draws = estimate.draws
    if replicates is not None:
        draws = _add_seeds(draws, seeds, replicates.n)
    interval = find_interval(draws, value, level, estimate.interval.method)
    return replace(estimate, interval=interval, draws=draws, replicates=replicates)


def estimate_predictions(
    group: Sequence[Predictions], metric: Metric, level: float, logged: float | None = None
) -> tuple[Estimate, Wells]:
    """Estimate a metric of predictions of the same cells, the mean where there are several.

    Args:
        group: Of each run.
        metric: What to estimate.
        level: Confidence of the intervals.
        logged: What the runs have logged of it. That is then the value, for everything else that
            shows a run shows it too: predictions of six digits may be a cell or two off. They say
            how far it may be off, which is the same about either.
    """
    stacked = stack_scores(group, metric)
    assert stacked is not None  # the caller has made sure of the cells
    scores, wells = stacked[0].mean(axis=0), stacked[1]
    mean, draws = float(scores.mean()), resample_mean(scores, wells)
    value = mean if logged is None else logged
    draws = np.clip(draws + (value - mean), 0, 1)
    naive = move_interval(naive_interval(scores, level), value - mean)
    return Estimate(value, find_interval(draws, value, level, wells.unit), naive, draws), wells


def estimate_run(run: RunRecord, metric: Metric, level: float) -> tuple[Estimate, Wells] | None:
    """Estimate a metric of one run by itself; None where it kept no predictions."""
    if run.predictions is None or not len(run.predictions):
        return None
    logged = None if find_predictions(run) is None else read_value(run, metric)
    return estimate_predictions([run.predictions], metric, level, logged)


def gather_predictions(runs: Sequence[RunRecord]) -> list[Predictions] | None:
    """Return each run's predictions; None where one kept none, or the cells are not the same."""
    kept = [find_predictions(run) for run in runs]
    found = [predictions for predictions in kept if predictions is not None]
    return found if found and len(found) == len(kept) and align_cells(found) is not None else None


def read_value(run: RunRecord, metric: Metric) -> float | None:
    """Read what a run has logged of a metric at its best epoch: the one source of its value."""
    best = find_best_epoch(run)
    found = None if best is None else best.get(metric.key)
    return float(found) if is_number(found) else None


def pool_seed_variance(configurations: Sequence[Configuration], metric: Metric) -> SeedVariance:
    """Pool the variance between seeds over all configurations that have several."""
    groups = [_read_values(one.runs, metric) for one in configurations]
    freedom = sum(len(group) - 1 for group in groups if len(group) > 1)
    if not freedom:
        return SeedVariance()
    squares = sum(float(np.var(group)) * len(group) for group in groups if len(group) > 1)
    return SeedVariance(squares / freedom, freedom)


def find_predictions(run: RunRecord) -> Predictions | None:
    """Return a run's predictions where their accuracy is what its best epoch logged.

    But for cells that were stored as undecided: those may have been decided either way.
    """
    best, found = find_best_epoch(run), run.predictions
    if best is None or found is None or not len(found):
        return None
    accuracy = float(score_cells(found, ACCURACY).mean())
    allowed = max(_ROUNDING, 1e-9 + count_undecided(found) / len(found))
    return found if abs(accuracy - float(best[ACCURACY.key])) <= allowed else None


def _read_values(runs: Sequence[RunRecord], metric: Metric) -> list[float]:
    found = [read_value(run, metric) for run in runs]
    return [value for value in found if value is not None]


def _count_cells(runs: Sequence[RunRecord]) -> int | None:
    found = runs[0].provenance.get("n_validation")
    return found if isinstance(found, int) and found > 0 else None


def _estimate_from_share(
    value: float, metric: Metric, level: float, n: int | None, replicates: Replicates | None
) -> Estimate:
    if n is None or metric is not ACCURACY:
        return Estimate(value, replicates=replicates)
    found = wilson_interval(value, n, level)
    right = round(value * n)
    ranks = (np.arange(N_DRAWS) + 0.5) / N_DRAWS
    from scipy.stats import beta  # noqa: PLC0415  # half a second that no worker need wait for

    draws = beta.ppf(ranks, right + 0.5, n - right + 0.5)  # Jeffreys' prior
    return Estimate(value, found, found, np.asarray(draws, dtype=np.float64), replicates)


def _add_seeds(draws: Draws, seeds: SeedVariance, n_runs: int) -> Draws:
    """Add the uncertainty of a mean over n_runs seeds to draws (B,)."""
    rng = np.random.default_rng(1)
    deviation = np.sqrt(seeds.variance / n_runs)
    noise = (
        rng.standard_t(seeds.freedom, size=len(draws))
        if seeds.freedom > 2
        else (rng.standard_normal(len(draws)))
    )
    return np.asarray(np.clip(draws + deviation * noise, 0, 1))


def estimate_all(
    one: Configuration, level: float, seeds: Mapping[str, SeedVariance]
) -> dict[str, Estimate]:
    """Estimate every metric that a configuration's runs logged, by name."""
    found = {
        name: estimate_metric(one, metric, level, seeds[name]) for name, metric in METRICS.items()
    }
    return {name: estimate for name, estimate in found.items() if estimate is not None}
