"""The pages without a browser: what they send, what they refuse, what they never run."""

import contextlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from page_support import ACCURACY_GRID, fill_sweep, save_cells, save_file
from server_support import KEY, LocalServer, open_local_server, wait_until

from bpsweep.server import leases
from bpsweep.server.board.judge import Judge
from bpsweep.server.board.status import estimate_time_left
from bpsweep.server.pages import assets

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setattr(
        "bpsweep.server.board.watched.FRESH_S", 0.0
    )  # tests are faster than readers
    monkeypatch.setattr("bpsweep.server.board.watched.ANSWER_S", 0.0)
    with open_local_server(tmp_path / "store") as local:
        yield local


@contextlib.contextmanager
def log_in(server: LocalServer) -> Iterator[httpx.Client]:
    """Give a client with a session cookie of its own."""
    with httpx.Client(base_url=server.http.base_url, timeout=30) as client:
        assert client.post("/login", data={"key": KEY}).status_code == 303
        yield client


def read_token(client: httpx.Client, path: str = "/") -> str:
    found = re.search(r'name="form-token" content="(\w+)"', client.get(path).text)
    assert found
    return found.group(1)


def ask(server: LocalServer, path: str, **query: object) -> dict:
    answer = server.http.get(path, params=query, auth=("api", KEY))
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(server: LocalServer, path: str, known: dict | None = None, **query: object) -> dict:
    """Ask as a page does that knows an earlier answer."""
    since = {"since": known["revision"], "boot": known["boot"]} if known else {}
    return ask(server, path, **since, **query)


@pytest.fixture
def filled(server: LocalServer) -> tuple[LocalServer, str, list[str]]:
    """Give a sweep of three runs, its path and their names."""
    sweep = server.make_sweep(ACCURACY_GRID)
    names = fill_sweep(server.context, sweep, 3, 5)
    return server, f"/bpsweep/p/sweeps/{sweep['name']}", names


def test_a_page_gets_what_has_changed_and_nothing_else(filled):
    server, path, names = filled
    first = refresh(server, f"{path}/table.json")
    assert [row["id"] for row in first["runs"]] == names
    assert first["swept"] == ["model", "batch_size", "learning_rate", "normalize", "seed"]
    assert first["status"]["expected"] == 1_000
    again = refresh(server, f"{path}/table.json", first)
    assert (again["runs"], again["all"], again["revision"]) == ([], False, first["revision"])
    server.log(names[1], {"epoch": 6, "val/accuracy": 0.99, "val/loss": 0.3}, offset=5)
    changed = refresh(server, f"{path}/table.json", again)
    (row,) = changed["runs"]
    assert (row["id"], row["best"]["val/accuracy"], row["at"]["epoch"]) == (names[1], 0.99, 6)
    assert row["best"]["val/loss"] == 0.3, "all metrics are those of the best epoch"
    curves = refresh(server, f"{path}/curves.json", again, metric="val/accuracy")["curves"]
    assert list(curves) == [names[1]]
    assert curves[names[1]][0] == [1, 2, 3, 4, 5, 6]
    elsewhere = ask(server, f"{path}/table.json", since=changed["revision"], boot="another")
    assert elsewhere["all"]
    assert len(elsewhere["runs"]) == 3


def test_best_and_last_are_told_apart(filled):
    server, path, names = filled
    points = [{"epoch": 6, "val/accuracy": 0.95}, {"epoch": 7, "val/accuracy": 0.2}]
    server.log(names[0], *points, offset=5)
    summary = {"wandb-summary.json": {"offset": 0, "content": ['{"val/accuracy": 0.2}']}}
    server.stream(names[0], files=summary)
    row = refresh(server, f"{path}/table.json")["runs"][0]
    assert (row["best"]["val/accuracy"], row["last"]["val/accuracy"]) == (0.95, 0.2)


def test_a_run_that_begins_anew_shows_its_new_curve(filled):
    server, path, names = filled
    refresh(server, f"{path}/table.json")
    server.start_run(names[0])  # a program under the name of a run that has ended
    server.log(names[0], *[{"epoch": i + 1, "val/accuracy": 0.1} for i in range(5)])
    curves = refresh(server, f"{path}/curves.json", metric="val/accuracy")["curves"]
    assert curves[names[0]][1] == [0.1] * 5


