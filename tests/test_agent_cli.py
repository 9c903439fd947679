"""What starts often starts without what only others need."""

import json
import subprocess
import sys

import pytest

SLOW = {"torch", "wandb", "pandas", "pydantic", "scipy", "sklearn", "matplotlib", "plotly", "boto3"}
"""What takes a command from a fifth of a second to one and a half to load."""


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("bpsweep.agent.command.main", SLOW),  # every command, `--help` too
        (
            "bpsweep.agent.sweep.work",
            {"torch", "scipy.stats", "sklearn", "matplotlib"},
        ),  # beside its workers
        (
            "bpsweep.agent.runs.foreman",
            {"scipy.stats", "sklearn", "plotly"},
        ),  # whose workers train LeNet-5
    ],
)
def test_what_only_others_need_is_not_loaded(module: str, spared: set[str]) -> None:
    code = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    assert not spared & loaded
