"""The command line starts at once."""

import json
import subprocess
import sys

HEAVY = ("torch", "wandb", "scipy.stats", "sklearn", "matplotlib", "plotly", "boto3")
"""What takes a command from a tenth of a second to one and a half to load."""


def test_no_command_loads_what_only_others_need() -> None:
    code = "import agent.cli, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))