def test_deleted_runs_leave_the_page(filled):
    server, path, names = filled
    first = refresh(server, f"{path}/table.json")
    graphql_id = server.find_run(names[0])["id"]
    server.query("mutation D($i: ID!) { deleteRun(input: {id: $i}) { success } }", i=graphql_id)
    after = refresh(server, f"{path}/table.json", first)
    assert after["all"]
    assert [row["id"] for row in after["runs"]] == names[1:]


@pytest.mark.parametrize(
    "spoil",
    [
        {"token": ""},
        {"token": "of another session"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_forms_of_other_pages_change_nothing(server, spoil):
    sweep = server.make_sweep()
    path = f"/bpsweep/p/sweeps/{sweep['name']}/state"
    with log_in(server) as mine, log_in(server) as other:
        tokens = {"of another session": "0" * 64, "": ""}
        token = tokens.get(spoil.get("token", "mine"), read_token(mine))
        headers = {key: value for key, value in spoil.items() if key != "token"}
        answer = mine.post(path, data={"action": "pause", "token": token}, headers=headers)
        assert answer.status_code == 403
        assert server.progress(sweep)["state"] == "PENDING"
        other.cookies.clear()
        assert other.post(path, data={"action": "pause"}).status_code == 401
        good = {"action": "pause", "token": read_token(mine)}
        own = {"origin": str(server.http.base_url).rstrip("/")}
        assert mine.post(path, data=good, headers=own).status_code == 303
    assert server.progress(sweep)["state"] == "PAUSED"


def test_every_action_of_a_sweep(filled):
    server, path, names = filled
    sweep = {"name": path.split("/")[-1]}
    with log_in(server) as client:
        client.headers["x-form-token"] = read_token(client)

        def act(action: str) -> httpx.Response:
            return client.post(f"{path}/state", data={"action": action})

        for action, state in [("pause", "PAUSED"), ("resume", "RUNNING"), ("stop", "FINISHED")]:
            assert act(action).status_code == 303
            assert server.progress(sweep)["state"] == state
        server.start_run(names[0])
        server.finish(names[0], exit_code=1)
        assert act("retry").status_code == 303
        assert server.progress(sweep)["runs"][-1]["retry_of"] == names[0]
        assert act("cancel").status_code == 303
        assert server.progress(sweep)["state"] == "CANCELED"
        refused = act("explode")
        assert (refused.status_code, "explode" in refused.json()["error"]) == (400, True)
        server.start_run("alone")
        assert client.post("/bpsweep/p/runs/alone/stop").status_code == 303
        assert server.find_run("alone")["stopReason"] == "stopped by the user"


@pytest.mark.parametrize(
    ("text", "problems", "expected"),
    [
        ("", [], None),
        (ACCURACY_GRID, [], 1_000),
        ("method: random\nparameters: {a: {min: 0.0, max: 1.0}}\nrun_cap: 7", [], 7),
        ("method: [", ["not YAML"], None),
        ("method: grid\nparameters: {a: {min: 0.0, max: 1.0}}", ["a grid needs values"], None),
        ("method: climb\nparameters: {a: {values: [1]}}", ["climb"], None),
    ],
    ids=["empty", "grid", "random", "no YAML", "no values", "no method"],
)
def test_a_definition_is_checked_as_one_types(server, text, problems, expected):
    with log_in(server) as client:
        headers = {"x-form-token": read_token(client)}
        answer = client.post("/check-sweep", data={"config": text}, headers=headers).json()
    for wanted, said in zip(problems, answer["problems"], strict=False):
        assert wanted in said
    assert bool(answer["problems"]) == bool(problems)
    assert answer.get("expected") == expected


def test_a_sweep_is_made_from_the_page(server):
    with log_in(server) as client:
        form = {"config": ACCURACY_GRID, "project": "fresh", "token": read_token(client)}
        made = client.post("/new-sweep", data=form)
        assert made.status_code == 303
        assert "<h1>cells" in client.get(made.headers["location"]).text
        assert client.post("/new-sweep", data={**form, "config": "no"}).status_code == 400


class InlineFinder(HTMLParser):
    """Collects what a page's policy forbids: scripts, styles and handlers in the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = dict(attributes)
        source = names.get("src") or names.get("href") or ""
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        if tag in ("script", "img", "link") and "//" in source:
            self.found.append(source)
        self.found += [n for n in names if n == "style" or n.startswith("on")]


def test_pages_hold_no_script_and_nothing_logged_becomes_one(server):
    sweep = server.make_sweep(ACCURACY_GRID.replace("name: cells", f'name: "{SCRIPT}"'))
    names = fill_sweep(server.context, sweep, 2, 3)
    server.start_run("x", displayName=SCRIPT, notes=SCRIPT, tags=[SCRIPT], groupName=SCRIPT)
    config = {"config": '{"a": {"value": "<img src=x onerror=alert(1)>"}}'}
    server.start_run("x", **config)
    html_file = {"page": {"_type": "html-file", "path": "media/html/page.html"}}
    table = {"t": {"_type": "table-file", "path": "media/table/t.json"}}
    server.log("x", {"loss": 1.0, **html_file, **table})
    save_file(server, "x", "media/html/page.html", SCRIPT.encode(), "text/html")
    cells = f'{{"columns": ["{SCRIPT}"], "data": [["{SCRIPT}"]]}}'
    save_file(server, "x", "media/table/t.json", cells.encode(), "application/json")
    output = {"output.log": {"offset": 0, "content": [SCRIPT, "\x1b[31mred\x1b[0m", "1 %\r2 %"]}}
    server.stream("x", files=output)
    pages = ["/", "/bpsweep/p", f"/bpsweep/p/sweeps/{sweep['name']}", "/bpsweep/p/runs/x"]
    pages += [f"/bpsweep/p/compare?runs=x,{names[0]}", "/login", "/authorize", "/bpsweep/p/runs/no"]
    for path in pages:
        answer = server.http.get(path, auth=("api", KEY))
        assert "script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        finder = InlineFinder()
        finder.feed(answer.text)
        assert finder.found == [], path
        assert "alert(1)</script>" not in answer.text, path
    page = server.http.get("/bpsweep/p/runs/x", auth=("api", KEY)).text
    assert page.count("&lt;script&gt;alert(1)") >= 6
    console = ask(server, "/bpsweep/p/runs/x/live.json", output=0)["output"]
    assert [line["line"] for line in console] == [SCRIPT, "red", "2 %"]


@pytest.mark.parametrize("name", ["table.json", "curves.json", "verdict.json"])
def test_data_needs_the_key_too(filled, name):
    server, path, _ = filled
    assert server.http.get(f"{path}/{name}").status_code == 401


def test_runs_side_by_side(filled):
    server, _, names = filled
    cells = save_cells(server, names[0], wrong={0})
    save_cells(server, names[1], wrong={0, 3})
    page = server.http.get(f"/bpsweep/p/compare?runs={names[0]},{names[1]}", auth=("api", KEY)).text
    differing = page.split('id="differences"')[1].split('class="same"')[0]
    assert ">seed<" in differing
    assert ">model<" not in differing
    assert re.findall(r'class="s\d+">(\d)<', page) == list("31043113"), "counts of both matrices"
    shown = re.findall(r'<img[^>]*alt="Cell (\S+)"', page)
    assert shown == [cells[3], cells[0], cells[1], cells[2]], "where they disagree comes first"


def test_an_artifact_knows_where_it_comes_from(filled):
    server, _, names = filled
    with server.context.database.write() as db:
        from bpsweep.server.store import artifacts, collections, runs  # noqa: PLC0415

        run = db.execute("SELECT * FROM runs WHERE name = ?", (names[0],)).fetchone()
        made = collections.ensure_collection(
            db, run["project_id"], collections.SEQUENCE, "model-x", "model", None
        )
        artifact = artifacts.create_artifact(db, made["id"], run_id=run["id"], digest="dig")
        artifacts.commit_artifact(db, artifact, {"weights": {"digest": "w", "size": 12}})
        user = runs.find_run(db, run["project_id"], names[1])
        assert user is not None
        artifacts.record_use(db, user["id"], artifact["id"], None)
    link = "/bpsweep/p/artifacts/model/model-x/v0"
    for name in names[:2]:
        page = server.http.get(f"/bpsweep/p/runs/{name}/artifacts", auth=("api", KEY)).text
        assert link in page
        assert "d4f1" in page, "the checksum of the data stands beside what was made of it"
    page = server.http.get(link, auth=("api", KEY)).text
    assert f"/runs/{names[0]}" in page
    assert f"/runs/{names[1]}" in page


def test_own_files_are_packed_checked_and_alone(server):
    first = server.http.get("/static/sweep.js")
    assert first.headers["content-encoding"] == "gzip"
    again = server.http.get("/static/sweep.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/..%2fauth.py", "/static/%2e%2e/auth.py", "/static//etc/passwd"):
        assert server.http.get(path).status_code in (303, 404)


def test_modules_import_what_others_export():
    exported: dict[str, set[str]] = {}
    texts = {path.name: path.read_text() for path in assets.FOLDER.glob("*.js")}
    for name, text in texts.items():
        declared = r"^export (?:async )?(?:function|class|const) (\w+)"
        exported[name] = set(re.findall(declared, text, re.MULTILINE))
    for name, text in texts.items():
        for names, source in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', text):
            assert {one.strip() for one in names.split(",")} <= exported[source], (name, source)
        assert text.count("import {") == len(re.findall(r'\} from "\./[^"]+";', text)), name


@pytest.mark.parametrize(
    ("times", "n_alive", "expected"),
    [
        ({"ended": 6, "running": 2, "mean_s": 10.0, "open_s": 8.0}, 2, 16.0),
        ({"ended": 6, "running": 0, "mean_s": 10.0, "open_s": None}, 8, 10.0),
        ({"ended": 0, "running": 2, "mean_s": None, "open_s": 3.0}, 2, None),
        ({"ended": 6, "running": 0, "mean_s": 10.0, "open_s": None}, 0, None),
    ],
    ids=["two at work", "more agents than runs", "none finished", "nobody there"],
)
def test_the_time_left(times, n_alive, expected):
    sweep = {"state": "RUNNING", "run_count_expected": 10}
    assert estimate_time_left(sweep, times, n_alive) == expected


def test_the_verdict_is_the_reports(server):
    config = ACCURACY_GRID.replace("goal: maximize", "goal: maximize, target: 0.7")
    sweep = server.make_sweep(config)
    names = fill_sweep(server.context, sweep, 40, 6)
    save_cells(server, names[0], wrong={0})
    judge = Judge(server.context.settings)
    with server.context.database.read() as db:
        (row,) = db.execute("SELECT id FROM sweeps").fetchall()
    answer = judge.answer({"sweep": row["id"], "path": f"bpsweep/p/{sweep['name']}"})
    said = " ".join(answer["sentences"])
    assert "of 4 configurations reach 70 %" in said, "seeds are repeats, the target is the YAML's"
    assert "Synthetic images" in said
    assert answer["sentences"][0].startswith("Grade ") and answer["grade"] in said
    rows = refresh(server, f"/bpsweep/p/sweeps/{sweep['name']}/table.json")["runs"]
    best = {row["id"]: row["best"]["val/accuracy"] for row in rows}
    first = answer["configurations"][0]
    pair = [name for name, run in zip(names, rows, strict=True) if same_settings(run, first)]
    assert first["value"] == pytest.approx(sum(best[name] for name in pair) / 10, abs=1e-5)
    assert answer["figures"][0]["name"] == "importance"
    server.log(names[1], {"epoch": 7, "val/accuracy": 1.0}, offset=6)
    again = judge.answer({"sweep": row["id"], "path": "p"})
    assert again["configurations"] != answer["configurations"], "it follows the store"
    judge.close()


def same_settings(run: dict, configuration: dict) -> bool:
    return all(run["config"][name] == value for name, value in configuration["swept"].items())


def test_verdicts_come_from_a_process_beside_the_server(filled):
    server, path, _ = filled

    def ask_verdict() -> dict:
        return ask(server, f"{path}/verdict.json")

    assert not ask_verdict()["current"], "no page waits for it"
    wait_until(lambda: ask_verdict()["current"], 60, 0.2)
    assert "Synthetic images" in " ".join(ask_verdict()["sentences"])


def test_a_run_says_why_it_was_stopped_early(filled):
    server, _, names = filled
    server.start_run("poor")
    told = [{"name": name, "state": "finished", "metric_values": [0.7, 0.8]} for name in names]
    told.append({"name": "poor", "state": "running", "metric_values": [0.5, 0.5, 0.5]})
    reason = "hyperband: after 3 values of val/accuracy the best is not among the top"
    with server.context.database.write() as db:
        run = db.execute("SELECT * FROM runs WHERE name = 'poor'").fetchone()
        leases.request_stop(db, run, reason, json.dumps(told))
    server.finish("poor", exit_code=255)
    page = server.http.get("/bpsweep/p/runs/poor", auth=("api", KEY)).text
    assert f"Stopped: {reason}." in page
    assert "Compared with 4 runs after 3 values." in page
