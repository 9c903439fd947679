"""The README's commands exist, its files are there, its settings are the code's."""

import re
import subprocess
from pathlib import Path

import pytest
import typer

from bpsweep.agent.command.main import app
from bpsweep.agent.config import RunConfig, choices
from bpsweep.agent.sweep.file import read_sweep_file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("bpsweep ")])
def test_bpsweep_commands_parse(command: str) -> None:
    found, arguments = typer.main.get_command(app), command.split()[1:]
    while hasattr(found, "commands"):
        found, arguments = found.commands[arguments[0]], arguments[1:]
    with found.make_context(command, list(arguments)) as context:
        assert found.allow_extra_args or not context.args, f"{context.args} is not read"


def test_files_named_exist() -> None:
    named = set(re.findall(r"sweeps/\w+\.yaml", README))
    assert named == {f"sweeps/{path.name}" for path in (ROOT / "sweeps").glob("*.yaml")}


def test_run_counts_are_those_of_the_sweeps() -> None:
    counted = dict(re.findall(r"\| `(sweeps/\w+\.yaml)` \|.*\| (\d+) \|", README))
    assert len(counted) == 6
    for name, n_runs in counted.items():
        assert read_sweep_file(ROOT / name).n_runs == int(n_runs)


def test_every_setting_is_listed_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\S+)` \|", README, re.MULTILINE))
    assert list(rows) == list(RunConfig.model_fields)
    for name, field in RunConfig.model_fields.items():
        written = str(field.default).lower() if isinstance(field.default, bool) else field.default
        assert rows[name] == str(written)
        line = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{choice}`" in line for choice in choices(name))
