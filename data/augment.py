"""Random moves of single images: the eight symmetries of the square, and small shifts."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

N_TURNS: Final = 8  # elements of the dihedral group
_SHIFT_SHARE: Final = 1 / 32  # greatest shift as a share of the side, to each direction


def draw_moves(n_images: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, 3) of turn (0 to 7), and pixels down and to the right, for every image on its own."""
    furthest = round(size * _SHIFT_SHARE)
    turns = rng.integers(N_TURNS, size=(n_images, 1))
    shifts = rng.integers(-furthest, furthest + 1, size=(n_images, 2))
    return np.concatenate([turns, shifts], axis=1)


def move_images(
    images: NDArray[Any], rows: NDArray[np.int64], moves: NDArray[np.int64]
) -> NDArray[Any]:
    """Some images, each shifted and turned as its move says.

    A shift goes around in reading order: what leaves at the right enters at the left one line
    further, what leaves at the bottom enters at the top. So every image keeps exactly its
    pixels, and a shift is two copies.

    Args:
        images: (N, S, S), C-contiguous.
        rows: (B,) of them.
        moves: (B, 3) as from `draw_moves`.

    Returns:
        (B, S, S) of the images' type.
    """
    size = images.shape[1]
    flat = images.reshape(len(images), size * size)
    moved = np.empty((len(rows), size, size), images.dtype)
    line = np.empty(size * size, images.dtype)
    square = line.reshape(size, size)
    for target, row, (turn, down, right) in zip(moved, rows.tolist(), moves.tolist(), strict=True):
        n_around = (down * size + right) % (size * size)
        source = flat[row]
        line[n_around:] = source[: size * size - n_around]
        line[:n_around] = source[size * size - n_around :]
        target[:] = turn_image(square, turn)
    return moved


def turn_image(image: NDArray[Any], turn: int) -> NDArray[Any]:
    """A view of an (S, S) image under one of the eight symmetries of the square."""
    if turn & 4:
        image = image.T
    if turn & 2:
        image = image[::-1]
    return image[:, ::-1] if turn & 1 else image
