"""Reliability against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_support import make_cells, say
from sklearn.calibration import calibration_curve

from bpsweep.report.statistics.calibration import measure_calibration
from bpsweep.report.statistics.scores import decide_cells


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.3, 0.95))
def test_reliability_agrees_with_scikit_learn(seed: int, accuracy: float) -> None:
    cells = say(make_cells(300), accuracy, seed)
    found = measure_calibration(cells)
    confidence = cells.probabilities.astype(np.float64).max(axis=1)
    right = (decide_cells(cells) == cells.truth).all(axis=1)
    shares, means = calibration_curve(right, confidence, n_bins=10)
    filled = [one for one in found.bins if one.n]
    assert [one.right for one in filled] == pytest.approx(shares.tolist())
    assert [one.confidence for one in filled] == pytest.approx(means.tolist())
    gaps = [one.n * abs(one.right - one.confidence) for one in filled]
    assert found.error == pytest.approx(sum(gaps) / len(cells))


def test_a_model_that_is_too_sure_is_called_so() -> None:
    assert measure_calibration(say(make_cells(600), 0.55, 1)).is_overconfident
    assert not measure_calibration(say(make_cells(600), 0.99, 1)).is_overconfident
