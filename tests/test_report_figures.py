"""Figures: plotly accepts them, they show what was measured, and run no text from outside."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpsweep.report import metrics
from bpsweep.report.figures.confusion import draw_confusion
from bpsweep.report.figures.curves import Curve, collect_curves, draw_curves
from bpsweep.report.figures.estimates import Dot, Level, draw_estimates
from bpsweep.report.figures.figure import Figure, escape_text
from bpsweep.report.figures.importance import draw_importance, draw_interaction
from bpsweep.report.figures.palette import TEMPLATES
from bpsweep.report.figures.parallel import draw_parallel, scale_axis
from bpsweep.report.figures.reliability import draw_reliability
from bpsweep.report.figures.scatter import Column, draw_scatter
from bpsweep.report.records import REPLICATE, RunRecord, SweepRecord
from bpsweep.report.statistics.calibration import Bin, Calibration
from bpsweep.report.statistics.confusion import Confusion
from bpsweep.report.statistics.importance import Factor, Importance, Interaction
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import HAMMING

LONGEST_TITLE = 48


def make_run(
    name: str, accuracies: Sequence[float], kind: str = "train", **config: Any
) -> RunRecord:
    history = tuple(
        {
            metrics.EPOCH: epoch,
            metrics.VAL_ACCURACY: accuracy,
            metrics.VAL_LOSS: 1 - accuracy,
            metrics.ELAPSED_S: 2.5 * epoch,
        }
        for epoch, accuracy in enumerate(accuracies, start=1)
    )
    return RunRecord(name, name, "finished", config, history, kind=kind)


def make_sweep(*runs: RunRecord, beside: Sequence[RunRecord] = ()) -> SweepRecord:
    parameters = {"batch_size": {"values": [16, 64]}}
    return SweepRecord(
        "e/p/s", "s", "FINISHED", {"parameters": parameters}, runs, "", tuple(beside)
    )


CONFUSION = Confusion(
    ("Fe, 0.82 Gy", "X-ray, 1.0 Gy"),
    ("Fe, 0.82 Gy", "X-ray, 1.0 Gy", "other"),
    np.array([[80, 15, 5], [30, 70, 0]]),
)
INTERACTION = Interaction(
    "learning_rate",
    "batch_size",
    ("0.1", "0.2"),
    ("16", "32"),
    np.array([[0.7, np.nan], [0.8, 0.6]]),
    np.array([[1, 0], [1, 1]]),
    0.05,
)
CALIBRATION = Calibration(
    (Bin(0, 0.5, 0, None, None), Bin(0.5, 0.75, 40, 0.7, 0.6), Bin(0.75, 1, 90, 0.9, 1.0)),
    error=0.1,
    confidence=0.84,
    right=0.88,
)
SETTINGS = [{"model": "lenet5", "batch_size": 16}, {"model": "mlp", "batch_size": 64}]


def make_importance(*shares: float, explained: float = 0.7) -> Importance:
    """Make settings a, b, ... with these shares, each known to 0.15."""
    factors = [
        Factor(
            name=name,
            share=share,
            interval=Interval(max(0.0, share - 0.15), share + 0.15, 0.95, "runs"),
            direction="higher is better",
            best=16,
            first=share,
        )
        for name, share in zip("abc", shares, strict=False)
    ]
    return Importance("accuracy", tuple(factors), INTERACTION, 27, 0.03, explained)


def draw_all(synthetic: bool = True) -> list[Figure]:
    """Draw one figure of every kind."""
    curves = [
        Curve(
            "batch_size 16", (1, 2, 3), (0.6, 0.7, 0.8), (0.5, 0.6, 0.7), (0.7, 0.8, 0.9), "best"
        ),
        Curve("batch_size 64", (1, 2), (0.5, 0.6)),
        Curve("batch_size 32", (1, 2), (0.5, 0.81)),
    ]
    dots = [Dot("winner", 0.84, 0.8, 0.88, stressed=True), Dot("background", 0.55, n=900)]
    return [
        draw_curves(curves, target=0.8, synthetic=synthetic),
        draw_curves(curves, key=metrics.VAL_LOSS, x=metrics.ELAPSED_S, synthetic=synthetic),
        draw_parallel(SETTINGS, [0.84, None], target=0.8, synthetic=synthetic),
        draw_scatter(
            Column("learning_rate", (1e-4, 1e-2)),
            Column("accuracy", (0.7, 0.8), "%", (0.6, None), (0.8, None)),
            ["a", "b"],
            best=1,
            target=0.8,
            synthetic=synthetic,
        ),
        draw_importance(make_importance(0.6, 0.1), synthetic=synthetic),
        draw_interaction(INTERACTION, "accuracy", synthetic=synthetic),
        draw_confusion(CONFUSION, "best configuration", synthetic),
        draw_reliability(CALIBRATION, synthetic),
        draw_estimates(
            dots,
            "The winner against its controls",
            [Level(0.5, "chance 50 %")],
            synthetic=synthetic,
        ),
    ]


@pytest.mark.parametrize("figure", draw_all(), ids=lambda figure: figure.name)
def test_plotly_accepts_every_figure(figure: Figure) -> None:
    plot = json.loads(json.dumps(figure.to_plotly(), allow_nan=False))
    drawn = go.Figure(plot)  # raises on any property or value that plotly does not have
    assert drawn.layout.title.text == figure.title
    assert "synthetic" in figure.title
    assert len(figure.title) <= LONGEST_TITLE, "cut off on a phone"
    assert len(figure.words.split()) >= 8
    if figure.name != "parallel":  # whose axes are its own
        assert drawn.layout.xaxis.title.text
        assert drawn.layout.yaxis.title.text or drawn.layout.yaxis.type == "category"


def test_nothing_real_is_called_synthetic() -> None:
    assert not [figure.title for figure in draw_all(False) if "synthetic" in figure.title]


@pytest.mark.parametrize("scheme", sorted(TEMPLATES))
def test_plotly_accepts_the_templates(scheme: str) -> None:
    go.Figure(layout={"template": TEMPLATES[scheme]})


def test_curves_join_replicates_to_a_mean_and_a_band() -> None:
    sweep = make_sweep(
        make_run("a", [0.5, 0.7], batch_size=16, seed=1),
        make_run("b", [0.4, 0.4, 0.4], batch_size=64, seed=1),
        beside=[make_run("c", [0.6, 0.9, 0.9], REPLICATE, batch_size=16, seed=2)],
    )
    wide, single = collect_curves(sweep, roles={"a": "best"})
    assert wide.y == pytest.approx((0.55, 0.8))
    assert wide.low == (0.5, 0.7)
    assert wide.high == (0.6, 0.9)
    assert single.y == (0.4, 0.4, 0.4)
    assert not single.low
    figure = draw_curves([wide, single], target=0.8)
    assert "80.0 %" in figure.words
    assert "batch_size 16" in figure.words
    assert [shape["y0"] for shape in figure.layout["shapes"]] == [0.8]


def test_a_thousand_curves_are_a_few_traces() -> None:
    curves = [Curve(str(i), tuple(range(50)), (0.5,) * 50) for i in range(1000)]
    figure = draw_curves(curves)
    assert len(figure.data) == 1
    assert len(figure.data[0]["x"]) == 1000 * 51
    assert "text" not in figure.data[0]


def test_axes_keep_order_and_what_is_missing() -> None:
    few = scale_axis("batch_size", [64, 16, None, 32])
    assert few.positions == (1.0, 0.0, None, 0.5)
    assert [text for _, text in few.ticks] == ["16", "32", "64"]
    log = scale_axis("learning_rate", [10.0**-i for i in range(1, 11)])
    assert log.positions[0] == pytest.approx(1)
    assert log.positions[4] == pytest.approx(5 / 9)
    words = scale_axis("augment", [True, False, 1])
    assert len(set(words.positions)) == 3


def test_parallel_says_which_line_is_best() -> None:
    figure = draw_parallel(SETTINGS, [0.3, 0.2], HAMMING)
    assert "model mlp, batch_size 64" in figure.words
    axes = figure.layout["meta"]["axes"]
    assert [axis["name"] for axis in axes] == ["model", "batch_size", "Hamming loss"]


def test_confusion_shares_are_of_rows() -> None:
    figure = draw_confusion(CONFUSION)
    assert figure.data[0]["z"] == [[0.8, 0.15, 0.05], [0.3, 0.7, 0.0]]
    assert "X-ray, 1.0 Gy taken for Fe, 0.82 Gy: 30 of 100" in figure.words


def test_importance_says_when_the_order_is_open_and_when_it_is_chance() -> None:
    assert "overlap" not in draw_importance(make_importance(0.8, 0.1)).words
    assert "overlap" in draw_importance(make_importance(0.5, 0.4)).words
    assert "chance" in draw_importance(make_importance(0.8, 0.1, explained=0.0)).words


def test_interaction_leaves_out_what_was_not_run() -> None:
    figure = draw_interaction(INTERACTION, "accuracy")
    assert figure.data[0]["z"] == [[0.7, None], [0.8, 0.6]]
    assert "80.0%, at learning_rate 0.2 and batch_size 16" in figure.words


@given(name=st.text(alphabet="<>&\"'a/:=%{}", max_size=30))
def test_texts_from_outside_hold_no_tag(name: str) -> None:
    assert "<" not in escape_text(name)
    (trace,) = draw_curves([Curve(name, (1, 2), (0.5, 0.6))]).data
    assert trace["text"] == [escape_text(name)] * 2 + [None]
    assert trace["hovertemplate"].startswith("%{text}<br>"), "a name is no template"
