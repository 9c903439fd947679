"""The table of predictions reads back as it was written, and nothing else is taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpsweep.report.predictions import Predictions, read_predictions, write_predictions


def make_predictions(n: int, n_labels: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    return Predictions(
        cells=np.array([f"P1_2-A{i % 7}_003_{i:03}_proj.tif" for i in range(n)], dtype=np.str_),
        plates=np.array(["P1"] * n, dtype=np.str_),
        wells=np.array([f"A{i % 7}" for i in range(n)], dtype=np.str_),
        fields=rng.integers(0, 99, n),
        particles=np.array(["X-ray", "Fe"] * n, dtype=np.str_)[:n],
        doses_gy=rng.choice([0.0, 0.3, 0.82], n),
        hours=rng.choice([4, 24, 48], n),
        label_names=("Fe", "X-ray", "0.82 Gy")[:n_labels],
        truth=rng.integers(0, 2, (n, n_labels), dtype=np.uint8),
        probabilities=rng.random((n, n_labels), dtype=np.float32),
    )


@given(n=st.integers(1, 20), n_labels=st.integers(1, 3), seed=st.integers(0, 99))
def test_what_is_written_is_read_back(n: int, n_labels: int, seed: int) -> None:
    written = make_predictions(n, n_labels, seed)
    found = read_predictions(write_predictions(written))
    assert found.label_names == written.label_names and len(found) == n
    for name in ("cells", "plates", "wells", "fields", "particles", "doses_gy", "hours", "truth"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), err_msg=name)
    np.testing.assert_allclose(found.probabilities, written.probabilities, rtol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "cell,plate,well,field,particle,dose_gy,hour\n"]
)
def test_another_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a table of predictions"):
        read_predictions(text)
