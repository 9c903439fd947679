"""A function of the swept settings learnt from the runs, and its variance shared out among them.

A forest of randomised trees learns the metric from the settings; the variance of what it predicts
over the whole grid of settings is then split into what each setting explains alone and what they
explain together (functional analysis of variance).

References:
    F. Hutter, H. Hoos, K. Leyton-Brown, An efficient approach for assessing hyperparameter
    importance, ICML 2014 (fANOVA); A. B. Owen, Sobol' indices and Shapley value,
    SIAM/ASA J. Uncertain. Quantif. 2, 245 (2014), doi 10.1137/130936233;
    P. Geurts, D. Ernst, L. Wehenkel, Extremely randomized trees, doi 10.1007/s10994-006-6226-1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

_MAX_POINTS: Final = 20_000  # of the grid

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Every combination of levels of P settings.

    Args:
        levels: For each setting the codes that stand for it.
        points: (M, P) float32, the last setting running fastest.
    """

    levels: tuple[Values, ...]
    points: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels of each setting."""
        return tuple(len(one) for one in self.levels)


def build_grid(codes: Values) -> Grid:
    """Build the grid of settings coded (N, P): all their levels, or as many as stay affordable."""
    n_settings = codes.shape[1]
    most = max(2, int(_MAX_POINTS ** (1 / n_settings)))
    levels = []
    for column in codes.T:
        distinct = np.unique(column)
        chosen = np.linspace(0, len(distinct) - 1, min(len(distinct), most)).round().astype(int)
        levels.append(distinct[chosen])
    mesh = np.meshgrid(*levels, indexing="ij")
    points = np.stack([axis.ravel() for axis in mesh], axis=1).astype(np.float32)
    return Grid(tuple(levels), points)


def learn_forest(
    codes: Values, values: Values, n_trees: int, seed: int
) -> Callable[[NDArray[Any]], Values]:
    """Learn values (N,) from codes (N, P); return the function of codes (M, P) to values (M,).

    Trees split at random places, and each sees all runs: on a few dozen runs that smooths as
    resampling would, and leaves resampling to the interval. On a full grid with one run a point
    the forest is the runs, and their variance is shared out exactly.
    """
    inputs = codes.astype(np.float32)
    trees: list[Any] = []
    with config_context(skip_parameter_validation=True):  # of thousands of trees all alike
        for tree in range(n_trees):
            model = DecisionTreeRegressor(splitter="random", random_state=seed + tree)
            trees.append(model.fit(inputs, values, check_input=False).tree_)

    def predict(points: NDArray[Any]) -> Values:
        wanted = np.ascontiguousarray(points, dtype=np.float32)
        return np.asarray(sum(tree.predict(wanted)[:, 0] for tree in trees) / n_trees)

    return predict


def predict_grid(codes: Values, values: Values, grid: Grid, n_trees: int, seed: int) -> Values:
    """Learn values (N,) from codes (N, P); return the forest's prediction, shaped as the grid."""
    learnt = learn_forest(codes, values, n_trees, seed)
    return learnt(grid.points).reshape(grid.shape)


def share_variance(predicted: Values) -> tuple[Values, Values]:
    """Share the variance of a function on a grid out among its P settings.

    Args:
        predicted: The function, one axis a setting.

    Returns:
        (P,) shares that sum to 1: each setting's own part, and of every interaction the same part
        for each partner (Shapley effects); and (P, P) shares of the interactions of two, symmetric.
        All 0 for a constant function.
    """
    n_settings = predicted.ndim
    axes = range(n_settings)
    closed: dict[tuple[int, ...], float] = {(): 0.0}
    parts: dict[tuple[int, ...], float] = {(): 0.0}
    for size in range(1, n_settings + 1):
        for group in combinations(axes, size):
            others = tuple(axis for axis in axes if axis not in group)
            closed[group] = float(predicted.mean(axis=others).var())
            inner = (part for n in range(size) for part in combinations(group, n))
            parts[group] = max(0.0, closed[group] - sum(parts[part] for part in inner))
    shares, pairs = np.zeros(n_settings), np.zeros((n_settings, n_settings))
    total = closed[tuple(axes)]
    if total <= 1e-18:
        return shares, pairs
    for group, part in parts.items():
        shares[list(group)] += part / max(1, len(group)) / total
        if len(group) == 2:
            pairs[group] = pairs[group[::-1]] = part / total
    return shares, pairs


def find_slopes(predicted: Values) -> Values:
    """Return (P,) correlations, -1 to 1, of each setting's levels with the mean value there."""
    slopes = []
    for axis in range(predicted.ndim):
        others = tuple(other for other in range(predicted.ndim) if other != axis)
        means = predicted.mean(axis=others)
        order = np.arange(len(means)) - (len(means) - 1) / 2
        spread = float(means.std() * np.sqrt((order**2).sum() * len(means)))
        slopes.append(float((order * means).sum()) / spread if spread > 1e-12 else 0.0)
    return np.array(slopes)
