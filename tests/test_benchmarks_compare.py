"""The table of results: what counts as reached, and that nothing is lost on the way to it."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import compare  # noqa: PLC0415  # benchmarks are commands, not a package

    return compare


@pytest.mark.parametrize(
    ("wanted", "ratios", "reached"),
    [
        (">= 6", (5.0, 6.0, 9.0), True),
        (">= 6", (5.0, 5.9, 9.0), False),
        ("< 1.5", (1.0, 1.4, 3.0), True),
        ("< 1.5", (1.5, 1.5, 1.5), False),
    ],
)
def test_the_median_decides(compare, wanted: str, ratios: tuple[float, ...], reached: bool) -> None:
    row = compare.Row("ours", "theirs", wanted, ratios, "", 0.0)
    assert row.reached is reached
    assert f"| {'yes' if reached else 'no'} |" in row.describe()
    assert f"n = {len(ratios)}" in row.describe()


def test_rows_come_back_as_they_were(compare, tmp_path: Path) -> None:
    row = compare.Row("ours", "theirs", ">= 2", (2.5, 3.0), "1 s against 2 s", 0.25)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([asdict(row)]), encoding="utf-8")
    assert compare.read_rows(path) == [row]


def test_sides_alternate(compare) -> None:
    calls = []
    sides = {name: lambda name=name: calls.append(name) or 1.0 for name in ("a", "b")}
    assert compare.take_turns(sides, 3) == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert calls == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.slow
def test_the_step_is_measured_and_tabled(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    command = [sys.executable, str(FOLDER / "step.py"), "--quick", "--turns", "1"]
    subprocess.run([*command, "--json", str(path)], check=True)
    (row,) = json.loads(path.read_text(encoding="utf-8"))
    assert row["what"] == "LeNet-5 training step, 64 px, batch 64"
    assert row["ratios"][0] > 0
