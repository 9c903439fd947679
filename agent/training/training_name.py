"""What decides a training's numbers: trainings that agree in all of it are the same."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.inputs import Inputs

PACKAGES = ("numpy", "scikit-learn", "scipy", "torch")
"""Those that compute."""
ROOT = Path(__file__).parents[2]
SOURCES = ("agent/training", "data", "models")
"""Our own folders that do."""


def describe_training(config: RunConfig, inputs: Inputs, step: str) -> dict[str, Any]:
    """Return all that decides a training's numbers, but for how many epochs it has.

    The number of threads is left out: it changes as runs come and go, within a run too. It moves
    the last digits of all but LeNet-5 at 64 px; each kept epoch says how many there were.

    Args:
        config: The run's settings.
        inputs: What it trains and validates on.
        step: What computes it, in words.
    """
    return {
        "settings": config.model_dump(mode="json", exclude={"epochs"}),
        "data": inputs.cache.checksum,
        "labels": inputs.catalog.checksum,
        "split": inputs.split.checksum,
        "step": step,
        "code": sum_up_code(),
        "versions": {name: version(name) for name in PACKAGES},
    }


@cache
def sum_up_code() -> str:
    """Return a checksum of our own code that computes: a changed one begins anew.

    That is every file of the folders that do, so that nobody has to think of it; a change of
    words costs some epochs, a forgotten one would mix the numbers of two programs.
    """
    digest = hashlib.sha256()
    for folder in SOURCES:
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".cpp")]
        for path in sorted(files):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
