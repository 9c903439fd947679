"""The house's arrows: which folder may import which, and who alone touches wandb."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("agent", "data", "models", "report", "server")
ALLOWED = {
    "agent": {"data", "models", "report"},
    "data": set(),
    "models": set(),
    "report": set(),
    "server": {"report"},
}


def imported(file: Path) -> set[str]:
    """Return the top-level names that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names.add(ast.literal_eval(node.args[0]).split(".")[0])
    return names


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        ours = imported(file) & set(FOLDERS) - {folder}
        assert ours <= ALLOWED[folder], f"{file.relative_to(ROOT)} imports {ours}"


@pytest.mark.parametrize(
    ("package", "only"),
    [
        (
            "wandb",
            {
                f"agent/tracking/{name}.py"
                for name in ("late", "origin", "queue", "run", "sweeps", "trouble", "weights")
            },
        ),
        ("tifffile", {"data/images.py"}),
        ("sweeps", {"server/space.py"}),
    ],
)
def test_outside_things_are_touched_in_one_place(package: str, only: set[str]) -> None:
    users = {
        str(file.relative_to(ROOT))
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        if package in imported(file)
    }
    assert users == only


def test_sweeps_folder_does_not_shadow_the_package() -> None:
    assert not list((ROOT / "sweeps").rglob("*.py"))
