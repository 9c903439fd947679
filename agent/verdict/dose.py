"""The winner, as trained, applied to plates of every dose that it was not trained on."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.runs.describe import describe_provenance, locate_predictions
from bpsweep.agent.tracking.run import TrackedRun
from bpsweep.agent.tracking.weights import fetch_weights
from bpsweep.agent.training.inputs import Inputs, load_cache, load_catalog
from bpsweep.agent.training.restore import restore_model
from bpsweep.agent.verdict.controls import check_data, make_spec, read_settings
from bpsweep.data.cache import CacheSettings, ImageCache
from bpsweep.data.catalog import Catalog, Subset
from bpsweep.data.labels import LABEL_NAMES, encode_labels
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.data.splits import Split, make_split
from bpsweep.report.records import DOSE, EVALUATED, RunRecord, SweepRecord
from bpsweep.report.statistics.verdict import Verdict

_NONE: Final = np.empty(0, dtype=np.int64)


def apply_to_doses(verdict: Verdict, data_dir: Path, console: Console) -> None:
    """Apply the winner to plates of all doses and hours there are, and store it as runs.

    One run a fold, where there are folds; what is there is not made again.

    Raises:
        ConfigError, DataError: The data are not those of the winner, or not usable.
        TrackingError: Weights cannot be fetched, or a run cannot be stored.
    """
    sweep = verdict.sweep
    done = {run.provenance.get(EVALUATED) for run in sweep.beside if run.kind == DOSE}
    for run in verdict.best.run.members:
        if run.id in done:
            console.print(f"{run.name}: there already.", highlight=False)
            continue
        inputs, n_plates = find_inputs(run, data_dir)
        console.print(
            f"{run.name}: {len(inputs.split.val):,} cells of {n_plates} plates that it was not "
            "trained on.",
            highlight=False,
        )
        _predict(sweep, run, inputs)


def find_inputs(run: RunRecord, data_dir: Path) -> tuple[Inputs, int]:
    """Return the cells of all plates that a run was not trained on, and the number of plates.

    A cell of a plate that was trained on is not used, though it was held out itself: its plate may
    be what is recognised.
    """
    settings = read_settings(run)
    if settings.normalize == "plate":
        raise ConfigError(
            f"run {run.name!r} normalises by its plates' training images, which other plates do "
            "not have; sweep `normalize: percentile` or another to see the response to dose."
        )
    check_data(run, settings, data_dir)
    own = load_catalog(data_dir, settings.subset)
    split = make_split(own, settings.split, with_test=settings.test_part)
    trained = set(own.table["plate"].to_numpy(dtype=str)[split.train])
    catalog = _find_images(data_dir)
    cache = load_cache(
        catalog, CacheSettings(settings.image_size, settings.geometry), home.cache_root()
    )
    catalog = cache.catalog
    plates = catalog.table["plate"].to_numpy(dtype=str)
    rows = np.flatnonzero(~np.isin(plates, sorted(trained))).astype(np.int64)
    if not len(rows):
        raise ConfigError(
            f"run {run.name!r} was trained on every plate of {str(data_dir)!r}; images of other "
            "doses or hours are needed: `bpsweep data fetch --subset all`."
        )
    return _make_inputs(settings, catalog, rows, cache), len(np.unique(plates[rows]))


def _make_inputs(
    settings: RunConfig, catalog: Catalog, rows: NDArray[np.int64], cache: ImageCache
) -> Inputs:
    labels = encode_labels(catalog, settings.task)
    loader = Loader(
        cache,
        labels,
        rows,
        LoaderSettings(batch_size=256, normalize=settings.normalize, seed=settings.seed),
        shuffle=False,
    )
    return Inputs(
        catalog=catalog,
        cache=cache,
        split=Split("plates not trained on", settings.seed, _NONE, rows, _NONE, ""),
        label_names=LABEL_NAMES[settings.task],
        labels=labels,
        audit_line="",
        training=loader,
        validation=loader,
    )


def _find_images(data_dir: Path) -> Catalog:
    """Return the labels of all hours whose images are all there."""
    catalog = load_catalog(data_dir, "all")
    hours = []
    for hour, cells in catalog.table.groupby("hour"):
        if all((data_dir / name).exists() for name in cells["filename"].tolist()):
            hours.append(int(str(hour)))
    if not hours:
        raise ConfigError(
            f"{str(data_dir)!r} has no hour with the images of every dose; `bpsweep data fetch "
            "--subset all-4h` gets those of 4 h."
        )
    return load_catalog(data_dir, str(Subset("all", tuple(hours))))


def _predict(sweep: SweepRecord, run: RunRecord, inputs: Inputs) -> None:
    settings = read_settings(run)
    model = restore_model(settings, inputs.n_labels, fetch_weights(sweep.path, run.id))
    values = settings.model_dump()
    with TrackedRun(make_spec(sweep, values, DOSE, f"{run.name} dose")) as tracked:
        tracked.save_config(values, {**describe_provenance(inputs), EVALUATED: run.id})
        rows = inputs.split.val
        probabilities = model.predict(inputs.validation.epoch(0))
        tracked.save_predictions(locate_predictions(inputs, rows, probabilities))
