"""One import name: files of the user's with the names of our folders do not get in the way."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sweep_support import find_sweep_path, make_environment, make_sweep_yaml

from bpsweep.agent.sweep.local_server import running_server
from bpsweep.agent.verdict.controls import N_SHUFFLES

ROOT = Path(__file__).parents[1]
USERS_FILES = ("agent.py", "data.py", "models.py", "report.py", "server.py")
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder whose files have the names of our folders and end whatever imports them."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    for name in USERS_FILES:
        (folder / name).write_text(f"raise SystemExit('the user\\'s own {name} was imported')\n")
    # And one that is named like us: a clone beside the work, say.
    (folder / "bpsweep" / "data").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def run_command(*command: str, environment: dict[str, str]) -> str:
    """Run a command of this environment to its end, return what it said."""
    done = subprocess.run(
        [str(SCRIPTS / command[0]), *command[1:]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "was imported" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("python_path", [None, "."])
def test_a_users_own_files_do_not_get_in_the_way(
    users_folder: Path, tmp_path: Path, small_set: Path, python_path: str | None
) -> None:
    environment = make_environment(tmp_path / "home", small_set)
    if python_path is not None:
        environment["PYTHONPATH"] = python_path
    path = str(make_sweep_yaml(users_folder, model="mlp", learning_rate=[0.01, 0.001], epochs=1))
    with running_server(tmp_path / "home" / "server") as server:  # one for all four commands
        said = run_command("bpsweep", "run", path, "--no-controls", environment=environment)
        assert "2 configurations" in said
        sweep = find_sweep_path(said)
        said = run_command("bpsweep", "controls", sweep, "--only", "shuffled-labels",
                           environment=environment)  # fmt: skip
        assert f"{N_SHUFFLES} to run" in said and "did not finish" not in said
        exported = {**environment, **server.environment}
        for agent in (["wandb", "agent"], ["bpsweep", "agent"]):
            sweep = find_sweep_path(run_command("wandb", "sweep", path, environment=exported))
            run_command(*agent, sweep, environment=exported)
            said = run_command("bpsweep", "report", sweep, environment=environment)
            assert "2 configurations" in said and "Not finished" not in said


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what git knows of."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*build, "-w", str(folder), str(folder / "source")], env=environment, check=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_brings_one_folder_with_all_that_is_read_at_run_time(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"bpsweep", next(top for top in tops if top.endswith(".dist-info"))}
    packed = {name.removeprefix("bpsweep/") for name in names if name.startswith("bpsweep/")}
    folders = ("agent", "data", "models", "report", "server", "sweeps")
    wanted = {
        str(file.relative_to(ROOT))
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert wanted - packed == set()
    assert packed - wanted == set()


@pytest.mark.slow
def test_an_installed_wheel_works_off_a_shipped_sweep_by_its_name(
    wheel: Path, tmp_path: Path, small_set: Path
) -> None:
    """In an empty folder; the packages that ours needs are this environment's."""
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(target)
    environment = make_environment(tmp_path / "home", small_set)
    environment["PYTHONPATH"] = str(target)
    (tmp_path / "empty").mkdir()
    where = "import bpsweep.agent; print(bpsweep.agent.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(target))
    said = subprocess.run(
        [sys.executable, "-P", "-m", "bpsweep.agent.command.main", "run", "quick", "--no-controls"],
        env=environment,
        cwd=tmp_path / "empty",
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "8 configurations" in said.stdout
