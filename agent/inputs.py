"""The data of one run: from settings to training and validation batches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent import home
from agent.config import RunConfig
from data.cache import CacheSettings, ImageCache, build_cache, open_cache
from data.catalog import Catalog, Subset, read_catalog, select
from data.errors import CatalogError
from data.labels import LABEL_NAMES, encode_labels
from data.loader import Loader, LoaderSettings
from data.splits import Split, make_split


@dataclass(frozen=True)
class Inputs:
    """What one run trains and validates on."""

    catalog: Catalog
    cache: ImageCache
    split: Split
    label_names: tuple[str, ...]
    labels: NDArray[np.uint8]
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
    """
    catalog = load_catalog(data_dir, config.subset)
    settings = CacheSettings(image_size=config.image_size)
    cache = open_cache(catalog, settings, cache_root) or build_cache(catalog, settings, cache_root)
    split = make_split(catalog, config.split)
    labels = encode_labels(catalog, config.task)
    return Inputs(
        catalog=catalog,
        cache=cache,
        split=split,
        label_names=LABEL_NAMES[config.task],
        labels=labels,
        training=_make_loader(config, cache, labels, split.train, training=True),
        validation=_make_loader(config, cache, labels, split.val, training=False),
    )


def _make_loader(
    config: RunConfig,
    cache: ImageCache,
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    training: bool,
) -> Loader:
    settings = LoaderSettings(
        batch_size=config.batch_size if training else 256,
        normalize=config.normalize,
        augment=config.augment and training,
        seed=config.seed,
    )
    return Loader(cache, labels, rows, settings, shuffle=training)


def default_inputs(config: RunConfig) -> Inputs:
    """Load the inputs from where the environment says (BPSWEEP_DATA_DIR, BPSWEEP_HOME)."""
    return load_inputs(config, home.data_dir(), home.cache_root())
