"""What CONTRIBUTING.md and CHANGELOG.md say of the code is true of it."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = "agent|data|models|report|server|sweeps|tests|benchmarks"
NAMED = sorted(set(re.findall(rf"(?<![\w./-])(?:{FOLDERS})/[\w./-]*", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_files_named_exist(name: str) -> None:
    path = ROOT / name.rstrip(".")
    assert path.is_dir() if name.endswith("/") else path.is_file()


def test_every_room_is_described() -> None:
    for folder in ("agent", "report", "server"):
        for room in (path for path in (ROOT / folder).iterdir() if (path / "__init__.py").exists()):
            assert f"\n  {room.name}/ " in TEXT, f"{folder}/{room.name}"


def test_the_changelog_begins_with_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.MULTILINE)[0] == version("bpsweep")
