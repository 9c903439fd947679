"""The house's arrows: which folder and which room may import which, and who alone touches wandb."""

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
GROUND = ""
"""The files that lie in a folder itself, below its rooms."""
ROOMS = {
    "agent": {
        GROUND: set(),
        "tracking": {GROUND},
        "trajectory": {GROUND},
        "training": {GROUND, "trajectory"},
        "runs": {GROUND, "tracking", "training"},
        "sweep": {GROUND, "tracking", "training", "runs"},
        "verdict": {GROUND, "tracking", "training", "runs"},
        "command": {GROUND, "tracking", "trajectory", "training", "runs", "sweep", "verdict"},
    },
    "report": {
        GROUND: set(),
        "statistics": {GROUND},
        "text": {GROUND, "statistics"},
        "figures": {GROUND, "statistics", "text"},
        "page": {GROUND, "statistics", "text", "figures"},
    },
}


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it; names of packages with what of it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names.add(ast.literal_eval(node.args[0]))
    return names


def ours(file: Path) -> set[str]:
    """Return the files of ours that a file imports, as paths without their ending."""
    paths = {name.removeprefix("bpsweep.").replace(".", "/") for name in imported(file)}
    found = set()
    for path in paths:
        if path.split("/")[0] in FOLDERS:
            parts = (path, path.rpartition("/")[0])  # a module, else a name inside one
            found.add(next(one for one in parts if is_module(one)))
    return found


def is_module(path: str) -> bool:
    """Tell whether there is such a file or folder of ours."""
    return (ROOT / f"{path}.py").exists() or (ROOT / path).is_dir()


def files_of(folder: str) -> list[Path]:
    """Return the Python files of a folder; none may be missing from the test by mistake."""
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    return files


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_between_folders_point_one_way(folder: str) -> None:
    for file in files_of(folder):
        others = {path.split("/")[0] for path in ours(file)} - {folder}
        assert others <= ALLOWED[folder], f"{file.relative_to(ROOT)} imports {others}"
        bare = {name.split(".")[0] for name in imported(file)} & set(FOLDERS)
        assert not bare, f"{file.relative_to(ROOT)} imports {bare}, not bpsweep's"


@pytest.mark.parametrize("folder", ROOMS)
def test_imports_between_rooms_point_one_way(folder: str) -> None:
    rooms = ROOMS[folder]
    assert {path.name for path in (ROOT / folder).iterdir() if (path / "__init__.py").exists()} == {
        room for room in rooms if room != GROUND
    }
    for file in files_of(folder):
        if file.name == "__main__.py":
            continue  # what is started stands above all rooms
        room = name_room(file.relative_to(ROOT))
        reached = {name_room(Path(path)) for path in ours(file) if path.startswith(f"{folder}/")}
        assert reached <= rooms[room] | {room}, f"{file.relative_to(ROOT)} imports {reached}"


def name_room(path: Path) -> str:
    """Return the room of a file or of a room itself, as agent/runs/trial.py or agent/runs."""
    is_room = path.parts[1] in ROOMS[path.parts[0]]
    return path.parts[1] if is_room else GROUND


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_circle_of_imports(folder: str) -> None:
    arrows = {
        str(file.relative_to(ROOT).with_suffix("")): ours(file)
        for file in files_of(folder)
        if file.name != "__init__.py"
    }
    left = dict(arrows)
    while left:
        free = [name for name, targets in left.items() if not targets & left.keys() - {name}]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize(
    ("package", "only"),
    [
        (
            "wandb",
            {
                f"agent/tracking/{name}.py"
                for name in ("api", "late", "origin", "queue", "run", "sweeps", "trouble")
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
        for file in files_of(folder)
        if package in {name.split(".")[0] for name in imported(file)}
    }
    assert users == only


def test_sweeps_folder_does_not_shadow_the_package() -> None:
    assert not list((ROOT / "sweeps").rglob("*.py"))
