"""The server proves that it is ours before it is sent a key, and knows its own hosts."""

import http.server
import json
import threading

import httpx
import pytest
from server_support import KEY, open_local_server

from bpsweep.agent.errors import ServerError
from bpsweep.agent.sweep.local_server import ServerAddress, find_server, named_server
from bpsweep.agent.sweep.server_calls import retry_sweep
from bpsweep.agent.tracking.address import wait_for_server
from bpsweep.agent.tracking.proof import MUST_PROVE, is_proven
from bpsweep.server.__main__ import main


@pytest.fixture
def store(tmp_path):
    """A store whose server was killed: its files name an address."""
    folder = tmp_path / "home" / "server"
    folder.mkdir(parents=True)
    (folder / "api_key").write_text(KEY + "\n")
    return folder


def remember(store, url):
    (store / "server.json").write_text(json.dumps({"url": url, "entity": "bpsweep", "pid": 1}))


class _Stranger(http.server.BaseHTTPRequestHandler):
    """Answers whatever is asked, passes nonces on to the real server, and keeps what it is sent."""

    seen: list[str]
    real: str | None

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.seen.append(f"{self.path} {self.headers} {self.rfile.read(length)!r}")
        answer = {"status": "ok", "proof": "0" * 64, "retried": [], "state": "RUNNING"}
        if self.real is not None and self.path.startswith("/healthz"):
            answer = httpx.get(self.real + self.path).json()
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # the name that http.server calls

    def log_message(self, *_):
        pass


@pytest.fixture
def stranger():
    """Somebody else's program at a port, and what it was sent."""
    handler = type("Stranger", (_Stranger,), {"seen": [], "real": None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler
        finally:
            server.shutdown()
            thread.join()


def test_a_stranger_at_the_remembered_address_never_sees_the_key(store, stranger, monkeypatch):
    url, handler = stranger
    remember(store, url)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert find_server(store) is None
    assert named_server(store) is None
    monkeypatch.setenv("WANDB_BASE_URL", url)
    for key in (KEY, "u" * 40):  # the store's, and that of another user of the same server
        monkeypatch.setenv("WANDB_API_KEY", key)
        with pytest.raises(ServerError, match="No key was sent to it"):
            named_server(store)
    was_ours = ServerAddress(url, {"WANDB_API_KEY": KEY}, embedded=True)
    with pytest.raises(ServerError, match="does not prove"):
        retry_sweep(was_ours, "bpsweep/p/s")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv(MUST_PROVE, "1")
    assert not wait_for_server(timeout_s=0.1)
    said = "\n".join(handler.seen)
    assert "/healthz?nonce=" in said
    assert KEY not in said and "authorization" not in said.lower()


def test_the_real_server_proves_itself_and_its_proof_cannot_be_passed_on(
    store, stranger, monkeypatch
):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    url, handler = stranger
    with open_local_server(store) as server:
        handler.real = str(server.http.base_url).rstrip("/")
        remember(store, handler.real)
        assert is_proven(handler.real, KEY)
        assert not is_proven(handler.real, "w" * 40)
        found = find_server(store)
        assert found is not None and found.url == handler.real
        monkeypatch.setenv(MUST_PROVE, "1")
        monkeypatch.setenv("WANDB_BASE_URL", found.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert wait_for_server(timeout_s=5)
        assert not is_proven(url, KEY), "another port"
        assert server.http.get("/healthz").json() == {"status": "ok"}
        assert server.http.get("/healthz?nonce=zz").status_code == 400


SERVED = ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.0.0.2", "[::1]:99", "lab.example:80")
REFUSED = ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.7", "[::1", "")


def test_a_loopback_server_answers_only_to_its_hosts(tmp_path):
    names = frozenset({"localhost", "lab.example"})
    paths = (("GET", "/healthz"), ("POST", "/graphql"), ("GET", "/no/such/page"))
    with open_local_server(tmp_path / "store", hosts=names) as server:
        for host in (*SERVED, *REFUSED):
            for method, path in paths:
                answer = server.http.request(method, path, headers={"Host": host})
                assert (answer.status_code == 421) == (host in REFUSED), (host, path)
                assert host in SERVED or "--allowed-host" in answer.json()["error"]
        for host in SERVED:
            assert server.http.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_server_for_other_machines_answers_to_addresses_and_named_hosts(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("bpsweep.server.__main__.serve", lambda *given: made.append(given[0]))
    options = ["--store", str(tmp_path / "store"), "--host", "0.0.0.0"]
    assert main([*options, "--allow-remote", "--allowed-host", "Lab.example"]) == 0
    assert made[0].any_address and "lab.example" in made[0].hosts
    with open_local_server(tmp_path / "s", hosts=made[0].hosts, any_address=True) as server:
        for host, status in (("10.0.0.7:80", 200), ("lab.example", 200), ("evil.example", 421)):
            assert server.http.get("/healthz", headers={"Host": host}).status_code == status
