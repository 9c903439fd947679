"""Which setting mattered: known functions recovered, and the variance shared out exactly."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from report_support import SETTINGS, make_cells, make_grid_sweep, make_run, say
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from bpsweep.report.statistics.forest import build_grid, predict_grid, share_variance
from bpsweep.report.statistics.goals import set_goal
from bpsweep.report.statistics.importance import weigh_parameters, weigh_values
from bpsweep.report.text.evidence import explain_importance, judge_claim

GRID = np.array(list(itertools.product(*SETTINGS.values())))
CODES = np.array(list(itertools.product(range(3), repeat=3)), dtype=float)


def columns_of(table: np.ndarray) -> dict[str, list[float]]:
    return {name: table[:, i].tolist() for i, name in enumerate(SETTINGS)}


def known_function(codes: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """batch_size dominates, epochs act through it alone, learning_rate does nothing."""
    batch, epochs, _ = codes.T - 1
    return (
        0.8
        - 0.04 * batch
        - 0.035 * batch * epochs
        + np.random.default_rng(seed).normal(0, noise, len(codes))
    )


def test_a_known_function_is_recovered_in_the_right_order() -> None:
    """A small version of benchmarks/report_importance.py."""
    grid = build_grid(CODES)
    for seed in range(20):
        values = known_function(CODES, 0.01, seed)
        shares, _ = share_variance(predict_grid(CODES, values, grid, 64, seed))
        assert shares[0] > shares[1] > shares[2]


@given(arrays(np.float64, (3, 4, 2), elements=st.floats(0, 1)))
def test_shares_sum_to_one_and_follow_a_relabelling(function: np.ndarray) -> None:
    shares, pairs = share_variance(function)
    if function.std() < 1e-8:
        return
    assert shares.sum() == pytest.approx(1)
    turned, _ = share_variance(function.transpose(2, 0, 1))
    assert turned == pytest.approx(shares[[2, 0, 1]])
    assert np.array_equal(pairs, pairs.T) and (shares >= 0).all()


def test_on_a_full_grid_the_shares_are_those_of_an_analysis_of_variance() -> None:
    values = known_function(CODES, 0.01, 0)
    table = pd.DataFrame(CODES, columns=["a", "b", "c"]).assign(y=values)
    found = anova_lm(ols("y ~ C(a) * C(b) + C(a) * C(c) + C(b) * C(c)", table).fit())["sum_sq"]
    total = found.sum()
    shares, pairs = share_variance(predict_grid(CODES, values, build_grid(CODES), 16, 0))
    assert pairs[0, 1] == pytest.approx(found["C(a):C(b)"] / total, abs=1e-6)
    third = found["Residual"] / 3
    expected = found["C(a)"] + (found["C(a):C(b)"] + found["C(a):C(c)"]) / 2 + third
    assert shares[0] == pytest.approx(expected / total, abs=1e-6)


def test_the_words_name_the_setting_its_sign_and_the_claim() -> None:
    found = weigh_values(columns_of(GRID), known_function(CODES, 0.01, 1), set_goal())
    assert [one.name for one in found.factors][:2] == ["batch_size", "epochs"]
    assert found.factors[0].direction == "higher is worse"
    assert found.explained > 0.5
    assert judge_claim(found) == "confirmed by this sweep"
    assert explain_importance(found)[0].startswith("batch_size contributed most to accuracy (0.")
    assert "higher is worse" in explain_importance(found)[0]
    assert found.interaction is not None and found.interaction.means.shape == (3, 3)
    assert found.interaction.counts.sum() == 27
    assert found.interaction.share > 0.2


def test_the_sign_is_turned_round_for_hamming() -> None:
    loss = 1 - known_function(CODES, 0.01, 1)
    found = weigh_values(columns_of(GRID), loss, set_goal(metric="hamming"))
    assert found.factors[0].direction == "higher is worse"
    assert found.factors[0].best == 16


def test_a_claim_about_another_setting_is_refuted() -> None:
    names = ("learning_rate", "epochs", "batch_size")
    columns = dict(zip(names, GRID.T.tolist(), strict=True))
    found = weigh_values(columns, known_function(CODES, 0.01, 1), set_goal())
    assert found.factors[0].name == "learning_rate"
    assert judge_claim(found) == "refuted by this sweep"


def test_noise_is_called_noise() -> None:
    values = np.random.default_rng(4).normal(0.8, 0.01, 27)
    found = weigh_values(columns_of(GRID), values, set_goal())
    assert found.explained <= 0
    assert explain_importance(found)[0].startswith("No setting mattered measurably")
    assert judge_claim(found) == "not supported by this sweep"


def test_texts_and_many_values_are_weighed_and_binned() -> None:
    rng = np.random.default_rng(0)
    rates = 10 ** rng.uniform(-4, -2, 30)
    models = ["lenet5" if i % 2 else "mlp" for i in range(30)]
    values = np.where(np.array(models) == "lenet5", 0.8, 0.6) + rng.normal(0, 0.01, 30)
    found = weigh_values({"learning_rate": rates.tolist(), "model": models}, values, set_goal())
    assert (found.factors[0].name, found.factors[0].best) == ("model", "lenet5")
    assert found.factors[0].direction is None
    assert found.interaction is not None
    assert found.interaction.means.shape == (6, 2) and " to " in found.interaction.row_values[0]


def test_a_sweep_is_weighed_over_its_runs_without_the_seed() -> None:
    cells = make_cells(600)
    sweep = make_grid_sweep([0.9 - 0.08 * (i // 9) for i in range(27)], cells)
    again = make_run(
        "again", say(cells, 0.9, 77), kind="replicate", batch_size=16, epochs=5, learning_rate=3e-4
    )
    sweep = sweep.__class__(**{**sweep.__dict__, "beside": (again,)})
    found = weigh_parameters(sweep, set_goal(), n_resamplings=40)
    assert found is not None and found.n_runs == 28
    assert found.factors[0].name == "batch_size"
    few = sweep.__class__(**{**sweep.__dict__, "runs": sweep.runs[:4], "beside": ()})
    assert weigh_parameters(few, set_goal()) is None
