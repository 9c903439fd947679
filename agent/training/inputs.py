"""The data of one run: from settings to training and validation batches."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.data.audit import audit_labels
from bpsweep.data.blank import SHOWN, blank_cache
from bpsweep.data.cache import CacheSettings, ImageCache, build_cache, open_cache
from bpsweep.data.catalog import Catalog, Subset, read_catalog, select
from bpsweep.data.errors import CatalogError
from bpsweep.data.flat import require_contrast
from bpsweep.data.folders import Progress
from bpsweep.data.labels import LABEL_NAMES, encode_labels
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.data.splits import Split, make_split

MAX_REJECTED = "BPSWEEP_MAX_REJECTED"
"""The variable that says how many unusable image files may be left out."""

VALIDATED_PIXELS = 1_700_000
"""Predicted at once."""
_SHUFFLED = 1  # stream of random numbers of a run's seed


@dataclass(frozen=True)
class Inputs:
    """What one run trains and validates on."""

    catalog: Catalog
    cache: ImageCache
    split: Split
    label_names: tuple[str, ...]
    labels: NDArray[np.uint8]
    audit_line: str
    training: Loader
    validation: Loader

    @property
    def n_labels(self) -> int:
        """Number of labels L of the task."""
        return len(self.label_names)

    @property
    def n_training(self) -> int:
        """Number of training images."""
        return len(self.split.train)

    @property
    def validation_labels(self) -> NDArray[np.uint8]:
        """Label vectors (N, L) of the validation part, in the order of its batches."""
        return self.labels[self.split.val]


def load_catalog(data_dir: Path, subset: str) -> Catalog:
    """Read the labels of a subset.

    Raises:
        CatalogError: No labels there, bad rows, or an empty subset; says how to get data.
    """
    if not (data_dir / "meta.csv").is_file():
        raise CatalogError(
            f"no data: {str(data_dir / 'meta.csv')!r} is not there. `bpsweep data make` makes "
            "the synthetic set; or set BPSWEEP_DATA_DIR to a folder with meta.csv and its TIFFs."
        )
    return select(read_catalog(data_dir), Subset.parse(subset))


def load_inputs(config: RunConfig, data_dir: Path, cache_root: Path) -> Inputs:
    """Load catalogue, cache and split of a run; the cache is built where there is none.

    Raises:
        DataError: Labels, images or split are not usable; the message says which and why.
        ConfigError: The control "sham" on a subset with irradiated cells.
    """
    catalog = load_catalog(data_dir, config.subset)
    if config.control == "sham" and (catalog.table["dose_gy"] > 0).any():
        raise ConfigError(
            f"control='sham' with subset={config.subset!r}, which has irradiated cells: it asks "
            "whether unirradiated ones can be told apart; take a subset as low-4h."
        )
    cache = load_cache(catalog, CacheSettings(config.image_size, config.geometry), cache_root)
    catalog = cache.catalog  # without the unusable files that the user allowed to leave out
    for shown in SHOWN:
        if config.control == shown:
            cache = blank_cache(cache, shown)
    split = make_split(catalog, config.split, with_test=config.test_part)
    labels = encode_labels(catalog, config.task)
    _require_labels(config, labels, split)
    audit = audit_labels(catalog, config.task, split)
    training = _make_loader(
        config, cache, shuffle_labels(config, catalog, split), split, training=True
    )
    if config.control != "brightness":  # which counts camera counts, whatever is normalised
        require_contrast(training, cache)
    return Inputs(
        catalog=catalog,
        cache=cache,
        split=split,
        label_names=LABEL_NAMES[config.task],
        labels=labels,
        audit_line=audit.line,
        training=training,
        validation=_make_loader(config, cache, labels, split, training=False),
    )


def _require_labels(config: RunConfig, labels: NDArray[np.uint8], split: Split) -> None:
    """Make sure that every label (N, L) that validates can be learnt.

    Raises:
        ConfigError: Training has none of a dose whose plates are all held out.
    """
    absent = labels[split.val].any(axis=0) & ~labels[split.train].any(axis=0)
    if absent.any():
        names = ", ".join(np.array(LABEL_NAMES[config.task])[absent])
        raise ConfigError(
            f"split={config.split!r} with subset={config.subset!r} leaves no cell of {names} to "
            f"train on, which task={config.task!r} asks for; take more hours (each dose needs a "
            "plate on both sides), or task='single-label'."
        )


def shuffle_labels(config: RunConfig, catalog: Catalog, split: Split) -> NDArray[np.uint8]:
    """Give the labels (N, L) to train on: under "shuffled-labels" those of other training wells.

    All cells of a well get the label of one other (or the same) well: cells of a well are alike,
    and labels shuffled cell by cell would be a null in which they are not.
    """
    labels = encode_labels(catalog, config.task)
    if config.control != "shuffled-labels":
        return labels
    table = catalog.table.iloc[split.train]
    places = table["plate"] + " " + table["barcode"] + " " + table["well"]
    known = [" ".join(map(str, label)) for label in labels[split.train]]  # one a well, as a rule
    _, first, well_of = np.unique(
        (places + " " + known).to_numpy(dtype=str), return_index=True, return_inverse=True
    )
    order = np.random.default_rng((config.seed, _SHUFFLED)).permutation(len(first))
    shuffled = labels.copy()
    shuffled[split.train] = labels[split.train][first[order]][well_of.reshape(-1)]
    return shuffled


def load_cache(
    catalog: Catalog,
    settings: CacheSettings,
    cache_root: Path,
    progress: Progress | None = None,
) -> ImageCache:
    """Open the cache of a catalogue, or build it; BPSWEEP_MAX_REJECTED files may be unusable.

    Raises:
        CacheError: More files are unusable; they are listed with their reasons.
    """
    text = os.environ.get(MAX_REJECTED, "0")
    if not text.isdecimal():
        raise ConfigError(f"{MAX_REJECTED}={text!r} is not a number of files, as 0 or 20.")
    found = open_cache(catalog, settings, cache_root, int(text))
    return found or build_cache(catalog, settings, cache_root, progress, max_rejected=int(text))


def _fit_batch(image_size: int) -> int:
    """Give the images predicted at once: few enough for the memory that a training step has left.

    256 at 64 px and below; at 200 px 42, where 256 would be a hundred megabytes for every worker.
    """
    return min(256, max(16, VALIDATED_PIXELS // image_size**2))


def _make_loader(
    config: RunConfig,
    cache: ImageCache,
    labels: NDArray[np.uint8],
    split: Split,
    training: bool,
) -> Loader:
    settings = LoaderSettings(
        batch_size=config.batch_size if training else _fit_batch(config.image_size),
        normalize=config.normalize,
        augment=config.augment and training,
        seed=config.seed,
    )
    rows = split.train if training else split.val
    return Loader(cache, labels, rows, settings, shuffle=training, train_rows=split.train)


def default_inputs(config: RunConfig) -> Inputs:
    """Load the inputs from where the environment says (BPSWEEP_DATA_DIR, BPSWEEP_HOME)."""
    return load_inputs(config, home.data_dir(), home.cache_root())
