"""`bpsweep retry` and `bpsweep replay` at the embedded server, and at others."""

import http.server
import threading

import pytest
from server_support import ENTITY, KEY, PROJECT, open_local_server

from bpsweep.agent.command import main as cli


@pytest.fixture
def server(tmp_path, monkeypatch):
    with open_local_server(tmp_path / "store") as server:
        monkeypatch.setenv("WANDB_BASE_URL", str(server.http.base_url).rstrip("/"))
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("BPSWEEP_HOME", str(tmp_path / "home"))
        yield server


@pytest.fixture
def bpsweep(monkeypatch, capsys):
    def run(*arguments):
        """Return the exit status and what was said."""
        monkeypatch.setattr("sys.argv", ["bpsweep", *arguments])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out + said.err

    return run


def end_runs(server, *exit_codes):
    """Make a sweep whose first runs have ended so, and return its path and the runs' names."""
    sweep = server.make_sweep()
    names = []
    for exit_code in exit_codes:
        (command,) = server.beat(server.make_agent(sweep))
        names.append(command["run_id"])
        server.start_run(names[-1])
        server.finish(names[-1], exit_code)
    return f"{ENTITY}/{PROJECT}/{sweep['name']}", names


def test_what_failed_is_tried_again_once(server, bpsweep):
    path, (failed, _, interrupted) = end_runs(server, 1, 0, 255)
    status, said = bpsweep("retry", path)
    assert status == 0
    assert said.startswith("2 to try again; the sweep is RUNNING.")
    assert f"in place of {failed}, which failed: a 1, b 0" in said
    assert f"in place of {interrupted}, which was killed: a 2, b 0" in said
    assert bpsweep("retry", path) == (0, "Nothing to try again; the sweep is RUNNING.\n")


def test_abandoned_runs_are_tried_again_at_once(server, bpsweep):
    path, _ = end_runs(server, 0)
    sweep = {"name": path.split("/")[2]}
    (command,) = server.beat(server.make_agent(sweep))
    server.start_run(command["run_id"])
    assert bpsweep("retry", path)[1].startswith("Nothing to try again")
    assert (
        f"in place of {command['run_id']}, which crashed"
        in bpsweep("retry", path, "--abandoned")[1]
    )


def test_a_changed_record_is_found_out(server, bpsweep):
    path, _ = end_runs(server, 0, 0, 0)
    status, said = bpsweep("replay", path)
    assert (status, "3 suggestions and 0 stops" in said, "none differ." in said) == (0, True, True)
    with server.context.database.write() as db:
        db.execute('UPDATE trials SET args = \'{"a": {"value": 77}}\' WHERE id = 2')
    status, said = bpsweep("replay", path)
    assert status == 1
    assert "1 differs." in said
    assert "suggestion 2" in said
    assert "recorded    a 77" in said
    assert "recomputed  a 1, b 5" in said


@pytest.mark.parametrize("command", ["retry", "replay"])
def test_an_unknown_sweep_is_named(server, bpsweep, command):
    status, said = bpsweep(command, "bpsweep/p/nothing1")
    assert status == 2
    assert "does not exist" in said
    end_runs(server)
    status, said = bpsweep(command, "bpsweep/p/nothing1")
    assert (status, "sweep bpsweep/p/nothing1 does not exist" in said) == (2, True)
    status, said = bpsweep(command, "a/b/c/d")
    assert (status, "entity/project/id" in said) == (2, True)


def test_a_wrong_key_is_said(server, bpsweep, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "w" * 40)
    status, said = bpsweep("replay", "bpsweep/p/nothing1")
    assert (status, "invalid API key" in said) == (2, True)


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(200 if self.path == "/" else 404)

    def log_message(self, *_):
        pass


def test_another_server_cannot_replay(bpsweep, monkeypatch, tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setenv("WANDB_API_KEY", KEY)
            monkeypatch.setenv("BPSWEEP_HOME", str(tmp_path))
            status, said = bpsweep("replay", "a/b/c")
        finally:
            server.shutdown()
    assert (status, "is not bpsweep's own" in said) == (2, True)
