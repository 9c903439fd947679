"""`bpsweep doctor`: what this installation is and can do here, and what keeps it from working."""

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bpsweep.agent import home
from bpsweep.agent.errors import AgentError
from bpsweep.agent.sweep.local_server import find_server, named_server

PACKAGES = (
    "bpsweep",
    "torch",
    "wandb",
    "numpy",
    "scikit-learn",
    "tifffile",
    "imagecodecs",
    "sweeps",
    "fastapi",
)
app = typer.Typer()

NEEDED_GB = 2.0
"""What a first sweep takes on disk: the synthetic images, their cache, its runs."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        name: What.
        text: What was found.
        problem: Why nothing works like this, and what to do; None where it does.
    """

    name: str
    text: str
    problem: str | None = None


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is installed, what trains here and how, and what keeps it from working."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps(describe(findings), indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.name}: {finding.text}")
            if finding.problem is not None:
                typer.echo(f"  PROBLEM: {finding.problem}")
    raise typer.Exit(int(any(finding.problem for finding in findings)))


def examine() -> list[Finding]:
    """Look at everything a sweep needs; a problem is a finding, never an exception."""
    return [
        _examine_versions(),
        *_examine_training(),
        _examine_home(),
        _examine_trajectories(),
        _examine_data(),
        _examine_server(),
    ]


def describe(findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as plain values for JSON."""
    return {
        "works": all(finding.problem is None for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }


def _examine_versions() -> Finding:
    versions: Mapping[str, str | None] = {name: _find_version(name) for name in PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    problem = None
    if missing:
        problem = f"not installed: {', '.join(missing)}; install bpsweep again (`make sweep`)"
    return Finding("versions", f"python {platform.python_version()}, {listed}", problem)


def _find_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _examine_training() -> list[Finding]:
    """Cores, step, device and allocator: what a run would be trained with."""
    try:
        import torch  # noqa: PLC0415  # broken, it is a finding

        from bpsweep.agent.training.cores import count_at_work, share_cores  # noqa: PLC0415
        from bpsweep.agent.training.device import choose_device, describe_step  # noqa: PLC0415
        from bpsweep.agent.training.memory import keep_freed_memory  # noqa: PLC0415
        from bpsweep.data.folders import count_cpus  # noqa: PLC0415
        from bpsweep.models import describe_cpu_step  # noqa: PLC0415
    except (ImportError, OSError) as error:
        return [Finding("training", "torch cannot be loaded", f"{error}; install bpsweep again")]
    try:
        device = choose_device()
        others = count_at_work()
        cores = f"{count_cpus()}, {share_cores()} threads for a run now, {others} runs at work"
    except (AgentError, OSError) as error:
        return [Finding("training", "its settings cannot be used", str(error))]
    keeps = "kept from step to step" if keep_freed_memory() else "given back by the C library"
    if device.type == "cuda":
        gpu = f"training there, step {describe_step()}"
    else:
        gpu = f"none in use (torch {torch.__version__})"
    return [
        Finding("cores", cores),
        Finding("step on the CPU", describe_cpu_step()),
        Finding("GPU", gpu),
        Finding("freed memory", keeps),
    ]


def _examine_home() -> Finding:
    try:
        folder = home.home()
        free_gb = shutil.disk_usage(folder).free / 1e9
    except (AgentError, OSError) as error:
        return Finding("BPSWEEP_HOME", "unusable", str(error))
    problem = None
    if free_gb < NEEDED_GB:
        problem = (
            f"less than {NEEDED_GB:.0f} GB are free there: make room, or set BPSWEEP_HOME to a "
            "folder on another disk"
        )
    return Finding("BPSWEEP_HOME", f"{folder}, {free_gb:.0f} GB free", problem)


def _examine_trajectories() -> Finding:
    try:
        from bpsweep.agent.command.trajectories import describe_size  # noqa: PLC0415
        from bpsweep.agent.trajectory.store import SWITCH, open_store  # noqa: PLC0415

        store = open_store()
    except (AgentError, ImportError, OSError) as error:
        return Finding("kept trainings", "their settings cannot be used", str(error))
    if store is None:
        return Finding("kept trainings", f"none, {SWITCH}=0")
    return Finding("kept trainings", describe_size(store, store.list_kept()))


def _examine_data() -> Finding:
    try:
        folder = home.data_dir()
    except (AgentError, OSError) as error:
        return Finding("images", "nowhere", str(error))
    if (folder / "meta.csv").is_file():
        return Finding("images", str(folder))
    if "BPSWEEP_DATA_DIR" in os.environ:
        hint = "set BPSWEEP_DATA_DIR to a folder with meta.csv and its TIFFs, or unset it"
        return Finding("images", str(folder), f"{str(folder / 'meta.csv')!r} is not there; {hint}")
    return Finding("images", "none yet; `bpsweep run` makes the synthetic set")


def _examine_server() -> Finding:
    try:
        store: Path = home.store_dir()
        if (named := named_server(store)) is not None:
            kind = "the embedded server" if named.embedded else "named by WANDB_API_KEY"
            return Finding("W&B server", f"{named.url}, {kind}, answers")
        if (found := find_server(store)) is not None:
            return Finding("W&B server", f"{found.url}, the embedded server, answers")
    except (AgentError, OSError) as error:
        return Finding("W&B server", "unreachable", str(error))
    return Finding("W&B server", f"none runs; `bpsweep run` starts one ({sys.executable})")
