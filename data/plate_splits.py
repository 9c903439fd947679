"""Whole plates held out, so that each side has every particle and differs in little else.

A plate of the published set holds one condition, and there are few plates: which of them validate
decides what a score can mean. Of many random divisions the one is taken in which the sides are most
alike in doses and hours, and in which the iron and the X-ray plates of a side have the same hours
and dose levels, so that neither tells the particle.

References:
    J. Sypetkowski et al., RxRx1: a dataset for evaluating experimental batch correction methods,
    CVPR Workshops 2023, arXiv:2301.05768, and P. W. Koh et al., WILDS: a benchmark of in-the-wild
    distribution shifts, ICML 2021, arXiv:2012.07421: whole experimental batches held out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpsweep.data.catalog import DOSES_GY
from bpsweep.data.errors import SplitError

_N_DRAWS: Final = 2000
_SHARE: Final = 0.2  # of the plates of a label, for validation and for test each; one at least

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Plates:
    """The plates of a catalogue.

    Attributes:
        names: (P,) plate names, ascending.
        of_row: int64 plate of every row.
        particles: (P,) the particle of most of the plate's cells.
        labels: (P,) particle and dose of most of its cells, "Fe 0.82 Gy".
        shares: (P, C) share of the plate's cells by hour, by dose level, and by both together.
    """

    names: tuple[str, ...]
    of_row: Numbers
    particles: NDArray[np.str_]
    labels: NDArray[np.str_]
    shares: NDArray[np.float64]

    @staticmethod
    def read(table: pd.DataFrame) -> "Plates":
        """The plates of a catalogue's table; a plate of two barcodes is one."""
        names, of_row = np.unique(table["plate"].to_numpy(dtype=str), return_inverse=True)
        of_row = of_row.reshape(-1).astype(np.int64)
        particles = table["particle"].to_numpy(dtype=str)
        doses = table["dose_gy"].to_numpy(dtype=float)
        both = [f"{particle} {dose:g} Gy" for particle, dose in zip(particles, doses, strict=True)]
        level = np.array([DOSES_GY[p].index(d) for p, d in zip(particles, doses, strict=True)])
        hour = table["hour"].to_numpy(dtype=np.int64)
        shares = [
            pd.crosstab(of_row, kind, normalize="index").to_numpy()
            for kind in (hour, level, 10 * hour + level)
        ]
        return Plates(
            tuple(str(name) for name in names),
            of_row,
            _find_commonest(of_row, particles),
            _find_commonest(of_row, np.array(both)),
            np.concatenate(shares, axis=1),
        )

    def describe(self, particle: str) -> str:
        """The plates of a particle, for messages: "3 of Fe (P242 P248 P251)"."""
        own = [name for name, of in zip(self.names, self.particles, strict=True) if of == particle]
        return f"{len(own)} of {particle} ({' '.join(own)})"


def _find_commonest(of_row: Numbers, values: NDArray[np.str_]) -> NDArray[np.str_]:
    counts = pd.crosstab(of_row, values)
    names = np.array(list(counts.columns), dtype=np.str_)
    return np.asarray(names[counts.to_numpy().argmax(axis=1)])


def hold_out_plates(table: pd.DataFrame, seed: int, with_test: bool) -> Numbers:
    """Side of every row (0 train, 1 val, 2 test): a plate in five of each label, one at least.

    Labels (particle and dose) of a single plate stay in training, unless their particle would then
    have none to validate.

    Raises:
        SplitError: a particle has too few plates.
    """
    plates = Plates.read(table)
    _check_number(plates, 2 + with_test, "plate")
    rng = np.random.default_rng(seed)
    side = np.zeros(len(plates.names), dtype=np.int64)
    for number in (1, 2) if with_test else (1,):
        draws = _draw_sides(plates, side, number, n_left=1 + with_test - number, rng=rng)
        side = draws[_weigh(plates, draws, number + 1).argmin()]
    return side[plates.of_row]


