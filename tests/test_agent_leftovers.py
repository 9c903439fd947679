"""Nothing of ours, and of the wandb client's nothing either, stays in the temporary folder."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sweep_support import BPSWEEP, make_environment, make_sweep_yaml, run_bpsweep, wait_until

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="left-"))  # a socket's path must be short
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_nothing_stays_behind_whether_runs_end_or_are_killed(
    tmp_path: Path, small_set: Path, scratch: Path
) -> None:
    environment = make_environment(tmp_path / "home", small_set, {"TMPDIR": str(scratch)})
    in_memory = set(SHARED_MEMORY.iterdir())
    path = make_sweep_yaml(tmp_path, model="mlp", seed=list(range(6)), epochs=30)
    command = [*BPSWEEP, "run", str(path), "--no-controls"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        logs = tmp_path / "home" / "logs"
        wait_until(
            lambda: any("epoch 3/" in f.read_text() for f in logs.rglob("*.log")), 90, "work"
        )
        assert list(scratch.iterdir()), "it is used, so that the test means something"
        for one in psutil.Process(process.pid).children(recursive=True):
            if "wandb-core" in " ".join(one.cmdline()):
                one.send_signal(signal.SIGKILL)
        process.kill()
        process.wait()
    done = run_bpsweep(*command[len(BPSWEEP) :], environment=environment, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: not list(scratch.iterdir()), 15, f"{list(scratch.iterdir())}: their end")
    wait_until(lambda: set(SHARED_MEMORY.iterdir()) <= in_memory, 60, "an empty shared memory")


def test_what_dead_commands_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = [f"bpsweep-{ended.pid}-abc", f"bpsweep-{os.getppid()}-abc", "bpsweep-model-x", "other"]
    for name in names:
        (tmp_path / "t" / name).mkdir(parents=True)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "t")}
    assert run_bpsweep("--version", environment=environment).returncode == 0
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == sorted(names[1:])
