"""Pictures of the winner's cells for the report: right, wrong, and what it looked at."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.protocol import Weights
from bpsweep.agent.verdict.controls import check_data, read_settings
from bpsweep.agent.verdict.saliency import map_saliency
from bpsweep.report.page.cells import CellGroup, CellPicture
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.confusion import name_vector
from bpsweep.report.statistics.scores import decide_cells

N_SHOWN: Final = 8
"""Cells of each group."""
_SIDE: Final = 128  # pixels of a picture, where the image has fewer
_COLOR: Final = np.array([230, 159, 0], np.float32)  # orange of the Okabe-Ito palette
_STRONGEST: Final = 0.75  # how much the colour covers the pixel that matters most


def draw_cells(run: RunRecord, weights: Weights, data_dir: Path) -> list[CellPicture]:
    """Draw some validation cells of a run as it saw them, with what it looked at.

    Args:
        run: A finished run that kept its predictions.
        weights: What it learnt.
        data_dir: The image folder, which must be the one that the run was trained on.
    """
    predictions = run.predictions
    if predictions is None or not len(predictions):
        return []
    settings = read_settings(run)
    check_data(run, settings, data_dir)
    inputs = load_inputs(settings, data_dir, home.cache_root())
    decided = decide_cells(predictions)
    groups = choose_cells(predictions, decided)
    positions = np.concatenate(list(groups.values()))
    images = load_images(settings, inputs, predictions, positions)
    maps = map_saliency(settings, weights, images, decided[positions])
    pictures = []
    for number, (position, group) in enumerate(
        (position, group) for group, chosen in groups.items() for position in chosen
    ):
        pictures.append(
            CellPicture(
                group=group,
                condition=name_vector(predictions.truth[position], predictions.label_names),
                taken_for=name_vector(decided[position], predictions.label_names),
                confidence=float(_measure_confidence(predictions, decided)[position]),
                place=f"{predictions.plates[position]} {predictions.wells[position]}",
                image_png=encode_picture(images[number, 0]),
                saliency_png=encode_picture(images[number, 0], maps[number]),
            )
        )
    return pictures


def choose_cells(
    predictions: Predictions, decided: NDArray[np.uint8]
) -> dict[CellGroup, NDArray[np.int64]]:
    """Choose cells by group: right and wrong ones spread over the part, and the worst mistakes.

    The most confident mistakes are taken in turn from each condition.
    """
    right = (predictions.truth == decided).all(axis=1)
    confidence = _measure_confidence(predictions, decided)
    by_confidence = np.argsort(-confidence, kind="stable")
    mistakes = by_confidence[~right[by_confidence]]
    _, condition = np.unique(predictions.truth[mistakes], axis=0, return_inverse=True)
    condition = condition.reshape(-1)
    rank = np.array([np.sum(condition[:i] == one) for i, one in enumerate(condition)], int)
    worst = mistakes[np.argsort(rank, kind="stable")][:N_SHOWN]
    others = np.setdiff1d(np.flatnonzero(~right), worst)
    groups: dict[CellGroup, NDArray[np.int64]] = {
        "right": _spread(np.flatnonzero(right)),
        "wrong": _spread(others),
        "confident mistake": worst,
    }
    return {group: chosen for group, chosen in groups.items() if len(chosen)}


def _spread(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    n_shown = min(N_SHOWN, len(positions))
    return positions[np.linspace(0, len(positions) - 1, n_shown).astype(np.int64)]


def _measure_confidence(
    predictions: Predictions, decided: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(N,) the least probability among what was decided of each label."""
    p = predictions.probabilities
    least: NDArray[np.float32] = np.where(decided == 1, p, 1 - p).min(axis=1)
    return least


def load_images(
    settings: RunConfig, inputs: Inputs, predictions: Predictions, positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n, 1, S, S) float32 in [0, 1], some cells of the validation part as the model sees them."""
    rows = {name: row for row, name in enumerate(inputs.catalog.table["filename"].tolist())}
    wanted = np.array([rows[str(name)] for name in predictions.cells[positions]])
    order = {int(row): number for number, row in enumerate(inputs.split.val)}
    numbers = np.array([order[int(row)] for row in wanted])
    found: dict[int, NDArray[np.float32]] = {}
    first = 0
    for batch in inputs.validation.epoch(0):
        for number in numbers[(numbers >= first) & (numbers < first + len(batch.rows))]:
            found[int(number)] = batch.images[number - first].copy()
        first += len(batch.rows)
    return np.stack([found[int(number)] for number in numbers])


def encode_picture(
    image: NDArray[np.float32], saliency: NDArray[np.float32] | None = None
) -> bytes:
    """Encode an image (S, S) in [0, 1] as PNG, with what matters coloured where that is given."""
    pixels = np.repeat(255 * image[..., None], 3, axis=2)
    if saliency is not None:
        cover = _STRONGEST * saliency[..., None]
        pixels = pixels * (1 - cover) + _COLOR * cover
    picture = Image.fromarray(pixels.astype(np.uint8))
    times = max(1, round(_SIDE / len(image)))
    if times > 1:
        picture = picture.resize((times * len(image),) * 2, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return buffer.getvalue()
