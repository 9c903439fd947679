"""The user's variables for W&B and for proxies do not get between us and our own server."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_support import find_sweep_path, make_environment, make_sweep_yaml, run_bpsweep

from bpsweep.agent.tracking.variables import drop_inherited, point_at_loopback


def test_exceptions_of_the_users_stay() -> None:
    made = point_at_loopback({"NO_PROXY": "intranet.example, localhost", "WANDB_MODE": "offline"})
    assert made["no_proxy"] == made["NO_PROXY"] == "intranet.example,localhost,127.0.0.1,::1"
    assert made["WANDB_MODE"] == "online"


def test_what_is_of_one_run_is_not_inherited() -> None:
    environment = {"WANDB_SWEEP_ID": "a", "WANDB_SERVICE": "b", "WANDB_ENTITY": "c"}
    drop_inherited(environment)
    assert environment == {"WANDB_ENTITY": "c"}


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
@pytest.mark.parametrize("place", ["variable", "folder"])
def test_a_sweep_without_internet_runs_whatever_is_switched_off(
    tmp_path: Path, small_set: Path, proxy: tuple[str, list[str]], place: str
) -> None:
    url, asked = proxy
    extra = dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"), url
    )
    extra["WANDB_SWEEP_ID"] = "another"
    if place == "variable":
        extra["WANDB_MODE"] = "offline"
    else:
        (tmp_path / "wandb").mkdir()
        (tmp_path / "wandb" / "settings").write_text("[default]\nmode = offline\n")
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
    key = (tmp_path / "home" / "server" / "api_key").read_text().strip()
    assert key not in done.stdout + done.stderr
