"""Which device trains: a CUDA GPU where there is one, else the CPU."""

import os

import torch

from bpsweep.agent.errors import ConfigError
from bpsweep.models import describe_cpu_step
from bpsweep.models.gpu import load_gpu_step

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
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # kernels of ours start on the current one
    return device


def name_step(device: torch.device) -> str:
    """Return in words what computes the first layers of LeNet-5 on a device."""
    if device.type == "cpu":
        return describe_cpu_step()
    return f"{load_gpu_step().description}, {torch.cuda.get_device_name(device)}"


def describe_step() -> str:
    """Return in words what computes the first layers of LeNet-5 on the chosen device.

    Raises:
        ConfigError: As for `choose_device`.
    """
    device = choose_device()
    name = name_step(device)
    return f"{name}, {torch.get_num_threads()} threads" if device.type == "cpu" else name
