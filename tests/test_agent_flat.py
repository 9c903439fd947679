"""Runs and controls on images with nothing in them: they are made, or say in words why not."""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from flat_support import flat_images, list_images, make_set
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsweep.agent.config import RunConfig
from bpsweep.agent.runs.describe import describe_start
from bpsweep.agent.runs.pictures import Decided, draw_samples
from bpsweep.agent.training.control_engines import HistogramEngine
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.loop import train
from bpsweep.agent.verdict.cells import encode_picture
from bpsweep.agent.verdict.controls import CONTROLS
from bpsweep.agent.verdict.saliency import map_saliency
from bpsweep.data.errors import FlatError
from bpsweep.data.geometry import fit_image
from bpsweep.data.intensity import NORMALIZATIONS
from bpsweep.data.loader import Batch
from bpsweep.models import ModelConfig, build_model

SETTINGS = {"image_size": 32, "split": "image", "subset": "all-4h", "epochs": 1, "batch_size": 16}


def list_cells(background: int | None, nucleus: int | None) -> Iterator[np.ndarray]:
    """Give images with a nucleus in the middle, the one or the other of one count."""
    rng = np.random.default_rng(0)
    across = np.linspace(-1, 1, 64)
    while True:
        inside = across[:, None] ** 2 + across[None, :] ** 2 < rng.uniform(0.45, 0.7)
        outer = rng.normal(350, 12, inside.shape) if background is None else background
        inner = rng.normal(900, 60, inside.shape) if nucleus is None else nucleus
        yield np.where(inside, inner, outer).astype(np.uint16)


def constant() -> Iterator[np.ndarray]:
    for count in cycle(range(100, 900, 100)):
        yield np.full((50, 40), count, np.uint16)


def load(folder: Path, tmp_path: Path, **more: object) -> tuple[RunConfig, Inputs]:
    config = RunConfig(**{**SETTINGS, **more})
    return config, load_inputs(config, folder, tmp_path / "cache")


@pytest.mark.parametrize("control", ["none", *CONTROLS])
def test_a_set_with_flat_images_among_others_has_every_control(
    small_set: Path, tmp_path: Path, control: str
) -> None:
    images = (next(one) for one in cycle([list_images(), list_cells(None, None)]))
    folder = make_set(tmp_path / "set", small_set, images)
    subset = "low-4h" if control == "sham" else "all-4h"
    for normalize in NORMALIZATIONS if control in ("background", "nucleus") else ["minmax"]:
        config, inputs = load(folder, tmp_path, control=control, normalize=normalize, subset=subset)
        found = train(config, inputs, lambda _: None).best
        assert np.isfinite(list(found.values.values())).all()
        said = describe_start(config, inputs)
        assert "flat images: " in said and " of " in said
        drawn = draw_samples(inputs, Decided(found.probabilities, inputs.validation_labels))
        assert all(one.pixels.dtype == np.uint8 for group in drawn.values() for one in group)


@pytest.mark.parametrize(
    ("images", "control", "said"),
    [
        (lambda: list_cells(0, None), "background", "control 'background' cannot be made"),
        (lambda: list_cells(350, None), "background", "240 of 240 images show one grey value or"),
        (lambda: list_cells(None, 900), "nucleus", "but the nucleus hidden"),
        (lambda: cycle([np.full((60, 60), 65535, np.uint16)]), "nucleus", "--only brightness"),
        (lambda: cycle([np.full((3, 3), 0, np.uint16)]), "none", "240 of 240 images are of one"),
        (constant, "none", "normalize 'plate' or 'clip'"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_words(
    small_set: Path,
    tmp_path: Path,
    images: Callable[[], Iterator[np.ndarray]],
    control: str,
    said: str,
) -> None:
    folder = make_set(tmp_path / "set", small_set, images())
    with pytest.raises(FlatError) as told:
        load(folder, tmp_path, control=control, geometry="native", image_size=64)
    assert said in str(told.value) and ".tif" in str(told.value)
    load(folder, tmp_path, control="brightness")  # by camera counts, which may differ


def test_one_side_being_flat_leaves_the_other_its_control(small_set: Path, tmp_path: Path) -> None:
    masked = make_set(tmp_path / "masked", small_set, list_cells(0, None))
    filled = make_set(tmp_path / "filled", small_set, list_cells(None, 900))
    for folder, control in ((masked, "nucleus"), (filled, "background"), (masked, "none")):
        config, inputs = load(folder, tmp_path, control=control)
        assert np.isfinite(train(config, inputs, lambda _: None).best.probabilities).all()
    with pytest.raises(FlatError):
        load(masked, tmp_path, control="background", normalize="plate")


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("n_cells", [1, 2, 3, 9, 11, 30])
def test_a_histogram_is_learnt_from_as_few_cells_as_there_are(n_cells: int, task: str) -> None:
    engine = HistogramEngine(RunConfig(control="histogram", task=task, epochs=1))
    n_labels = 2 if task == "single-label" else 7
    labels = np.eye(n_labels, dtype=np.float32)[np.arange(n_cells) % 2]
    batch = Batch(np.zeros((n_cells, 1, 8, 8), np.float32), labels, np.arange(n_cells))
    assert np.isfinite(engine.fit_epoch([batch]))
    assert engine.predict([batch]).shape == (n_cells, n_labels)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(flat_images, min_size=1, max_size=4),
    st.sampled_from(["lenet5", "mlp"]),
    st.sampled_from([1e-20, 1.0, 1e6, 1e12, 1e25]),
)
def test_saliency_of_flat_images_and_wild_networks_can_be_drawn(
    images: list[np.ndarray], model: str, scale: float
) -> None:
    pixels = np.stack([fit_image(one, 32, "resize") for one in images])[:, None] / 65535
    network = build_model(ModelConfig(model, 32, 2, 0))
    weights = {
        name: (value.numpy() * (scale if name.endswith("weight") else 1)).astype(np.float32)
        for name, value in network.state_dict().items()
    }
    decided = np.tile(np.array([1, 0], np.uint8), (len(images), 1))
    seen = pixels.astype(np.float32)
    maps = map_saliency(RunConfig(model=model, image_size=32), weights, seen, decided)
    assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1
    for image, one in zip(seen[:, 0], maps, strict=True):
        assert encode_picture(image, one).startswith(b"\x89PNG")