def deal_plates(
    table: pd.DataFrame, seed: int, with_test: bool, fold: int, n_folds: int
) -> Numbers:
    """Side of every row where each plate validates in one of n_folds folds.

    Raises:
        SplitError: a particle has fewer plates than there are folds.
    """
    method = f"plate-fold-{fold}-of-{n_folds}"
    plates = Plates.read(table)
    _check_number(plates, n_folds, method)
    if with_test and n_folds < 3:
        raise SplitError(
            f"split {method!r} leaves no plate to train on beside a test part; take 3 folds or more"
        )
    rng = np.random.default_rng(seed)
    draws = _draw_folds(plates, n_folds, rng)
    fold_of = draws[_weigh(plates, draws, n_folds).argmin()] + 1
    side = np.where(fold_of == fold, 1, 0)
    if with_test:
        side[fold_of == fold % n_folds + 1] = 2
    return side[plates.of_row]


def _check_number(plates: Plates, n_needed: int, method: str) -> None:
    for particle in np.unique(plates.particles):
        if (plates.particles == particle).sum() < n_needed:
            listed = " and ".join(plates.describe(str(one)) for one in np.unique(plates.particles))
            raise SplitError(
                f"split {method!r} needs {n_needed} plates or more of each particle; there are "
                f"{listed}. Take a subset of more hours or doses, as hi-4h+24h+48h or irradiated, "
                "or hold wells out: well"
            )


def _draw_sides(
    plates: Plates, side: Numbers, number: int, n_left: int, rng: np.random.Generator
) -> Numbers:
    """Move plates of the training side to another in D ways, (D, P), leaving n_left + 1 at least.

    A plate in five of each label is moved, one at least where the label has two; one of the
    particle where no label has.
    """
    draws = np.tile(side, (_N_DRAWS, 1))
    for particle in np.unique(plates.particles):
        free = (side == 0) & (plates.particles == particle)
        n_most = int(free.sum()) - 1 - n_left
        n_moved = 0
        for label in np.unique(plates.labels[free]):
            inside = np.flatnonzero(free & (plates.labels == label))
            n = min(max(1, round(_SHARE * len(inside))), len(inside) - 1, n_most - n_moved)
            draws[:, inside] = np.where(_draw_ranks(len(inside), rng) < n, number, 0)
            n_moved += max(0, n)
        if not n_moved:
            inside = np.flatnonzero(free)
            draws[:, inside] = np.where(_draw_ranks(len(inside), rng) < 1, number, 0)
    return draws


def _draw_ranks(n: int, rng: np.random.Generator) -> Numbers:
    """D random orders of n things: (D, n) ranks from 0."""
    return rng.random((_N_DRAWS, n)).argsort(axis=1)


def _draw_folds(plates: Plates, n_folds: int, rng: np.random.Generator) -> Numbers:
    """Deal the plates of each particle to folds from 0 in D ways, (D, P), label by label."""
    draws = np.zeros((_N_DRAWS, len(plates.names)), dtype=np.int64)
    for particle in np.unique(plates.particles):
        own = np.flatnonzero(plates.particles == particle)
        labels, label_of = np.unique(plates.labels[own], return_inverse=True)
        by_label = _draw_ranks(len(labels), rng)[:, label_of.reshape(-1)]  # (D, p)
        rank = (by_label + rng.random(by_label.shape)).argsort(axis=1).argsort(axis=1)
        names = _draw_ranks(n_folds, rng)  # (D, N): what each fold is called
        draws[:, own] = np.take_along_axis(names, rank % n_folds, axis=1)
    return draws


def _weigh(plates: Plates, draws: Numbers, n_sides: int) -> NDArray[np.float64]:
    """How unlike the sides of D divisions (D, P) are, and the particles within a side: (D,)."""
    on_side = draws[:, None, :] == np.arange(n_sides)[:, None]  # (D, S, P)
    means = []
    for particle in np.unique(plates.particles):
        own = on_side & (plates.particles == particle)
        n_plates = np.maximum(own.sum(axis=2), 1)[..., None]
        means.append(own.astype(np.float64) @ plates.shares / n_plates)  # (D, S, C)
    unlike = sum(((one - one.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2)) for one in means)
    apart = sum(((one - means[0]) ** 2).sum(axis=(1, 2)) for one in means[1:])
    # What tells the particles apart on a side weighs more than a difference between sides.
    return np.asarray(np.round(unlike + 4 * apart, 9), dtype=np.float64)
