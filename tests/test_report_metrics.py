"""Accuracy, Jaccard, Hamming and log loss agree with scikit-learn on any label matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from bpsweep.report import metrics


@st.composite
def label_pairs(draw):
    shape = (draw(st.integers(1, 40)), draw(st.integers(2, 7)))
    binary = arrays(np.uint8, shape, elements=st.integers(0, 1))
    return draw(binary), draw(binary)


@given(label_pairs())
def test_metrics_agree_with_scikit_learn(pair) -> None:
    truth, predicted = pair
    assert metrics.accuracy(truth, predicted) == pytest.approx(
        reference.accuracy_score(truth, predicted)
    )
    assert metrics.jaccard(truth, predicted) == pytest.approx(
        reference.jaccard_score(truth, predicted, average="samples", zero_division=0)
    )
    assert metrics.hamming(truth, predicted) == pytest.approx(
        reference.hamming_loss(truth, predicted)
    )


@given(st.integers(1, 30), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_log_loss_agrees_with_scikit_learn(n: int, n_labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(n_labels), size=n).astype(np.float32)
    classes = rng.integers(n_labels, size=n)
    truth = np.eye(n_labels, dtype=np.uint8)[classes]
    safe = np.clip(probabilities.astype(np.float64), 1e-7, 1)
    expected = reference.log_loss(
        classes, safe / safe.sum(1, keepdims=True), labels=range(n_labels)
    )
    assert metrics.log_loss(truth, probabilities, exclusive=True) == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )
    per_label = [
        reference.log_loss(truth[:, j], np.clip(probabilities[:, j], 1e-7, 1 - 1e-7), labels=[0, 1])
        for j in range(n_labels)
    ]
    assert metrics.log_loss(truth, probabilities, exclusive=False) == pytest.approx(
        np.mean(per_label), rel=1e-4, abs=1e-5
    )


def test_decide_takes_the_likeliest_or_every_label_from_one_half() -> None:
    probabilities = np.array([[0.6, 0.4], [0.2, 0.45]], dtype=np.float32)
    assert metrics.decide(probabilities, exclusive=True).tolist() == [[1, 0], [0, 1]]
    assert metrics.decide(probabilities, exclusive=False).tolist() == [[1, 0], [0, 0]]
