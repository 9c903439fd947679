"""Trainings on shuffled labels: what is scored where there is nothing to learn.

The labels of whole wells are shuffled among wells, for the cells of a well stand or fall together:
a network that learns one of two wells by heart says something of the other's like it. One such
training scores far above or below chance by itself, and the best of its epochs is above its mean.
Several of them, each with its own shuffle, are therefore taken together: something leads around
the labels only where their means over all epochs, among which none is chosen, are above chance by
a one-sided t test over shuffles. What the best configuration scores is held against their best
epochs, chosen as its own was.

benchmarks/false_alarms.py counts how often it is said of sets without any effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import ttest_1samp

from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.configurations import find_best_epoch
from bpsweep.report.statistics.scores import Metric

MIN_SHUFFLES: Final = 3
"""Fewer say nothing of their spread."""
_LEVEL: Final = 0.05


@dataclass(frozen=True)
class Shuffles:
    """What trainings on shuffled labels score.

    Args:
        best: Of each, at its best epoch, worst first.
        means: Of each, the mean over its epochs, in the order of `best`.
        probability: Of means as far above chance where nothing leads around the labels; None of
            fewer than `MIN_SHUFFLES`.
        n_as_good: How many score at least what the best configuration does.
    """

    best: tuple[float, ...]
    means: tuple[float, ...]
    probability: float | None
    n_as_good: int

    @property
    def leads_around(self) -> bool:
        """Whether something other than labels leads from training to validation cells."""
        return self.probability is not None and self.probability < _LEVEL


def judge_shuffles(
    runs: Sequence[RunRecord], metric: Metric, chance: float | None, winner: float | None
) -> Shuffles | None:
    """Judge finished trainings on shuffled labels; None where none has a value.

    Args:
        runs: Each with its own shuffle.
        metric: The judged one.
        chance: Its value of always naming the commonest label.
        winner: Its value of the best configuration.
    """
    found = []
    for run in runs:
        epoch = find_best_epoch(run)
        values = [
            float(row[metric.key])
            for row in run.epochs
            if isinstance(row.get(metric.key), int | float)
        ]
        if epoch is not None and values and isinstance(epoch.get(metric.key), int | float):
            found.append((float(epoch[metric.key]), float(np.mean(values))))
    if not found:
        return None
    found.sort(key=lambda pair: metric.rank(pair[0]))
    best, means = zip(*found, strict=True)
    n_as_good = 0 if winner is None else sum(metric.meets(value, winner) for value in best)
    return Shuffles(best, means, _find_probability(means, metric, chance), n_as_good)


def _find_probability(means: Sequence[float], metric: Metric, chance: float | None) -> float | None:
    if len(means) < MIN_SHUFFLES or chance is None:
        return None
    leads = np.array([metric.rank(value) - metric.rank(chance) for value in means])
    if np.ptp(leads) == 0:
        return 0.0 if leads[0] > 0 else 1.0
    return float(ttest_1samp(leads, 0.0, alternative="greater").pvalue)
