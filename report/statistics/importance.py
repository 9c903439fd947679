"""Which swept setting mattered, how sure that is, and which way it went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.records import REPLICATE, RunRecord, SweepRecord, is_number
from bpsweep.report.statistics.configurations import SEED, find_best_epoch
from bpsweep.report.statistics.forest import (
    Values,
    build_grid,
    find_slopes,
    learn_forest,
    predict_grid,
    share_variance,
)
from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.intervals import Interval

MIN_RUNS: Final = 6
"""Fewer say nothing of importance."""
N_TREES: Final = 128
_N_RESAMPLINGS: Final = 200
_N_RESAMPLED_TREES: Final = 12
_N_FOLDS, _N_REPEATS = 9, 3
_MAX_LEVELS: Final = 6  # of a heat map's side; more values are put into bins
_SEED: Final = 7

Direction = Literal["higher is better", "higher is worse", "no clear direction"]


@dataclass(frozen=True)
class Factor:
    """One swept setting.

    Args:
        name: The setting.
        share: Of the metric's variance over the settings, 0 to 1, all settings' summing to 1;
            half of what two explain only together counts for each.
        interval: Of the share, runs resampled.
        direction: Whether more of it is better; None for settings without an order, or where the
            best lies in between.
        best: The value with the best mean metric.
        first: Share of resamplings in which it mattered most.
    """

    name: str
    share: float
    interval: Interval
    direction: Direction | None
    best: Any
    first: float


@dataclass(frozen=True)
class Interaction:
    """The metric over the values of two settings.

    Args:
        rows, columns: Names of the settings.
        row_values, column_values: Their values in words, R and C of them; ranges where a setting
            took many.
        means: (R, C) mean metric of the runs there, NaN where there is none.
        counts: (R, C) number of runs.
        share: Of the metric's variance that the two explain only together.
    """

    rows: str
    columns: str
    row_values: tuple[str, ...]
    column_values: tuple[str, ...]
    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    share: float


@dataclass(frozen=True)
class Importance:
    """What the swept settings did to the metric.

    Args:
        metric: Name of the metric.
        factors: The settings, the most important first.
        interaction: Of the top two; None where one was swept.
        n_runs: Number of runs that it rests on.
        spread: Standard deviation of the metric over these runs.
        explained: Share of the metric's variance that the settings explain of runs held out; at 0
            or below the shares are those of noise.
    """

    metric: str
    factors: tuple[Factor, ...]
    interaction: Interaction | None
    n_runs: int
    spread: float
    explained: float


def weigh_parameters(
    sweep: SweepRecord, goal: Goal, n_resamplings: int = _N_RESAMPLINGS
) -> Importance | None:
    """Weigh every swept setting by what it did to the metric.

    Replicates count as runs; the seed is what they differ in, not a setting to weigh.

    Args:
        sweep: The sweep with the runs beside it.
        goal: Which metric, and the confidence of the intervals.
        n_resamplings: For the intervals.

    Returns:
        None where fewer than `MIN_RUNS` runs have a result, or nothing varied.
    """
    runs = [*sweep.runs, *(run for run in sweep.beside if run.kind == REPLICATE)]
    found = [(run, value) for run in runs if (value := _read_value(run, goal)) is not None]
    names = [
        name
        for name in sweep.swept
        if name != SEED and len({repr(run.config.get(name)) for run, _ in found}) > 1
    ]
    values = np.array([value for _, value in found])
    if len(found) < MIN_RUNS or not names or values.std() == 0:
        return None
    columns = {name: [run.config.get(name) for run, _ in found] for name in names}
    return weigh_values(columns, values, goal, n_resamplings)


def weigh_values(
    columns: Mapping[str, Sequence[Any]],
    values: Values,
    goal: Goal,
    n_resamplings: int = _N_RESAMPLINGS,
) -> Importance:
    """Weigh settings, a column of N values each, by a metric (N,); as `weigh_parameters`."""
    coded = [_code(column) for column in columns.values()]
    codes = np.stack([one.codes for one in coded], axis=1).astype(np.float64)
    grid = build_grid(codes)
    predicted = predict_grid(codes, values, grid, N_TREES, _SEED)
    shares, pairs = share_variance(predicted)
    resampled, slopes = _resample(codes, values, n_resamplings)
    tail = (1 - goal.level) / 2
    # What no run of n shows may still hold for so many of others (at 95 % about 3 / n), see J. A.
    # Hanley, A. Lippman-Hand, JAMA 249, 1743 (1983), doi 10.1001/jama.1983.03330370053031.
    unseen = 1 - (1 - goal.level) ** (1 / len(values))
    factors = []
    for i, name in enumerate(columns):
        low, high = np.quantile(resampled[:, i], [tail, 1 - tail])
        share = float(shares[i])
        if len(columns) > 1:  # one alone explains all that is explained, whatever runs show
            low, high = min(low, share * (1 - unseen)), max(high, share + (1 - share) * unseen)
        factors.append(
            Factor(
                name=name,
                share=share,
                interval=Interval(
                    min(float(low), share), max(float(high), share), goal.level, "runs"
                ),
                direction=_find_direction(slopes[:, i], coded[i], goal),
                best=_find_best(columns[name], values, goal),
                first=float((resampled.argmax(axis=1) == i).mean()),
            )
        )
    order = np.argsort(-shares, kind="stable")
    interaction = None
    if len(order) > 1:
        first, second = sorted(order[:2].tolist())
        names = list(columns)
        interaction = _tabulate(
            (names[first], names[second]),
            (coded[first], coded[second]),
            values,
            float(pairs[first, second]),
        )
    return Importance(
        metric=goal.metric.name,
        factors=tuple(factors[i] for i in order),
        interaction=interaction,
        n_runs=len(values),
        spread=float(values.std(ddof=1)),
        explained=_explain(codes, values),
    )


def _resample(codes: Values, values: Values, n: int) -> tuple[Values, Values]:
    """Weigh resampled runs n times: (n, P) shares and slopes."""
    rng = np.random.default_rng(_SEED)
    shares, slopes = np.zeros((2, n, codes.shape[1]))
    for i in range(n):
        drawn = rng.integers(len(values), size=len(values))
        if values[drawn].std() > 0:
            grid = build_grid(codes[drawn])
            predicted = predict_grid(codes[drawn], values[drawn], grid, _N_RESAMPLED_TREES, i)
            shares[i], _ = share_variance(predicted)
            slopes[i] = find_slopes(predicted)
    return shares, slopes


def _explain(codes: Values, values: Values) -> float:
    """Return the share of variance that forests explain of runs that they have not seen."""
    rng = np.random.default_rng(_SEED)
    missed = 0.0
    for repeat in range(_N_REPEATS):
        for part in np.array_split(rng.permutation(len(values)), min(_N_FOLDS, len(values))):
            kept = np.setdiff1d(np.arange(len(values)), part)
            learnt = learn_forest(codes[kept], values[kept], _N_RESAMPLED_TREES, repeat)
            missed += float(((learnt(codes[part]) - values[part]) ** 2).sum()) / _N_REPEATS
    return 1 - missed / float(((values - values.mean()) ** 2).sum())


@dataclass(frozen=True)
class _Coded:
    """A column of settings as the ranks of its values.

    Args:
        codes: (N,) from 0.
        values: The distinct values in order.
        ordered: Whether they are numbers.
    """

    codes: NDArray[np.int64]
    values: tuple[Any, ...]
    ordered: bool


def _code(column: Sequence[Any]) -> _Coded:
    ordered = all(isinstance(one, int | float) and not isinstance(one, bool) for one in column)
    keys = [float(one) if ordered else str(one) for one in column]
    known = sorted(set(keys))
    by_key = dict(zip(keys, column, strict=True))
    codes = np.array([known.index(key) for key in keys], dtype=np.int64)
    return _Coded(codes, tuple(by_key[key] for key in known), ordered)


def _read_value(run: RunRecord, goal: Goal) -> float | None:
    best = find_best_epoch(run)
    value = None if best is None or run.state == "running" else best.get(goal.metric.key)
    return float(value) if is_number(value) else None


def _find_direction(slopes: Values, coded: _Coded, goal: Goal) -> Direction | None:
    """Read the direction from the slopes (n,) of resampled runs, where nearly all agree."""
    if not coded.ordered:
        return None
    rising = float((slopes > 0).mean())
    if rising >= goal.level:
        return "higher is better" if goal.metric.higher_is_better else "higher is worse"
    if (slopes < 0).mean() >= goal.level:
        return "higher is worse" if goal.metric.higher_is_better else "higher is better"
    return "no clear direction"


def _find_best(column: Sequence[Any], values: Values, goal: Goal) -> Any:
    keys = np.array([repr(one) for one in column])
    means = {repr(one): float(values[keys == repr(one)].mean()) for one in column}
    return max(column, key=lambda one: goal.metric.rank(means[repr(one)]))


def _tabulate(
    names: tuple[str, str], coded: tuple[_Coded, _Coded], values: Values, share: float
) -> Interaction:
    (rows, row_values), (columns, column_values) = (_bin(one) for one in coded)
    shape = len(row_values), len(column_values)
    counts, sums = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    np.add.at(counts, (rows, columns), 1)
    np.add.at(sums, (rows, columns), values)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return Interaction(*names, row_values, column_values, means, counts, share)


def _bin(coded: _Coded) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Put many numbers into bins of nearly as many values each, and name these."""
    if len(coded.values) <= _MAX_LEVELS or not coded.ordered:
        return coded.codes, tuple(_show(one) for one in coded.values)
    parts = np.array_split(np.arange(len(coded.values)), _MAX_LEVELS)
    bin_of = np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)])
    names = [f"{_show(coded.values[p[0]])} to {_show(coded.values[p[-1]])}" for p in parts]
    return bin_of[coded.codes], tuple(names)


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
