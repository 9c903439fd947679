"""Variables that other people's software reads, and what those are for our own server's clients."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final

from bpsweep.agent.tracking.address import LOOPBACK

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


def list_set_aside() -> Iterator[str]:
    """Give a sentence for each variable that our own server's runs do not follow."""
    mode = os.environ.get(_MODE)
    if mode not in (None, "", "online", "shared"):
        yield f"{_MODE}={mode} is set aside: the embedded server needs no internet."
    if "WANDB_SWEEP_ID" in os.environ:
        yield "WANDB_SWEEP_ID is set aside: it is of another run."
