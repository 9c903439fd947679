import shutil

import pytest
from server_support import GRID, open_local_server, open_server_process
from test_server_files import COMMIT as COMMIT_ARTIFACT
from test_server_files import create_artifact, create_file, get_path, upload_artifact

from bpsweep.server import maintenance
from bpsweep.server.__main__ import main
from bpsweep.server.errors import StoreError
from bpsweep.server.settings import Settings
from bpsweep.server.store.database import connect

HYPERBAND = """
method: bayes
metric: {name: loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2, eta: 2}
parameters: {a: {min: 0.0, max: 1.0}, b: {values: [x, y]}}
"""


def fill(server):
    server.start_run("r")
    server.log("r", {"v": 1}, {"v": 2})
    server.http.put(create_file(server, "note.txt"), content=b"note")
    artifact, manifest = create_artifact(server, b"weights")
    upload_artifact(server, artifact, manifest, b"weights")
    server.query(COMMIT_ARTIFACT, id=artifact["id"])
    server.finish("r")


@pytest.fixture
def store(tmp_path):
    with open_local_server(tmp_path / "store") as server:
        fill(server)
        assert maintenance.check_store(Settings(tmp_path / "store")) == []  # while it is served
    return tmp_path / "store"


def test_a_sound_store_is_in_order(store, capsys):
    assert main(["--store", str(store), "--check"]) == 0
    assert "in order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DELETE FROM history WHERE line = 0", "1 of 2 history lines"),
        ("UPDATE files SET size = 5", "the bytes of file 'note.txt'"),
        ("UPDATE artifact_files SET digest = 'AAAAAAAAAAAAAAAAAAAAAA=='", "MD5 0000"),
        ("UPDATE manifests SET id = 77 WHERE uploaded = 1", "manifest 77 of artifact 1 is missing"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM projects", "names a row that projects lacks"),
    ],
)
def test_damage_is_found(store, damage, message, capsys):
    db = connect(store / "bpsweep.sqlite3")
    db.executescript(damage)
    db.close()
    assert main(["--store", str(store), "--check"]) == 1
    assert message in capsys.readouterr().out


def test_a_torn_file_is_found(store, capsys):
    path = store / "bpsweep.sqlite3"
    content = bytearray(path.read_bytes())
    content[5_000:60_000] = b"\xff" * 55_000
    path.write_bytes(bytes(content))
    assert main(["--store", str(store), "--check"]) == 1
    assert capsys.readouterr().out.strip()


def test_a_backup_made_while_serving_is_a_store(tmp_path):
    with open_server_process(tmp_path / "store") as server:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        assert server.get("/healthz") == {"status": "ok"}
        assert main(["--store", str(tmp_path / "store"), "--backup", str(tmp_path / "copy")]) == 0
    assert maintenance.check_store(Settings(tmp_path / "copy")) == []


def test_a_backup_keeps_everything_and_never_overwrites(store, tmp_path):
    settings = Settings(store)
    assert maintenance.back_up(settings, tmp_path / "copy") == 3
    assert not (tmp_path / "copy" / "api_key").exists()
    with pytest.raises(StoreError, match="exists already"):
        maintenance.back_up(settings, tmp_path / "copy")
    shutil.rmtree(store)
    with open_local_server(tmp_path / "copy") as server:
        assert server.find_run("r")["historyLineCount"] == 2
        query = """query Q { project(name: "p", entityName: "bpsweep") { run(name: "r") {
            files(names: []) { edges { node { directUrl } } } } } }"""
        (edge,) = server.query(query)["project"]["run"]["files"]["edges"]
        assert server.http.get(get_path(edge["node"]["directUrl"])).content == b"note"


def test_what_is_not_there_cannot_be_kept(tmp_path):
    assert main(["--store", str(tmp_path / "none"), "--check"]) == 2
    assert main(["--store", str(tmp_path / "none"), "--backup", str(tmp_path / "b")]) == 2


def replay(server, sweep):
    answer = server.http.get(
        f"/api/sweeps/bpsweep/p/{sweep['name']}/replay", auth=("api", "k" * 40)
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "config", [GRID, GRID.replace("grid", "random"), HYPERBAND], ids=["grid", "random", "bayes"]
)
def test_a_search_is_computed_again_from_its_record(tmp_path, config):
    with open_local_server(tmp_path / "store") as server:
        sweep = server.make_sweep(config)
        agents = [server.make_agent(sweep) for _ in range(4)]
        for turn in range(2 if config is HYPERBAND else 1):
            commands = [server.beat(agent)[0] for agent in agents]
            for level, command in enumerate(commands):
                server.start_run(command["run_id"])
                server.log(command["run_id"], *[{"loss": float(level)}] * 4)
            for command in commands:
                server.finish(command["run_id"], 0 if turn == 0 else 1)
        answer = replay(server, sweep)
        assert (answer["suggestions"], answer["differences"]) == (4 * (turn + 1), [])
        assert bool(answer["stops"]) is (config is HYPERBAND)

        # A record that was changed is found out.
        with server.context.database.write() as db:
            db.execute("UPDATE trials SET args = replace(args, ':', ': ') WHERE id = 1")
            db.execute('UPDATE trials SET args = \'{"a": {"value": 77}}\' WHERE id = 2')
            db.execute("UPDATE runs SET stop_reason = 'other' WHERE stop_reason IS NOT NULL")
        differences = replay(server, sweep)["differences"]
        assert [d["suggestion"] for d in differences if "suggestion" in d] == [2]
        assert len([d for d in differences if "stop" in d]) == answer["stops"]
