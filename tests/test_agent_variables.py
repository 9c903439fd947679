"""The user's variables for W&B and for proxies do not get between us and our own server."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from sweep_support import find_sweep_path, make_environment, make_sweep_yaml, run_bpsweep

from bpsweep.agent.tracking.proof import MUST_PROVE
from bpsweep.agent.tracking.variables import (
    OF_ONE_PROCESS,
    OF_ONE_RUN,
    PASSING,
    adopt,
    drop_inherited,
    point_at_loopback,
)


def test_exceptions_of_the_users_stay() -> None:
    made = point_at_loopback({"NO_PROXY": "intranet.example, localhost", "WANDB_MODE": "offline"})
    assert made["no_proxy"] == made["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"
    assert made["WANDB_MODE"] == "online"


def test_what_is_of_one_run_is_not_inherited() -> None:
    environment = {"WANDB_SWEEP_ID": "a", "WANDB_SERVICE": "b", "WANDB_ENTITY": "c"}
    drop_inherited(environment)
    assert environment == {"WANDB_ENTITY": "c"}


FOR_A_SERVER = ("WANDB_API_KEY", "WANDB_BASE_URL")
"""With these the user names another server, which is then used."""
CLIENTS_OWN = {value for value in vars(wandb.env).values() if str(value).startswith("WANDB_")}


def make_hostile() -> Iterator[tuple[str, str]]:
    """Give every variable that the installed client reads, with a value that would break a run."""
    settings = {f"WANDB_{name.upper()}" for name in wandb.Settings.model_fields}
    for name in sorted(settings | CLIENTS_OWN):
        if name == "WANDB_MODE":
            yield name, "offline"
        elif name.endswith(("HTTP_PROXY", "HTTPS_PROXY")):
            yield name, "http://127.0.0.1:9"
        else:
            yield name, "1"


def test_every_variable_of_the_client_passes_or_is_set_aside() -> None:
    there = dict(make_hostile())
    assert len(there) > 150 and set(there) >= PASSING
    passed = dict(there)
    adopt(passed, {MUST_PROVE: "1", "WANDB_MODE": "online"})
    assert set(passed) == PASSING | {MUST_PROVE, "WANDB_MODE"}
    assert passed["WANDB_MODE"] == "online"
    told = {MUST_PROVE: "1", "WANDB_SERVICE": "the command's own"}
    adopt(passed, told)
    assert "WANDB_SERVICE" not in passed, "its death would be the end of all that share it"
    abroad = dict(there)
    adopt(abroad, {"WANDB_BASE_URL": "https://wandb.example"})
    dropped = set(there) - set(abroad)
    assert dropped == {*OF_ONE_RUN, *OF_ONE_PROCESS} & set(there), "W&B's own server is the user's"


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy that notes what it is asked for, and refuses."""

    asked: list[str]

    def answer(self) -> None:
        self.asked.append(self.requestline)
        self.send_error(502)

    do_GET = do_POST = do_PUT = do_CONNECT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Noting", (Proxy,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["variable", "folder", "user", "all"])
def test_a_sweep_without_internet_runs_whatever_is_switched_off(
    tmp_path: Path, small_set: Path, proxy: tuple[str, list[str]], place: str
) -> None:
    url, asked = proxy
    extra = dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"), url
    )
    extra["WANDB_SWEEP_ID"] = "another"
    hostile = {name: value for name, value in make_hostile() if name not in PASSING}
    if place == "variable":
        extra["WANDB_MODE"] = "offline"
    elif place == "all":
        extra |= {name: value for name, value in hostile.items() if name not in FOR_A_SERVER}
    else:
        folder = tmp_path / ("wandb" if place == "folder" else "config/wandb")
        folder.mkdir(parents=True)
        lines = [
            f"{name.removeprefix('WANDB_').lower()} = {value}"
            for name, value in hostile.items()
            if name not in FOR_A_SERVER
        ]
        (folder / "settings").write_text("\n".join(["[default]", *lines]) + "\n")
        extra["HOME"] = str(tmp_path)
        (tmp_path / ".config").symlink_to(tmp_path / "config")
    environment = make_environment(tmp_path / "home", small_set, extra)
    path = make_sweep_yaml(tmp_path, model="mlp", learning_rate=[0.01, 0.001], epochs=1)
    done = run_bpsweep("run", str(path), environment=environment, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 configurations" in done.stdout and "Not finished" not in done.stdout
    assert done.stdout.count("WANDB_SWEEP_ID is set aside") == 1
    if place == "variable":
        assert done.stdout.count("WANDB_MODE=offline is set aside") == 1
    assert find_sweep_path(done.stdout)
    assert not [line for line in asked if "127.0.0.1" in line or "localhost" in line]
    if place == "user":
        assert (
            done.stdout.count(f"settings in {tmp_path}/.config/wandb/settings are set aside") == 1
        )
    key = (tmp_path / "home" / "server" / "api_key").read_text().strip()
    assert key not in done.stdout + done.stderr
    holders = {
        path.relative_to(tmp_path / "home").as_posix()
        for path in (tmp_path / "home").rglob("*")
        if path.is_file() and key.encode() in path.read_bytes()
    }
    assert holders <= {"server/api_key"}, "no log holds the key"
