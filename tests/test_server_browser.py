"""The pages in a real browser: live, brushed, compared, paused; and no request to anywhere else."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_support import fill, mount_tmpfs
from page_support import ACCURACY_GRID, CHROMIUM, fill_sweep, log_in, open_browser, save_cells
from playwright.sync_api import Locator, Page, expect
from server_support import (
    KEY,
    LocalServer,
    ServerProcess,
    open_local_server,
    open_server_process,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
PROGRAM = """
import time, wandb
with wandb.init() as run:
    for epoch in range(1, 5):
        accuracy = 0.5 + 0.1 * epoch - run.config["learning_rate"]
        run.log({"epoch": epoch, "val/accuracy": accuracy, "train/loss": 1 / epoch})
        print("epoch", epoch, flush=True)
        time.sleep(0.3)
"""
DEFINITION = """
program: train.py
name: watched
method: grid
metric: {name: val/accuracy, goal: maximize}
parameters:
  learning_rate: {values: [0.1, 0.01]}
  model: {values: [lenet5, mlp]}
command: ["${env}", "${interpreter}", "${program}"]
"""


@pytest.fixture
def page() -> Iterator[Page]:
    """Open a page; at its end no request has left this machine and nothing was forbidden."""
    with open_browser() as browser:
        opened = browser.new_page(viewport={"width": 1440, "height": 1000})
        requests: list[str] = []
        complaints: list[str] = []
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on(
            "console",
            lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        yield opened
        local = ("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:", "about:")
        assert [url for url in requests if not url.startswith(local)] == []
        assert complaints == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with open_local_server(tmp_path / "store", lease_seconds=1e6) as local:
        yield local


def get_base(server: LocalServer) -> str:
    return str(server.http.base_url).rstrip("/")


@pytest.fixture
def sweep_page(server: LocalServer, page: Page) -> tuple[LocalServer, Page, list[str]]:
    """Open the page of a sweep of forty runs."""
    sweep = server.make_sweep(ACCURACY_GRID.replace("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "[1, 2]"))
    names = fill_sweep(server.context, sweep, 40, 8)
    log_in(page, get_base(server), f"/bpsweep/p/sweeps/{sweep['name']}")
    expect(page.locator("#shown")).to_have_text("40 runs")
    return server, page, names


def find_rows(page: Page) -> Locator:
    return page.locator("#table tbody tr[data-run]")


def test_log_in_look_and_log_out(server: LocalServer, page: Page) -> None:
    base = get_base(server)
    server.start_run("x", displayName="<script>document.title='run'</script>")
    server.log("x", {"loss": 1.0}, {"loss": 0.5})
    page.goto(base + "/bpsweep/p/runs/x")
    page.fill("input[name=key]", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the key")
    page.fill("input[name=key]", KEY)
    page.keyboard.press("Enter")
    page.wait_for_url("**/bpsweep/p/runs/x")
    expect(page.locator("h1")).to_contain_text("<script>document.title")
    page.get_by_role("tab", name="Curves").click()
    expect(page.locator("#curves section", has_text="loss")).to_be_visible()
    page.goto(base + "/bpsweep/p")
    expect(find_rows(page)).to_contain_text("<script>document.title")
    assert page.title() != "run"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_selector("input[name=key]")
    page.goto(base + "/bpsweep/p")
    assert "/login?next=" in page.url


def test_a_brush_is_followed_by_table_and_figures(sweep_page) -> None:
    _, page, _ = sweep_page
    expect(page.locator("#curves")).to_have_attribute("data-runs", "40")
    expect(page.locator("#verdict .lead")).to_contain_text("Grade ", timeout=30_000)
    expect(page.locator("#verdict")).to_contain_text("configurations reach")
    top = page.locator(".parallel-inner .catch").last.bounding_box()
    assert top is not None
    x = top["x"] + top["width"] / 2
    page.mouse.move(x, top["y"] + 10)
    page.mouse.down()
    page.mouse.move(x, top["y"] + 40, steps=4)
    page.mouse.move(x, top["y"] + 90, steps=4)
    page.mouse.up()
    shown = page.locator("#shown")
    expect(shown).to_contain_text(" of 40 runs")
    expect(page).to_have_url(re.compile("brush="))
    page.wait_for_timeout(1000)  # the count follows the mouse: on a busy machine a moment later
    n = int(shown.inner_text().split(" of ")[0].split()[0])
    assert 0 < n < 40
    expect(find_rows(page)).to_have_count(n)
    expect(page.locator("#curves")).to_have_attribute("data-runs", str(n))
    expect(page.locator("#scatter .point")).to_have_count(n)
    values = [float(text) for text in page.locator("td.best").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    expect(page).to_have_url(re.compile("brush="))
    address = page.url
    page.goto("about:blank")
    page.goto(address)  # a shared link opens the same view
    expect(find_rows(page)).to_have_count(n)
    page.get_by_role("button", name="Show all").click()
    expect(shown).to_have_text("40 runs")


def test_the_keyboard_brushes_filters_sorts_and_chooses(sweep_page) -> None:
    _, page, _ = sweep_page
    thumb = page.get_by_role("slider", name="model, highest value kept")
    thumb.focus()
    page.keyboard.press("ArrowDown")
    expect(find_rows(page)).to_have_count(20)
    expect(thumb).to_have_attribute("aria-valuetext", "lenet5")
    page.keyboard.press("Escape")
    expect(page.locator("#shown")).to_have_text("40 runs")
    page.get_by_label("Filter runs").fill("mlp learning_rate<=0.0003 seed=2")
    expect(page.locator("#shown")).to_have_text("6 of 40 runs")
    page.get_by_label("Filter runs").fill("colour=red")
    expect(page.locator("#filter-problem")).to_contain_text("colour")
    page.get_by_label("Filter runs").fill("")
    page.locator("#table").get_by_role("button", name="learning_rate").press("Enter")
    head = page.locator("#table th[data-key='c.learning_rate']")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert page.locator("#table td[data-key='c.learning_rate']").first.inner_text() == "3e-5"
    page.locator("#columns summary").press("Enter")
    page.get_by_label("normalize", exact=True).uncheck()
    expect(page.locator("#table th[data-key='c.normalize']")).to_have_count(0)
    page.get_by_label("Keep State in place").check()
    expect(page.locator("#table th[data-key='r.state']")).to_have_class(re.compile("pinned"))
    page.locator("#columns summary").press("Escape")
    page.get_by_label("Values at").select_option("last")
    expect(page.locator("#table thead")).to_contain_text("val/accuracy (last)")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export CSV").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert len(lines) == 41
    assert lines[0].startswith("run,name,State,model,batch_size,")
    assert lines[0].endswith(",synthetic")


def test_runs_are_chosen_and_compared(sweep_page) -> None:
    server, page, _ = sweep_page
    rows = find_rows(page)
    chosen = [rows.nth(i).get_attribute("data-run") for i in (0, 5)]
    cells = save_cells(server, chosen[0], wrong=set())
    save_cells(server, chosen[1], wrong={2})
    for i in (0, 5):
        rows.nth(i).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare 2 runs").click()
    page.wait_for_url("**/compare?runs=*")
    expect(page.locator("h1")).to_contain_text("Compare 2 runs")
    expect(page.locator("#differences tbody tr:visible th")).not_to_have_count(1)
    before = page.locator("#differences tbody tr:visible").count()
    page.get_by_label("also what is the same").check()
    assert page.locator("#differences tbody tr:visible").count() > before
    both = page.locator("#curves section", has_text="val/accuracy").locator(".scatterlayer .trace")
    expect(both).to_have_count(2)
    expect(page.locator(".heat")).to_have_count(2)
    expect(page.locator(".cells li").first).to_contain_text(cells[2])
    expect(page.locator(".cells li").first.locator(".wrong")).to_have_count(1)
    expect(page.locator("#metrics tbody tr").nth(1)).to_contain_text("val/accuracy")


def test_pause_and_resume_from_the_page(server: LocalServer, page: Page) -> None:
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    log_in(page, get_base(server), f"/bpsweep/p/sweeps/{sweep['name']}")
    expect(page.locator("#state")).to_have_text("pending")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    assert server.beat(agent) == []
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("running")
    (command,) = server.beat(agent)
    server.start_run(command["run_id"], sweep=sweep["name"])
    expect(find_rows(page)).to_have_count(1)
    expect(page.locator("#agent-table tbody tr")).to_contain_text("alive")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("canceled")
    assert server.find_run(command["run_id"])["stopped"]


@contextlib.contextmanager
def run_agents(server: ServerProcess, folder: Path, sweep: str, n: int) -> Iterator[list[Path]]:
    """Run stock agents for the length of a block; give the files that they write to."""
    logs = [folder / f"agent{i}.log" for i in range(n)]
    command = ["wandb", "agent", sweep]
    agents = []
    for log in logs:
        with log.open("wb") as file:
            environment = server.make_environment(folder)
            agents.append(
                subprocess.Popen(
                    command, cwd=folder, env=environment, stdout=file, stderr=file,
                    start_new_session=True,
                )
            )  # fmt: skip
    try:
        yield logs
    finally:
        for agent in agents:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()


def test_a_sweep_of_real_agents_is_watched_to_its_end(tmp_path: Path, page: Page) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    with open_server_process(tmp_path / "store") as server:
        base = server.address["url"]
        log_in(page, base, key=server.key)
        page.get_by_role("button", name="New sweep").click()
        page.get_by_label("Definition, YAML").fill("method: grid\nparameters: {a: {valuess: [1]}}")
        expect(page.locator("#checked")).to_contain_text("valuess")
        expect(page.get_by_role("button", name="Create sweep")).to_be_disabled()
        page.get_by_label("Definition, YAML").fill(DEFINITION)
        expect(page.locator("#checked")).to_contain_text("A grid search: 4 runs")
        page.get_by_role("button", name="Create sweep").click()
        page.wait_for_url("**/sweeps/*")
        expect(page.locator("#state")).to_have_text("pending")
        expect(page.locator("#waiting")).to_be_visible()
        page.evaluate("window.sameDocument = true")
        sweep = page.url.split("/sweeps/")[1]
        with run_agents(server, tmp_path, f"bpsweep/bpsweep/{sweep}", 2) as logs:
            expect(page.locator("#state")).to_have_text("running", timeout=60_000)
            expect(page.locator("#alive")).to_have_text("2 alive", timeout=60_000)
            expect(page.locator("#table .state.running").first).to_be_visible(timeout=60_000)
            expect(page.locator("#curves .scatterlayer .trace").first).to_be_visible(timeout=60_000)
            expect(page.locator("#state")).to_have_text("finished", timeout=120_000)
            expect(page.locator("#progress")).to_have_text("4 of 4")
            expect(page.locator("#table .state.finished")).to_have_count(4)
            expect(page.locator("#best")).to_contain_text("0.89")
            expect(page.locator("#reached")).to_contain_text("4 of 4")
            expect(page.locator("#verdict")).to_contain_text("4 configurations", timeout=60_000)
            assert page.evaluate("window.sameDocument"), "the page was loaded again"
            said = "\n".join(log.read_text(errors="replace") for log in logs)
    links = set(re.findall(rf"{re.escape(base)}/\S+/(?:runs|sweeps)/\w+", said))
    assert len(links) == 5, f"one sweep and four runs, got {links}"
    with open_server_process(tmp_path / "store", "--port", base.rsplit(":", 1)[1]):
        for link in sorted(links, reverse=True):  # runs last
            page.goto(link)
            kind = "sweep" if "/sweeps/" in link else "run"
            expect(page).to_have_title(re.compile(rf"· {kind} ·"))
        page.get_by_role("tab", name="Console").click()
        expect(page.locator("#console")).to_contain_text("epoch 4")


def test_a_run_is_watched_live(server: LocalServer, page: Page) -> None:
    server.start_run("live")
    server.log("live", {"epoch": 1, "val/accuracy": 0.5})
    log_in(page, get_base(server), "/bpsweep/p/runs/live/workspace")
    chart = page.locator("#curves section", has_text="val/accuracy")
    expect(chart).to_contain_text("0.5")
    output = {"output.log": {"offset": 0, "content": ["first <b>line</b>"]}}
    server.stream("live", files=output)
    server.log("live", {"epoch": 2, "val/accuracy": 0.75}, offset=1)
    expect(chart).to_contain_text("0.75")
    events = [json.dumps({"system.cpu": 50 + i, "_runtime": i}) for i in range(3)]
    server.stream("live", files={"wandb-events.jsonl": {"offset": 0, "content": events}})
    page.get_by_role("tab", name="System").click()
    expect(page.locator("#system section")).to_contain_text("cpu")
    page.get_by_role("tab", name="Console").click()
    expect(page.locator("#console")).to_have_text(re.compile("first <b>line</b>"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop this run").click()
    expect(page.locator("#stopped")).to_contain_text("stopped by the user")
    server.finish("live", exit_code=255)
    expect(page.locator("#state")).to_have_text("killed")
    assert page.url.endswith("/runs/live/logs")


def test_an_open_page_says_that_the_disk_is_full_and_is_no_more(page, tmp_path: Path) -> None:
    with mount_tmpfs(tmp_path / "small", 24) as folder, open_local_server(folder / "store") as it:
        log_in(page, str(it.http.base_url))
        note = page.locator("#disk")
        expect(note).to_be_hidden()
        filler = fill(folder)
        expect(note).to_contain_text("is full", timeout=10_000)
        expect(note).to_contain_text(str(folder / "store"))
        filler.unlink()
        expect(note).to_be_hidden(timeout=10_000)
