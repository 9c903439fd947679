import re
import stat

import pytest
from server_support import KEY, open_local_server

from bpsweep.server.__main__ import main


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store") as opened:
        opened.start_run("r")
        yield opened


@pytest.mark.parametrize("auth", [None, ("api", "x" * 40), ("api", ""), ("api", KEY[:-1])])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/graphql"),
        ("POST", "/files/bpsweep/p/r/file_stream"),
        ("GET", "/api/sweeps/bpsweep/p/s"),
        ("POST", "/api/sweeps/bpsweep/p/s/retry"),
        ("PUT", "/storage/run-files/1"),
        ("GET", "/storage/run-files/1"),
        ("PUT", "/storage/wandb_artifacts/" + "a" * 32),
        ("GET", "/storage/wandb_artifacts/" + "a" * 32),
        ("PUT", "/storage/manifests/1/wandb_manifest.json"),
        ("PUT", "/storage/parts/" + "a" * 32 + "-" + "b" * 32 + "/1"),
        ("GET", "/storage/manifests/1/wandb_manifest.json"),
        ("GET", "/artifactsV2/default/" + "a" * 32),
        ("GET", "/artifacts/bpsweep/" + "a" * 32),
    ],
)
def test_without_the_key_there_is_nothing(server, method, path, auth):
    answer = server.http.request(method, path, json={"query": "{ viewer { id } }"}, auth=auth)
    assert answer.status_code == 401
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "path", ["/", "/bpsweep/p", "/bpsweep/p/runs/r", "/bpsweep/p/sweeps/s", "/bpsweep/p/workspace"]
)
def test_pages_ask_for_the_key(server, path):
    answer = server.http.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"


def test_a_session_opens_the_pages_and_nothing_else(server):
    wrong = server.http.post("/login", data={"key": "wrong", "next": "/"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    answer = server.http.post("/login", data={"key": KEY, "next": "/bpsweep/p"})
    assert answer.headers["location"] == "/bpsweep/p"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert KEY not in cookie
    page = server.http.get("/bpsweep/p/runs/r")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.http.post("/graphql", json={"query": "{ viewer { id } }"}).status_code == 401
    ((name, value),) = server.http.cookies.items()
    server.http.cookies.clear()
    for forged in (f"2{value[1:]}", f"{value[:-1]}x", "1.9999999999.", ""):
        server.http.cookies.set(name, forged)
        assert server.http.get("/").status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_login_never_leads_elsewhere(server, target):
    answer = server.http.post("/login", data={"key": KEY, "next": target})
    assert answer.headers["location"] == "/"


def test_pages_escape_what_users_write(server):
    server.start_run("x", displayName="<script>alert(1)</script>", notes="<img src=x>")
    page = server.http.get("/bpsweep/p/runs/x", auth=("api", KEY)).text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<img src=x>" not in page


def test_the_key_is_stored_as_a_hash_only(server):
    server.context.database.close()
    stored = b"".join(path.read_bytes() for path in server.store.glob("bpsweep.sqlite3*"))
    assert KEY.encode() not in stored
    assert stat.S_IMODE((server.store / "bpsweep.sqlite3").stat().st_mode) & 0o077 == 0


def test_health_and_telemetry_need_no_key(server):
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.http.post("/sdk/otel/v1/metrics", content=b"anything").status_code == 200


def test_a_key_per_user_that_can_be_taken_away(server, capsys):
    def serve(*options):
        status = main(["--store", str(server.store), *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    def ask(key):
        body = {"query": "{ viewer { username entity } }"}
        return server.http.post("/graphql", json=body, auth=("api", key))

    status, out, _ = serve("--add-user", "alice")
    key = re.search(r"export WANDB_API_KEY=(\w{40})\n", out)[1]
    assert (status, "Users with a key: alice, bpsweep" in out) == (0, True)
    assert ask(key).json()["data"]["viewer"] == {"username": "alice", "entity": "alice"}
    assert ask(KEY).json()["data"]["viewer"]["username"] == "bpsweep"
    server.http.post("/login", data={"key": key, "next": "/"})
    assert server.http.get("/").status_code == 200

    assert "already" in serve("--add-user", "alice")[2]
    assert serve("--remove-user", "alice")[1].endswith("Users with a key: bpsweep\n")
    assert ask(key).status_code == 401
    assert server.http.get("/").status_code == 303
    again = serve("--add-user", "alice")[1]
    assert key not in again
    assert ask(key).status_code == 401
    assert server.http.get("/").status_code == 303  # the old key's session does not come back
    assert key.encode() not in (server.store / "bpsweep.sqlite3").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--add-user", "../x"], "'../x' cannot be a user"),
        (["--add-user", "bpsweep"], "there is a user 'bpsweep' already"),
        (["--remove-user", "bob"], "no user 'bob' to remove; those with a key: bpsweep"),
        (["--remove-user", "bpsweep"], "is the store's own user"),
    ],
)
def test_users_that_cannot_be_kept_are_named(server, capsys, options, message):
    assert main(["--store", str(server.store), *options]) == 2
    assert message in capsys.readouterr().err
