"""What a sweep needs before its first run: images, and their caches, with progress shown."""

from pathlib import Path

from rich.console import Console

from bpsweep.agent import home
from bpsweep.agent.console import progress_bar
from bpsweep.agent.sweep.file import SweepFile
from bpsweep.agent.training.inputs import load_cache, load_catalog
from bpsweep.data.cache import CacheSettings
from bpsweep.data.choices import SyntheticSettings
from bpsweep.data.synthetic import make_synthetic

EMBEDDED = SyntheticSettings()
"""The set that a newcomer's first sweep runs on."""


def prepare_data(given: Path | None, console: Console) -> Path:
    """Return the image folder; the embedded synthetic set is made where nothing is named.

    Raises:
        DataError, HomeError: It cannot be made.
    """
    folder = home.data_dir(given)
    if folder == home.embedded_data_dir() and not (folder / "meta.csv").exists():
        console.print(
            f"No real images named (--data-dir, BPSWEEP_DATA_DIR): making the synthetic set "
            f"in {folder}, {EMBEDDED.n_images:,} images."
        )
        with progress_bar(console, "Synthetic images") as show:
            make_synthetic(folder, EMBEDDED, progress=show)
    return folder


def prepare_caches(file: SweepFile, data_dir: Path, console: Console) -> None:
    """Build every image cache that the sweep's runs will open.

    Raises:
        DataError: Labels or images are not usable; the message lists them.
    """
    for chosen in file.combinations(("subset", "image_size", "geometry")):
        catalog = load_catalog(data_dir, chosen["subset"])
        settings = CacheSettings(chosen["image_size"], chosen["geometry"])
        label = f"Caching {chosen['subset']} at {settings.image_size} px"
        with progress_bar(console, label) as show:
            load_cache(catalog, settings, home.cache_root(), progress=show)
