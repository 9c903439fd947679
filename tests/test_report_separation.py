"""The AUC against scikit-learn, and its interval against wells resampled one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_support import make_cells, say
from sklearn.metrics import roc_auc_score

from bpsweep.report.statistics.separation import place_cells, separate_particles


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.booleans())
def test_auc_agrees_with_scikit_learn(n: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.5
    positive[:2] = True, False
    scores = rng.integers(5, size=n).astype(float) if ties else rng.random(n)
    auc, influence = place_cells(scores, positive)
    assert auc == pytest.approx(roc_auc_score(positive, scores))
    assert influence.mean() == pytest.approx(0, abs=1e-9)


def test_interval_agrees_with_wells_resampled_one_by_one() -> None:
    cells = say(make_cells(1600, n_wells=80), 0.7, seed=2, well_spread=0.15)
    found = separate_particles(cells, np.ones(len(cells), dtype=bool), 0.95)
    assert found is not None
    iron = cells.particles == "Fe"
    rows = {
        (p, w): np.flatnonzero((cells.particles == p) & (cells.wells == w))
        for p, w in zip(cells.particles, cells.wells, strict=True)
    }
    groups = [[key for key in rows if (key[0] == "Fe") == kind] for kind in (True, False)]
    rng = np.random.default_rng(0)
    aucs = []
    for _ in range(300):
        drawn = [group[i] for group in groups for i in rng.integers(len(group), size=len(group))]
        taken = np.concatenate([rows[key] for key in drawn])
        aucs.append(roc_auc_score(iron[taken], cells.probabilities[taken, 0]))
    assert found.n_wells == 80
    assert found.draws.std() == pytest.approx(np.std(aucs), rel=0.15)


def test_cells_of_one_particle_cannot_be_told_apart() -> None:
    cells = make_cells(100)
    assert separate_particles(cells, cells.particles == "Fe", 0.95) is None


def test_told_apart_the_wrong_way_round_is_told_apart() -> None:
    cells = make_cells(800)
    rows = np.ones(len(cells), dtype=bool)
    wrong = separate_particles(say(cells, 0.2, seed=1), rows, 0.95)
    chance = separate_particles(say(cells, 0.5, seed=1), rows, 0.95)
    assert wrong is not None and chance is not None
    assert wrong.auc < 0.3 and wrong.tells_apart and not chance.tells_apart
    assert wrong.exceeds(chance) and not chance.exceeds(wrong)
