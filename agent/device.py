"""Which device trains: a CUDA GPU where there is one, else the CPU."""

import os

import torch

from agent.errors import ConfigError

DEVICE = "BPSWEEP_DEVICE"
"""The variable that names another one."""


def choose_device() -> torch.device:
    """Return the device to train on.

    Raises:
        ConfigError: BPSWEEP_DEVICE names none that torch can use here.
    """
    name = os.environ.get(DEVICE) or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"{DEVICE}={name!r} cannot be used: {first}. Take cpu or cuda, or leave it unset."
        ) from error
    return device
