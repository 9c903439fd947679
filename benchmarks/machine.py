"""The line that a benchmark prints first: the machine and versions that its numbers belong to."""

import os
import platform
from importlib import metadata
from pathlib import Path

from bpsweep.data.folders import count_cpus


def describe_machine(*packages: str) -> str:
    """Processor, usable cores, load before the measurement, versions of Python and packages."""
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    return (
        f"{_read_processor()}, {count_cpus()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{', '.join([f'Python {platform.python_version()}', *versions])}"
    )


def _read_processor() -> str:
    """The processor's name where Linux tells it, else its architecture."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
