"""No interval is without width: what no cell of a sample shows may be so in others."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_support import make_cells, make_control, make_grid_sweep, make_run, say

from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.breakdown import break_down
from bpsweep.report.statistics.compare import compare_models
from bpsweep.report.statistics.intervals import (
    Interval,
    find_interval,
    naive_interval,
    resample_difference,
    resample_mean,
)
from bpsweep.report.statistics.separation import separate_particles
from bpsweep.report.statistics.verdict import judge
from bpsweep.report.statistics.wells import Wells, code_wells
from bpsweep.report.text.verdict import describe


def name_one_class(cells: Predictions, sureness: float = 0.99) -> Predictions:
    """Let a network take every cell for iron."""
    return replace(cells, probabilities=np.tile([sureness, 1 - sureness], (len(cells), 1)))


def make_wells(well: np.ndarray, n_strata: int = 2) -> Wells:
    return code_wells((well % n_strata).astype(np.str_), well.astype(np.str_))


def list_intervals(value: object) -> Iterator[Interval]:
    """Find the intervals in anything that statistics return."""
    if isinstance(value, Interval):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from list_intervals(getattr(value, field.name))
    elif isinstance(value, dict):
        yield from (one for part in value.values() for one in list_intervals(part))
    elif isinstance(value, tuple | list):
        yield from (one for part in value for one in list_intervals(part))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_scores_of_any_wells_give_an_interval_without_width(data: st.DataObject) -> None:
    """All alike, alike in each well, alike in each particle, or anything."""
    n_wells, n_strata = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 2))
    well = np.repeat(np.arange(n_wells), data.draw(st.integers(1, 12)))
    values = np.array(data.draw(st.lists(st.sampled_from([0.0, 1 / 3, 0.5, 1.0]), min_size=8)))
    by = data.draw(st.sampled_from(["all", "particle", "well", "cell"]))
    cell = np.arange(len(well))
    code = {"all": 0 * well, "particle": well % n_strata, "well": well, "cell": cell}
    scores, others = (np.resize(np.roll(values, i), len(well))[code[by]] for i in (0, 1))
    wells = make_wells(well, n_strata)
    mean = float(scores.mean())
    found = find_interval(resample_mean(scores, wells, n_draws=400), mean)
    for interval in (found, naive_interval(scores)):
        assert 0 <= interval.low <= mean <= interval.high <= 1
        assert interval.high - interval.low > 0.5 / (len(scores) + 1)
    for other in (others, scores):
        lead = float((scores - other).mean())
        found = find_interval(resample_difference(scores, other, wells, n_draws=400), lead)
        assert -1 <= found.low <= lead <= found.high <= 1
        assert found.high - found.low > 0.5 / (len(scores) + 1)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_no_separation_is_without_width(
    auc: float, n_iron: int, n_xray: int, by_cell: bool
) -> None:
    cells = make_cells(n_iron + n_xray, 4)
    iron = np.arange(len(cells)) < n_iron
    particles = np.where(iron, "Fe", "X-ray")
    p = np.where(iron, auc, 1 - auc) + (0.001 * np.arange(len(cells)) if by_cell else 0)
    chances = np.stack([p, 1 - p], axis=1).astype(np.float32)
    said = replace(cells, particles=particles, probabilities=chances)
    found = separate_particles(said, np.ones(len(cells), bool), 0.95)
    assert found is not None
    assert 0 <= found.interval.low <= found.auc <= found.interval.high <= 1
    assert found.interval.high - found.interval.low > 0.5 / len(cells)


@pytest.mark.parametrize("metric", ["accuracy", "jaccard", "hamming"])
@pytest.mark.parametrize("n_cells", [42, 1774])
def test_no_interval_of_a_verdict_is_without_width(metric: str, n_cells: int) -> None:
    """Every network names one class, or is right always: winner, control, the other model."""
    cells = make_cells(n_cells, 6)
    for accuracy in (None, 1.0):
        one = name_one_class(cells) if accuracy is None else say(cells, accuracy, 0)
        control = replace(make_control("background", 0.5, cells), predictions=one)
        sweep = make_grid_sweep([0.6] * 8, cells, control)
        runs = [make_run(run.id, one, **{**run.config, "model": "mlp"}) for run in sweep.runs]
        runs[-1] = replace(runs[-1], config={**runs[-1].config, "model": "lenet5"})
        sweep = replace(sweep, runs=tuple(runs))
        verdict = judge(sweep, metric=metric)
        widths = [
            found.high - found.low
            for part in (assess(verdict), break_down(one), compare_models([sweep]))
            for found in list_intervals(part)
        ]
        assert len(widths) > 30
        assert min(widths) > 0.5 / n_cells
        said = " ".join(describe(verdict))
        value = verdict.best.value
        assert f"{value:.1%} to {value:.1%}" not in said


@pytest.mark.parametrize(("n_cells", "truth"), [(42, 0.548), (42, 0.9), (200, 0.5)])
def test_the_share_of_one_class_is_held_as_often_as_said(n_cells: int, truth: float) -> None:
    """A network names iron for all; the cells at hand are a draw of those there are."""
    rng = np.random.default_rng(2)
    held = 0
    for i in range(400):
        iron = rng.random(n_cells) < truth
        well = 2 * rng.integers(0, 4, n_cells) + iron  # four wells of either particle
        scores = iron.astype(float)
        draws = resample_mean(scores, make_wells(well), seed=i, n_draws=500)
        found = find_interval(draws, float(scores.mean()))
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 400 <= 0.985


@pytest.mark.parametrize("n_cells", [42, 400])
def test_models_that_seldom_differ_are_told_apart_as_seldom_as_said(n_cells: int) -> None:
    """One is right on two cells of a hundred where the other is wrong, and the other way round."""
    rng = np.random.default_rng(3)
    wells = make_wells(np.arange(n_cells) % 8)
    wrong = 0
    for i in range(400):
        kind = rng.random(n_cells)
        ones, others = (kind < 0.02).astype(float), ((kind > 0.02) & (kind < 0.04)).astype(float)
        found = find_interval(
            resample_difference(ones, others, wells, seed=i, n_draws=500),
            float((ones - others).mean()),
        )
        wrong += not found.low <= 0 <= found.high
    assert wrong / 400 <= 0.07


def test_a_perfect_separation_is_held_as_often_as_said() -> None:
    """Iron cells score one standard deviation and more above X-ray cells: an AUC of 0.98."""
    rng = np.random.default_rng(4)
    cells = make_cells(40, 8)
    iron = cells.truth[:, 0] == 1
    shift = 2.9044  # standard deviations: norm.cdf(shift / sqrt(2)) = 0.98
    held = 0
    for i in range(300):
        score = rng.normal(0, 1, 40) + shift * iron
        p = (1 / (1 + np.exp(-score))).astype(np.float32)
        said = replace(cells, probabilities=np.stack([p, 1 - p], axis=1))
        found = separate_particles(said, np.ones(40, bool), 0.95, seed=i)
        assert found is not None
        held += found.interval.low <= 0.98 <= found.interval.high
    assert held / 300 >= 0.91
