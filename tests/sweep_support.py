"""Helpers for tests that run whole sweeps: YAMLs and the real command line."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

BPSWEEP = [sys.executable, "-m", "bpsweep.agent.command.main"]
COMMAND = ["${env}", "${interpreter}", "-m", "${program}"]


def make_sweep_yaml(folder: Path, **parameters: Any) -> Path:
    """Write a grid over the values given; single values are fixed."""
    specs = {
        name: {"values": value} if isinstance(value, list) else {"value": value}
        for name, value in {"image_size": 32, "subset": "all-4h", **parameters}.items()
    }
    config = {
        "program": "bpsweep.agent",
        "command": COMMAND,
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "parameters": specs,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def make_environment(home: Path, data_dir: Path, extra: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the environment of a user with their own home and this interpreter on the PATH."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
        "BPSWEEP_HOME": str(home),
        "BPSWEEP_DATA_DIR": str(data_dir),
        "COLUMNS": "200",
        **extra,
    }


def run_bpsweep(
    *arguments: str, environment: Mapping[str, str], timeout_s: float = 150
) -> subprocess.CompletedProcess[str]:
    """Run `bpsweep` to its end and return what it said."""
    return subprocess.run(
        [*BPSWEEP, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def find_sweep_path(said: str) -> str:
    """Return the sweep that `bpsweep run` or `wandb sweep` says it made."""
    found = re.search(r"(?:Created sweep|Continuing sweep|wandb agent) (\S+/\S+/\w+)", said)
    assert found, said
    return found.group(1)


def read_report(path: str, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what `bpsweep report --json` writes."""
    target = folder / "report.json"
    done = run_bpsweep("report", path, "--json", str(target), environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(target.read_text())


def wait_until(condition, timeout_s: float, what: str) -> None:
    """Wait for a condition to hold; fail the test if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    pytest.fail(f"{what} did not happen within {timeout_s} s")


def list_at_work(home: Path) -> list[psutil.Process]:
    """Every process that works in a home, wherever its parents went."""
    found = []
    for process in psutil.process_iter():
        try:
            here = process.environ().get("BPSWEEP_HOME") == str(home)
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def list_descendants(pid: int) -> list[psutil.Process]:
    """Return a process and everything it started."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
