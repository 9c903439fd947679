"""Images that hold little or nothing: of one count, of two, saturated, tiny, one bright pixel."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from bpsweep.data.catalog import read_catalog
from bpsweep.data.images import write_image

KINDS = ("constant", "halves", "pixel", "corner", "disc", "random", "stripe")
COUNTS = (0, 1, 2, 350, 4000, 60000, 65534, 65535)


def make_flat(kind: str, shape: tuple[int, int], low: int, high: int, seed: int = 0) -> np.ndarray:
    """Make an image of one count `low`, with another count `high` in the places of its kind."""
    pixels = np.full(shape, low, np.uint16)
    down, right = (np.linspace(-1, 1, length) for length in shape)
    places = {
        "constant": np.zeros(shape, bool),
        "halves": (down[:, None] < 0) & np.ones(shape, bool),
        "pixel": np.zeros(shape, bool),
        "corner": np.zeros(shape, bool),
        "disc": down[:, None] ** 2 + right[None, :] ** 2 < 0.3,
        "random": np.random.default_rng(seed).random(shape) < 0.3,
        "stripe": np.abs(down[:, None] + 0 * right[None, :]) < 0.1,
    }
    places["pixel"][shape[0] // 2, shape[1] // 2] = True
    places["corner"][0, 0] = True
    pixels[places[kind]] = high
    return pixels


counts = st.sampled_from(COUNTS) | st.integers(0, 65535)
sides = st.sampled_from([1, 2, 3, 8, 40, 64, 97, 150])
flat_images = st.builds(
    make_flat,
    st.sampled_from(KINDS),
    st.tuples(sides, sides),
    counts,
    counts,
    st.integers(0, 9),
)


def list_images() -> Iterator[np.ndarray]:
    """Give one image of each kind, of many sizes and counts, for ever."""
    shapes = cycle([(60, 60), (3, 3), (1, 1), (97, 64), (1, 9), (150, 150)])
    lows, highs = cycle([350, 0, 65535, 40000]), cycle([65535, 351, 0, 800, 40001])
    for kind in cycle(KINDS):
        yield make_flat(kind, next(shapes), next(lows), next(highs))


def make_set(folder: Path, model: Path, images: Iterator[np.ndarray]) -> Path:
    """Make a set with the labels of another set, of other images."""
    folder.mkdir()
    (folder / "meta.csv").write_bytes((model / "meta.csv").read_bytes())
    for name in read_catalog(folder).table["filename"]:
        write_image(folder / name, next(images))
    return folder
