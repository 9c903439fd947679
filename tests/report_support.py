"""Made sweeps with predictions of which the truth is known, for the tests of report/."""

import itertools
from dataclasses import replace

import numpy as np

from bpsweep.report.predictions import PER_CELL, Predictions
from bpsweep.report.records import CONTROL, RunRecord, SweepRecord
from bpsweep.report.statistics.scores import METRICS, score_cells
from bpsweep.report.statistics.wells import group_wells

PARTICLES = ("Fe", "X-ray")
SETTINGS = {"batch_size": (16, 32, 64), "epochs": (5, 10, 15), "learning_rate": (3e-4, 5e-4, 1e-3)}


def make_cells(n_cells: int = 1774, n_wells: int = 16, dose_gy: float | None = None) -> Predictions:
    """Make cells of both particles, evenly over the wells, with nothing said of them yet."""
    rng = np.random.default_rng(5)
    number = np.arange(n_cells) % n_wells
    iron = number < n_wells // 2
    truth = np.stack([iron, ~iron], axis=1).astype(np.uint8)
    irradiated = np.where(iron, 0.82, 1.0)
    return Predictions(
        cells=rng.permutation([f"c{i:05d}.tif" for i in range(n_cells)]),
        plates=np.where(iron, "P242", "P280"),
        wells=np.array([f"A{n % (n_wells // 2)}" for n in number]),
        fields=rng.integers(1, 20, n_cells),
        particles=np.where(iron, *PARTICLES),
        doses_gy=irradiated if dose_gy is None else np.full(n_cells, dose_gy),
        hours=np.full(n_cells, 4),
        label_names=PARTICLES,
        truth=truth,
        probabilities=np.full((n_cells, 2), 0.5, dtype=np.float32),
    )


def say(cells: Predictions, accuracy: float, seed: int, well_spread: float = 0.0) -> Predictions:
    """Let a model say something of cells: right with this probability, which wells may shift.

    What it says has all grades of sureness, right or wrong: at 0.5 it knows nothing.
    """
    rng = np.random.default_rng(seed)
    wells = group_wells(cells)
    shifts = rng.normal(0, well_spread, wells.n_wells)[wells.of_cell]
    right = rng.random(len(cells)) < accuracy + shifts
    sureness = rng.beta(3, 2, len(cells))
    of_truth = np.where(right, 0.5 + sureness / 2, 0.5 - sureness / 2).astype(np.float32)
    iron = cells.truth[:, 0] == 1
    p_iron = np.where(iron, of_truth, 1 - of_truth)
    return replace(cells, probabilities=np.stack([p_iron, 1 - p_iron], axis=1))


def make_run(name: str, predictions: Predictions | None, **settings: object) -> RunRecord:
    """Make a finished run of one epoch that logged what its predictions are worth."""
    values = {}
    if predictions is not None:
        values = {one.key: float(score_cells(predictions, one).mean()) for one in METRICS.values()}
    kind = str(settings.pop("kind", "train"))
    epoch = {"epoch": 1, "train/loss": 0.5, "val/loss": 0.5, "train/elapsed_s": 10.0, **values}
    provenance = {
        "n_validation": 0 if predictions is None else len(predictions),
        "synthetic": True,
        "split_checksum": "s1",
    }
    config = {"split": "image", "seed": 42, "provenance": provenance, **settings}
    return RunRecord(
        name, f"run {name}", "finished", config, (epoch,), kind=kind, predictions=predictions
    )


def make_grid_sweep(runs_say: list[float], cells: Predictions, *beside: RunRecord) -> SweepRecord:
    """Make a sweep over `SETTINGS` whose runs have these true accuracies (27 at most)."""
    combinations = itertools.product(*SETTINGS.values())
    runs = tuple(
        make_run(f"r{i}", say(cells, accuracy, seed=i), **dict(zip(SETTINGS, values, strict=True)))
        for i, (accuracy, values) in enumerate(zip(runs_say, combinations, strict=False))
    )
    parameters = {name: {"values": list(values)} for name, values in SETTINGS.items()}
    config = {"parameters": {**parameters, "split": {"value": "image"}}}
    return SweepRecord("me/bps/s1", "made", "FINISHED", config, runs, "http://here", beside)


def make_control(name: str, accuracy: float, cells: Predictions, seed: int = 99) -> RunRecord:
    """Make a control run whose model is right with this probability."""
    first = {name: values[0] for name, values in SETTINGS.items()}  # of `make_grid_sweep`
    return make_run(f"c-{name}", say(cells, accuracy, seed), control=name, kind=CONTROL, **first)


def make_plates(
    n_plates: int = 3, n_per_well: int = 40, dose_gy: float | None = None, n_wells: int = 8
) -> Predictions:
    """Make cells of both particles on some plates each, every plate with the same wells."""
    hours = (4, 24, 48)
    places = list(itertools.product(range(2), range(n_plates), range(n_wells), range(n_per_well)))
    number, plate, well, cell = (np.array(column) for column in zip(*places, strict=True))
    iron = number == 0
    return Predictions(
        cells=np.array([f"c{i:06d}.tif" for i in range(len(places))]),
        plates=np.array([f"P{200 + 50 * n + p}" for n, p in zip(number, plate, strict=True)]),
        wells=np.array([f"A{w + 1}" for w in well]),
        fields=cell // 20 + 1,
        particles=np.where(iron, *PARTICLES),
        doses_gy=np.where(iron, 0.82, 1.0) if dose_gy is None else np.full(len(places), dose_gy),
        hours=np.array(hours)[plate % 3],
        label_names=PARTICLES,
        truth=np.stack([iron, ~iron], axis=1).astype(np.uint8),
        probabilities=np.full((len(places), 2), 0.5, dtype=np.float32),
    )


def cut_folds(cells: Predictions, n_folds: int = 3) -> list[Predictions]:
    """Cut cells into folds of whole plates, a plate of each particle in every fold."""
    fold_of = np.array([int(plate[-2:]) % 50 % n_folds for plate in cells.plates])
    return [
        replace(cells, **{name: getattr(cells, name)[fold_of == k] for name in PER_CELL})
        for k in range(n_folds)
    ]


def make_folds(name: str, said: Predictions, n_folds: int = 3, **settings: object):
    """Make the runs of one configuration on all folds of what it says of cells."""
    return [
        make_run(f"{name}-{k}", part, **settings, split=f"plate-fold-{k}-of-{n_folds}")
        for k, part in enumerate(cut_folds(said, n_folds), start=1)
    ]
