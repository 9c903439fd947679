"""Variables that other people's software reads, and what those are for our own server's clients."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

from bpsweep.agent.tracking.address import LOOPBACK
from bpsweep.agent.tracking.proof import MUST_PROVE

OF_ONE_RUN: Final = (
    "WANDB_JOB_TYPE",
    "WANDB_NAME",
    "WANDB_NOTES",
    "WANDB_RESUME",
    "WANDB_RUN_GROUP",
    "WANDB_RUN_ID",
    "WANDB_SWEEP_ID",
    "WANDB_SWEEP_PARAM_PATH",
    "WANDB_TAGS",
)
"""What the client sets or reads for one run: inherited, all of ours would be taken for that run."""
OF_ONE_PROCESS: Final = ("WANDB_SERVICE",)
"""The client's service of one process: shared, it would keep a dead process's run alive."""
PASSING: Final = frozenset(
    {
        "WANDB_ARTIFACT_DIR",
        "WANDB_CACHE_DIR",
        "WANDB_CORE_DEBUG",
        "WANDB_DATA_DIR",
        "WANDB_DEBUG",
        "WANDB_DISABLE_CODE",
        "WANDB_DISABLE_GIT",
        "WANDB_ERROR_REPORTING",
        "WANDB_FINISH_TIMEOUT",
        "WANDB_HOST",
        "WANDB_HTTP_TIMEOUT",
        "WANDB_PROJECT",
        "WANDB_QUIET",
        "WANDB_SHOW_COLORS",
        "WANDB_SHOW_EMOJI",
        "WANDB_SILENT",
        "WANDB_USERNAME",
        "WANDB_USER_EMAIL",
        "WANDB_X_DISABLE_STATS",
        "WANDB_X_STATS_SAMPLING_INTERVAL",
    }
)
"""What the user may say to the client at our own server: where it keeps files, how much it says,
who and where a run is. All else is set by us, or is for another server: a proxy, a token, an id."""
CONFIG_DIR: Final = "WANDB_CONFIG_DIR"
"""Where the client looks for the settings that `wandb offline` and its kin leave for good."""
_SET_BY_US: Final = ("WANDB_API_KEY", "WANDB_BASE_URL", CONFIG_DIR, "WANDB_DIR", "WANDB_ENTITY")
_MODE: Final = "WANDB_MODE"
_PROXY_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")


def point_at_loopback(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what makes clients use a server of this machine, whatever else is set.

    Runs are online: whoever has no internet may have switched the client off, but this server needs
    none. And no proxy stands before it: one on another machine cannot reach it.

    Args:
        environment: Variables as they are; by default this process's.
    """
    found = os.environ if environment is None else environment
    listed = found.get("no_proxy") or found.get("NO_PROXY") or ""
    names = [name.strip() for name in listed.split(",") if name.strip()]
    exceptions = ",".join([*names, *(name for name in LOOPBACK if name not in names)])
    return {_MODE: "online", **dict.fromkeys(_PROXY_EXCEPTIONS, exceptions)}


def drop_inherited(environment: MutableMapping[str, str]) -> None:
    """Take out what is of one run or one process."""
    for name in (*OF_ONE_RUN, *OF_ONE_PROCESS):
        environment.pop(name, None)


def adopt(environment: MutableMapping[str, str], ours: Mapping[str, str]) -> None:
    """Change a process's variables to those of a server.

    At our own server nothing else of W&B's stays but what may pass: a name that a new client reads
    is set aside until somebody has looked at it.

    Args:
        environment: The process's variables.
        ours: The server's.
    """
    if MUST_PROVE in ours:
        for name in list(environment):
            if name.startswith("WANDB_") and name not in PASSING:
                del environment[name]
    environment.update(ours)
    drop_inherited(environment)  # last: `ours` may come from a process with a service of its own


def hide_key(text: str, key: str | None) -> str:
    """Return a text in which a key cannot be read, for a message."""
    return text.replace(key, "(the API key)") if key else text


def list_set_aside() -> Iterator[str]:
    """Give a sentence for each variable and settings file that our own server's runs leave out."""
    mode = os.environ.get(_MODE)
    if mode not in (None, "", "online", "shared"):
        yield f"{_MODE}={mode} is set aside: the embedded server needs no internet."
    if "WANDB_SWEEP_ID" in os.environ:
        yield "WANDB_SWEEP_ID is set aside: it is of another run."
    said = {_MODE, "WANDB_SWEEP_ID", *_SET_BY_US, *PASSING}
    others = sorted(n for n in os.environ if n.startswith("WANDB_") and n not in said)
    if others:
        listed = " and ".join([", ".join(others[:-1]), others[-1]] if others[1:] else others)
        yield (
            f"{listed} {'are' if others[1:] else 'is'} set aside: with the embedded server, runs "
            "follow its own settings."
        )
    for path in _list_settings_files():
        yield f"W&B's settings in {path} are set aside: they are for another server."


def _list_settings_files() -> Iterator[Path]:
    """Give the client's own settings files that set anything."""
    folder = os.environ.get(CONFIG_DIR) or Path.home() / ".config" / "wandb"
    for path in (Path(folder) / "settings", Path("wandb") / "settings"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        if any("=" in line for line in lines):
            yield path
