"""What a run tells of where it was made: packages and git commit, looked up once a process.

The client looks both up for every run anew, an eighth of the time of a short one. What a warm
worker runs was loaded when it started, so that what held then is also the better answer.
"""

from functools import cache
from importlib.metadata import distributions
from typing import Any

import wandb

_GIT = ("git_root", "git_commit", "git_remote_url")
_found: dict[str, Any] = {}  # by the first run


def known_settings() -> dict[str, Any]:
    """Return the client's settings that spare a run what another one has found already."""
    return {"x_save_requirements": False, **_found}


def remember(settings: wandb.Settings) -> None:
    """Keep what the client has found for a run that it has opened."""
    if not _found:
        found = {name: getattr(settings, name) for name in _GIT}
        _found.update({name: value for name, value in found.items() if value is not None})


@cache
def list_packages() -> str:
    """Return the installed packages as the client's own requirements.txt has them."""
    return "".join(sorted({f"{one.name}=={one.version}\n" for one in distributions()}))
