"""Intervals: against independent implementations, and against truths that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from bpsweep.report.statistics.intervals import (
    Interval,
    find_interval,
    naive_interval,
    resample_difference,
    resample_mean,
    wilson_interval,
)
from bpsweep.report.statistics.wells import Wells, code_wells


def make_wells(sizes: list[int], n_strata: int = 2) -> Wells:
    well = np.repeat(np.arange(len(sizes)), sizes)
    particles = (well % n_strata).astype(np.str_)
    return code_wells(particles, well.astype(np.str_))


def interval_of(scores: np.ndarray, wells: Wells, **how: int) -> Interval:
    return find_interval(resample_mean(scores, wells, **how), float(scores.mean()))


def draw_scores(wells: Wells, truth: float, spread: float, rng: np.random.Generator):
    """Right or wrong for every cell, the wells' shares beta-distributed around the truth."""
    shares = np.full(wells.n_wells, truth)
    if spread:
        precision = truth * (1 - truth) / spread**2 - 1
        shares = rng.beta(truth * precision, (1 - truth) * precision, wells.n_wells)
    return (rng.random(wells.n_cells) < shares[wells.of_cell]).astype(float)


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_agrees_with_statsmodels(n: int, share: float, level: float) -> None:
    right = round(share * n)
    found = wilson_interval(right / n, n, level)
    expected = proportion_confint(right, n, alpha=1 - level, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_naive_interval_of_graded_scores_agrees_with_scipys_bootstrap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([0, 1 / 3, 1 / 2, 1], size=300, p=rng.dirichlet(np.ones(4) * 3))
    found = naive_interval(scores)
    expected = bootstrap(
        (scores,), np.mean, n_resamples=2000, method="percentile", rng=seed
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.012)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.15))
def test_spread_over_many_wells_is_the_cluster_robust_standard_error(
    seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    wells = make_wells(rng.integers(5, 60, 300).tolist(), n_strata=1)
    scores = draw_scores(wells, 0.8, spread, rng)
    fitted = OLS(scores, np.ones_like(scores)).fit(
        cov_type="cluster", cov_kwds={"groups": wells.of_cell}
    )
    # for cells alone count at least, and the cluster-robust variance may by luck be less than that
    least = np.sqrt(scores.var() / len(scores))
    draws = resample_mean(scores, wells, n_draws=4000)
    assert draws.std() == pytest.approx(max(fitted.bse[0], least), rel=0.08)


@pytest.mark.parametrize(("n_wells", "least"), [(16, 0.90), (8, 0.88), (4, 0.86)])
@pytest.mark.parametrize("spread", [0.0, 0.09])
def test_well_intervals_hold_the_truth_as_often_as_they_say(
    n_wells: int, least: float, spread: float
) -> None:
    """A small version of benchmarks/report_coverage.py; 300 simulations leave 2 to 3 points."""
    rng = np.random.default_rng(3)
    wells = make_wells(rng.integers(80, 140, n_wells).tolist())
    held = naive_held = 0
    for i in range(300):
        scores = draw_scores(wells, 0.8, spread, rng)
        found = interval_of(scores, wells, seed=i, n_draws=600)
        held += found.low <= 0.8 <= found.high
        naive = naive_interval(scores)
        naive_held += naive.low <= 0.8 <= naive.high
    assert least <= held / 300 <= 0.99
    assert (naive_held / 300 < 0.7) == (spread > 0)


def test_without_a_well_effect_the_interval_is_hardly_wider_than_the_naive_one() -> None:
    rng = np.random.default_rng(0)
    wells = make_wells([100] * 16)
    ratios = []
    for i in range(40):
        scores = draw_scores(wells, 0.8, 0.0, rng)
        over, naive = interval_of(scores, wells, seed=i), naive_interval(scores)
        ratios.append((over.high - over.low) / (naive.high - naive.low))
    assert 1.0 < np.mean(ratios) < 1.15  # wells and cells resampled plainly: 1.4


def test_particles_of_different_difficulty_are_not_a_well_effect() -> None:
    wells = make_wells([100] * 16)
    iron = wells.stratum[wells.of_cell] == 0
    rng = np.random.default_rng(0)
    scores = (rng.random(wells.n_cells) < np.where(iron, 0.95, 0.65)).astype(float)
    found, naive = interval_of(scores, wells), naive_interval(scores)
    assert found.high - found.low < 1.1 * (naive.high - naive.low)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_still_leaves_doubt(value: float) -> None:
    found = interval_of(np.full(30, value), make_wells([10, 10, 10], 1))
    assert 0 <= found.low < found.high <= 1
    assert found.low <= value <= found.high
    assert 0.05 < found.high - found.low < 0.2  # 3 / 30, the rule of three


def test_a_single_well_gives_the_spread_of_its_cells() -> None:
    scores = np.array([1.0] * 80 + [0.0] * 20)
    draws = resample_mean(scores, make_wells([100], 1))
    assert draws.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 100), rel=0.1)


def test_what_two_models_share_falls_out_of_their_difference() -> None:
    rng = np.random.default_rng(1)
    wells = make_wells([100] * 16)
    ones = draw_scores(wells, 0.7, 0.12, rng)
    better = np.maximum(ones, rng.random(wells.n_cells) < 0.1)  # mends a tenth of the mistakes
    mean = float((better - ones).mean())
    lead = find_interval(resample_difference(better, ones, wells), mean)
    assert lead.low > 0
    assert lead.low < mean < lead.high
    # each alone is too uncertain to say so
    assert interval_of(better, wells).low < interval_of(ones, wells).high


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_scores_of_any_wells_give_draws_around_their_mean(data) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    wells = make_wells(sizes, data.draw(st.integers(1, 3)))
    values = st.sampled_from([0.0, 1 / 3, 0.5, 1.0])
    scores = np.array(data.draw(st.lists(values, min_size=sum(sizes), max_size=sum(sizes))))
    draws = resample_mean(scores, wells, n_draws=100)
    assert np.isfinite(draws).all() and draws.min() >= 0 and draws.max() <= 1
    other = np.roll(scores, 1)
    assert np.isfinite(resample_difference(scores, other, wells, n_draws=100)).all()


def test_the_same_seed_draws_the_same() -> None:
    wells, rng = make_wells([50] * 8), np.random.default_rng(0)
    scores = draw_scores(wells, 0.8, 0.05, rng)
    assert np.array_equal(resample_mean(scores, wells), resample_mean(scores, wells))
