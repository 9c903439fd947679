"""Catalogue, cache, split and audit kept from run to run; only the batches are made anew."""

from dataclasses import replace
from pathlib import Path

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.lru import LruCache

N_KEPT = 4
OF_TRAINING = {"model", "epochs", "learning_rate", "weight_decay"}
OF_BATCHES = {"batch_size", "seed", "augment"}
"""Settings that change nothing of what a run is given, and those that change only its batches."""
OF_INPUTS = ("task", "subset", "split", "test_part", "image_size", "geometry", "normalize")
"""Those that a run's inputs follow from."""


class WarmInputs:
    """Loads the inputs of runs of one process, each part once."""

    def __init__(self) -> None:
        self._kept = LruCache[Inputs](N_KEPT)

    def load(self, config: RunConfig) -> Inputs:
        """Load the inputs from where the environment says (BPSWEEP_DATA_DIR, BPSWEEP_HOME).

        Raises:
            DataError: Labels, images or split are not usable; the message says which and why.
        """
        data_dir, cache_root = home.data_dir(), home.cache_root()
        # Controls may shuffle labels by the seed: their inputs serve their own settings alone.
        is_control = config.control != "none"
        passing = OF_TRAINING if is_control else OF_TRAINING | OF_BATCHES
        settings = config.model_dump_json(exclude=passing)
        key = (settings, str(cache_root), *_identify(data_dir))
        kept = self._kept.get(key, lambda: load_inputs(config, data_dir, cache_root))
        changes = config.model_dump(include=OF_BATCHES)
        return replace(kept, training=kept.training.change(**changes))


def _identify(data_dir: Path) -> tuple[str, ...]:
    """Name an image folder as it is now: where it is, its labels, and what lies in it.

    A run of its own looks at every file; from run to run it is enough to look at the folder.
    """
    meta = data_dir / "meta.csv"
    found = [path.stat() for path in (data_dir, meta) if path.exists()]
    times = [f"{one.st_ino} {one.st_size} {one.st_mtime_ns} {one.st_ctime_ns}" for one in found]
    return (str(data_dir.resolve()), *times)
