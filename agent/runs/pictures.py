"""What a run shows: its confusion matrix and some cells with what it took them for."""

from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bpsweep.agent.tracking.run import Picture
from bpsweep.agent.training.inputs import Inputs
from bpsweep.report.metrics import Labels, Probabilities
from bpsweep.report.statistics.confusion import Confusion, name_vector

N_SAMPLES = 8
"""How many right and how many wrong cells are shown."""


def draw_confusion(confusion: Confusion, title: str) -> Picture:
    """Draw counts by true (rows) and predicted (columns) condition, shaded by share of the row."""
    counts = confusion.counts
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.75 * len(confusion.columns)
    # Not by pyplot, which is made for one thread: runs of a stack end in several.
    figure = Figure(figsize=(side + 0.8, side), dpi=110, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(confusion.columns)), confusion.columns, rotation=35, ha="right")
    axes.set_yticks(range(len(confusion.rows)), confusion.rows)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (i, j), count in np.ndenumerate(counts):
        color = "white" if shares[i, j] > 0.5 else "black"
        axes.text(j, i, f"{count}\n{shares[i, j]:.0%}", ha="center", va="center", color=color)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return Picture(pixels[:, :, :3].copy(), title)


@dataclass(frozen=True)
class Decided:
    """What a run predicts for its validation part: probabilities and decisions, both (N, L)."""

    probabilities: Probabilities
    decided: Labels


def draw_samples(inputs: Inputs, predictions: Decided) -> dict[str, list[Picture]]:
    """Draw some validation cells, right and wrong ones, as the model sees them.

    Returns:
        "samples/right" and "samples/wrong" (where there are any), each spread evenly over the
        validation part, so that plates and wells are mixed and the choice is repeatable.
    """
    right = (inputs.validation_labels == predictions.decided).all(axis=1)
    groups = {"samples/right": np.flatnonzero(right), "samples/wrong": np.flatnonzero(~right)}
    return {
        name: [_draw_cell(inputs, predictions, int(i)) for i in _spread(positions)]
        for name, positions in groups.items()
        if len(positions)
    }


def _spread(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    n_shown = min(N_SAMPLES, len(positions))
    return positions[np.linspace(0, len(positions) - 1, n_shown).astype(np.int64)]


def _draw_cell(inputs: Inputs, predictions: Decided, position: int) -> Picture:
    row = int(inputs.split.val[position])
    image = inputs.cache.images[row].astype(np.float32)
    low, high = image.min(), image.max()
    pixels = ((image - low) / max(high - low, 1) * 255).astype(np.uint8)
    true = name_vector(inputs.labels[row], inputs.label_names)
    decided = name_vector(predictions.decided[position], inputs.label_names)
    sure = predictions.probabilities[position].max()
    cell = inputs.catalog.table.iloc[row]
    source = "synthetic, " if inputs.catalog.synthetic else ""
    caption = f"{source}true {true}; predicted {decided} ({sure:.0%}); {cell['filename']}"
    return Picture(pixels, caption)
