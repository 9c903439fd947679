import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import httpx
import pytest
from server_support import (
    KEY,
    ROOT,
    ServerProcess,
    open_local_server,
    open_server_process,
    wait_until,
)

from bpsweep.server.errors import StoreError
from bpsweep.server.store.database import MIGRATIONS, Database, connect, migrate


def run_server(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bpsweep.server", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_server_says_where_it_is_and_ends_in_time(tmp_path):
    store = tmp_path / "store"
    with open_server_process(store) as server:
        address = server.address
        assert set(address) == {"url", "pid", "entity", "started_at", "while_used"}
        for name in ("server.json", "api_key", "bpsweep.sqlite3"):
            assert stat.S_IMODE((store / name).stat().st_mode) == 0o600, name
        assert len(server.key) >= 40
        said = (tmp_path / "server.log").read_text()
        for line in (
            f"export WANDB_BASE_URL={address['url']}",
            f"export WANDB_API_KEY={server.key}",
            "export WANDB_ENTITY=bpsweep",
            "export WANDB_PROJECT=bpsweep",
        ):
            assert line in said.splitlines()

        second = run_server("--store", str(store))
        assert second.returncode == 3
        assert address["url"] in second.stderr

        # Two connections stay open: one idle, one in the middle of a request.
        host, port = address["url"].removeprefix("http://").split(":")
        idle = socket.create_connection((host, int(port)))
        busy = socket.create_connection((host, int(port)))
        busy.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.2)
        assert server.stop(signal.SIGINT) < 2
        idle.close()
        busy.close()
        assert not (store / "server.json").exists()

    with open_server_process(store) as again:
        assert again.address["url"] == address["url"]  # the port it had
        assert again.stop() < 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--host", "0.0.0.0"], 2, "--allow-remote"),
        (["--host", "192.0.2.1"], 2, "--allow-remote"),
        (["--lease-seconds", "0"], 2, "--lease-seconds is more than 0"),
        (["--port", "99999"], 2, "port"),
    ],
)
def test_what_cannot_be_served_says_so(tmp_path, arguments, code, message):
    answer = run_server("--store", str(tmp_path / "store"), *arguments)
    assert answer.returncode == code
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    answer = run_server("--store", str(tmp_path / "file" / "store"))
    assert answer.returncode == 2
    assert "cannot write to the store's folder" in answer.stderr
    assert "--store" in answer.stderr


def test_a_port_in_use_is_not_taken_silently(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run_server("--store", str(tmp_path / "s"), "--port", str(port))
        assert (answer.returncode, "is in use" in answer.stderr) == (2, True)
        (tmp_path / "s" / "port").write_text(str(port))
        with open_server_process(tmp_path / "s") as server:
            assert not server.address["url"].endswith(f":{port}")


def test_what_was_answered_survives_a_kill(tmp_path):
    server = ServerProcess(tmp_path / "store").start()
    path = "/files/bpsweep/p/r/file_stream"
    auth = ("api", server.key)
    mutation = """mutation U { upsertBucket(input: {entityName: "bpsweep", modelName: "p",
        name: "r", host: "h"}) { bucket { id } } }"""
    url = server.address["url"]
    httpx.post(f"{url}/graphql", json={"query": mutation}, auth=auth)
    answered = []

    def write():
        for number in range(100_000):
            chunk = {"offset": number, "content": [json.dumps({"_step": number})]}
            body = {"files": {"wandb-history.jsonl": chunk}}
            try:
                if httpx.post(url + path, json=body, auth=auth).status_code == 200:
                    answered.append(number)
            except httpx.HTTPError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(answered) > 20, 30, 0.001)
    server.stop(signal.SIGKILL)
    writer.join()
    with open_server_process(tmp_path / "store"):
        db = sqlite3.connect(tmp_path / "store" / "bpsweep.sqlite3")
        stored = {line for (line,) in db.execute("SELECT line FROM history")}
        assert set(answered) <= stored
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


def make_old_file(path, version):
    """Make a database as an earlier version of this program left it, with a run in it."""
    scripts = sorted(MIGRATIONS.glob("*.sql"))[:version]
    db = connect(path)
    for number, script in enumerate(scripts, start=1):
        db.executescript(f"{script.read_text()}\nPRAGMA user_version = {number};")
    db.execute("INSERT INTO projects VALUES (1, 'bpsweep', 'p', NULL, 1.0)")
    db.execute(
        "INSERT INTO runs (id, project_id, name, display_name, state, created_at, updated_at)"
        " VALUES (1, 1, 'old', 'old run', 'finished', 1.0, 1.0)"
    )
    db.close()


@pytest.mark.parametrize("version", range(1, len(list(MIGRATIONS.glob("*.sql"))) + 1))
def test_an_old_file_is_migrated_with_its_runs(tmp_path, version):
    store = tmp_path / "store"
    store.mkdir()
    make_old_file(store / "bpsweep.sqlite3", version)
    with open_local_server(store) as server:
        assert server.find_run("old")["state"] == "finished"
        server.start_run("new")
        assert server.find_run("new")["state"] == "running"


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x);")
    (folder / "0002_b.sql").write_text("CREATE TABLE b (x); INSERT INTO nothing VALUES (1);")
    db = connect(tmp_path / "file.sqlite3")
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        migrate(db, folder)
    assert db.execute("PRAGMA user_version").fetchone() == {"user_version": 1}
    tables = db.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [{"name": "a"}]
    db.close()


def test_a_newer_or_broken_file_is_refused(tmp_path):
    newer = connect(tmp_path / "newer.sqlite3")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="version 99"):
        Database(tmp_path / "newer.sqlite3")
    (tmp_path / "broken.sqlite3").write_bytes(os.urandom(8_192))
    with pytest.raises(StoreError, match="not a database"):
        Database(tmp_path / "broken.sqlite3")


def test_a_short_key_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "api_key").write_text(KEY[:20])
    answer = run_server("--store", str(tmp_path / "s"))
    assert (answer.returncode, "40 or more" in answer.stderr) == (2, True)
