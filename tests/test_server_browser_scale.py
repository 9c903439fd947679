"""A thousand runs of fifty epochs in one sweep: how soon the page can be used, what it weighs.

On a machine that does other things too, seconds on the clock say little: what is always held to
the claims is the time that the page's thread computes, and heartbeats in the best of three rounds.
The clock, and heartbeats at the first go, are for a quiet machine, by hand:
BROWSER_CLAIMS=1 pytest -s tests/test_server_browser_scale.py
"""

import concurrent.futures
import functools
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from page_support import ACCURACY_GRID, CHROMIUM, fill_sweep, log_in, open_browser
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page
from server_support import ServerProcess, open_local_server, open_server_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
CLAIMED = "BROWSER_CLAIMS" in os.environ
N_RUNS, N_EPOCHS = 1_000, 50
N_PAGES = 20
N_AGENTS = 4
USABLE_S, BRUSHED_MS, WEIGHT_BYTES, HEARTBEAT_MS = 2.0, 200, 3_000_000, 150
N_ROUNDS = 3
"""How often heartbeats may be timed: what else the machine does only ever adds to them."""
# Drags along the last axis; tells for each move how long until table and curves show it, in ms.
BRUSH = """async () => {
  const area = [...document.querySelectorAll(".catch")].at(-1);
  const box = area.getBoundingClientRect();
  const curves = document.querySelector("#curves");
  area.setPointerCapture = () => {};
  const fire = (kind, y) => area.dispatchEvent(
    new PointerEvent(kind, { pointerId: 1, clientX: box.x + 16, clientY: y, bubbles: true }));
  const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const curves_ms = [];
  fire("pointerdown", box.y + 12);
  for (let i = 1; i <= 15; i += 1) {
    const start = performance.now();
    fire("pointermove", box.y + 12 + 10 * i);
    await nextFrame();
    const n = document.querySelector("#shown").textContent.split(" of ")[0].replace(",", "");
    while (curves.dataset.runs !== n) await nextFrame();
    curves_ms.push(performance.now() - start);
  }
  fire("pointerup", box.y + 162);
  return curves_ms;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    """Serve a sweep of a thousand runs; give the server and the sweep's path."""
    store = tmp_path_factory.mktemp("thousand") / "store"
    with open_local_server(store, lease_seconds=1e6) as local:
        sweep = local.make_sweep(ACCURACY_GRID)
        fill_sweep(local.context, sweep, N_RUNS, N_EPOCHS)
    with open_server_process(store, "--lease-seconds", "1e6") as server:
        yield server, f"/bpsweep/p/sweeps/{sweep['name']}"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def open_fresh(browser: Browser, server: ServerProcess) -> tuple[BrowserContext, Page]:
    """Open a browser window that has nothing of ours but the session."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    log_in(page, server.address["url"], key=server.key)
    page.goto("about:blank")
    return context, page


def note_size(sizes: list[int], event: dict[str, Any]) -> None:
    sizes.append(event["encodedDataLength"])


def test_the_page_is_usable_soon_light_and_quick_to_brush(served, browser: Browser) -> None:
    server, path = served
    opened_s, weights, curves_ms, opened_cpu_s, brushed_cpu_ms = [], [], [], [], []
    for _ in range(3):
        context, page = open_fresh(browser, server)
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        sizes: list[int] = []
        session.on("Network.loadingFinished", functools.partial(note_size, sizes))
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before_s, start = read_cpu(session), time.monotonic()
        page.goto(server.address["url"] + path, wait_until="commit")
        page.wait_for_selector("#table tbody tr[data-run]")
        page.wait_for_selector(".parallel-inner .axis-name")
        page.wait_for_selector("#curves .scatterlayer .trace")
        opened_s.append(time.monotonic() - start)
        opened_cpu_s.append(read_cpu(session) - before_s)
        page.wait_for_load_state("networkidle")
        weights.append(sum(sizes))
        before_s = read_cpu(session)
        took_ms = page.evaluate(BRUSH)
        brushed_cpu_ms.append((read_cpu(session) - before_s) * 1_000 / len(took_ms))
        curves_ms += took_ms
        context.close()
    print(
        f"{N_RUNS} runs x {N_EPOCHS} epochs: table, parallel coordinates and curves after"
        f" {statistics.median(opened_s):.2f} s (worst {max(opened_s):.2f}),"
        f" of which {statistics.median(opened_cpu_s):.2f} s computed; {max(weights) / 1e6:.2f} MB;"
        f" table and curves follow a brush after {statistics.median(curves_ms):.0f} ms (90 % within"
        f" {statistics.quantiles(curves_ms, n=10)[-1]:.0f}), of which"
        f" {statistics.median(brushed_cpu_ms):.0f} ms computed"
    )
    assert max(weights) < WEIGHT_BYTES
    assert statistics.median(opened_cpu_s) < USABLE_S
    assert statistics.median(brushed_cpu_ms) < BRUSHED_MS
    if CLAIMED:
        assert statistics.median(opened_s) < USABLE_S
        assert statistics.median(curves_ms) < BRUSHED_MS


def read_cpu(session: CDPSession) -> float:
    """Return the seconds that the page's thread has computed."""
    found = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in found if metric["name"] == "TaskDuration")


def drive_agent(url: str, key: str, agent: str, name: str, end: float) -> list[float]:
    """Poll and log like an agent with a run; return how long its heartbeats took, in ms."""
    times = []
    beat = """mutation H($id: ID!, $r: JSONString) { agentHeartbeat(input: {id: $id,
        runState: $r}) { commands } }"""
    with httpx.Client(base_url=url, auth=("api", key), timeout=30) as http:
        step = 0
        while time.monotonic() < end:
            start = time.perf_counter()
            variables = {"id": agent, "r": json.dumps({name: True})}
            answer = http.post("/graphql", json={"query": beat, "variables": variables})
            times.append((time.perf_counter() - start) * 1_000)
            assert answer.status_code == 200, answer.text
            line = json.dumps({"_step": step, "epoch": step + 1, "val/accuracy": 0.5})
            chunk = {"files": {"wandb-history.jsonl": {"offset": step, "content": [line]}}}
            path = f"/files/bpsweep/p/{name}/file_stream"
            assert http.post(path, json=chunk).status_code == 200
            step += 1
            time.sleep(0.25)
    return times


def drive_agents(server: ServerProcess, agents: list[str], seconds: float) -> list[float]:
    """Let agents poll and log for a while; return their heartbeats' times in ms, sorted."""
    url, key, end = server.address["url"], server.key, time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(N_AGENTS) as pool:
        played = [
            pool.submit(drive_agent, url, key, agent, f"live{i}", end)
            for i, agent in enumerate(agents)
        ]
        return sorted(ms for future in played for ms in future.result())


def make_agents(server: ServerProcess, sweep: str) -> list[str]:
    """Register agents of a sweep, each with a run at work."""
    add = f"""mutation A {{ createAgent(input: {{host: "h", entityName: "bpsweep",
        projectName: "p", sweep: "{sweep}"}}) {{ agent {{ id }} }} }}"""
    start_run = """mutation U($n: String, $s: String) { upsertBucket(input: {entityName: "bpsweep",
        modelName: "p", name: $n, sweep: $s, host: "h"}) { bucket { id } } }"""
    made = []
    for i in range(N_AGENTS):
        data = server.post("/graphql", {"query": add})["data"]
        made.append(data["createAgent"]["agent"]["id"])
        variables = {"n": f"live{i}", "s": sweep}
        server.post("/graphql", {"query": start_run, "variables": variables})
    return made


def test_open_pages_do_not_keep_agents_waiting(served) -> None:
    """Twenty pages ask as the script does: the table every two seconds, the curves that changed."""
    server, path = served
    agents = make_agents(server, path.rsplit("/", 1)[1])
    rounds = (time_heartbeats(server, path, agents) for _ in range(1 if CLAIMED else N_ROUNDS))
    assert any(p99 < HEARTBEAT_MS for p99 in rounds)


def time_heartbeats(server: ServerProcess, path: str, agents: list[str]) -> float:
    """Return the 99th percentile of heartbeats in ms while twenty pages are open."""
    alone = drive_agents(server, agents, 8.0)
    seconds = 15.0
    spawn = multiprocessing.get_context("spawn")
    # The pages in a process of their own: what they do with the answers must not count.
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as browser:
        pages = browser.submit(watch_pages, server.address["url"], server.key, path, seconds)
        times = drive_agents(server, agents, seconds + 2)
        n_answers = pages.result()
    p99, p99_alone = (row[int(len(row) * 0.99)] for row in (times, alone))
    print(
        f"{N_PAGES} open pages ({n_answers / seconds:.0f} answers/s), {N_AGENTS} agents:"
        f" {len(times)} heartbeats, median {statistics.median(times):.1f} ms, 99th percentile"
        f" {p99:.1f} ms; without pages {statistics.median(alone):.1f} and {p99_alone:.1f} ms"
    )
    assert n_answers > N_PAGES * 4
    return p99


def watch_pages(url: str, key: str, path: str, seconds: float) -> int:
    """Open twenty pages at once and return how many answers they got."""
    end = time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(N_PAGES) as pool:
        pages = [pool.submit(watch_page, url, key, path, end) for _ in range(N_PAGES)]
        return sum(page.result() for page in pages)


def watch_page(url: str, key: str, path: str, end: float) -> int:
    """Ask what one open page asks, and return how many answers came."""
    n_answers, known = 0, {"since": 0, "boot": ""}
    with httpx.Client(base_url=url, auth=("api", key), timeout=60) as http:
        curves = {"metric": "val/accuracy", "x": "epoch"}
        while time.monotonic() < end:
            table = http.get(f"{path}/table.json", params=known)
            assert table.status_code == 200
            answer = table.json()
            if answer["runs"]:
                http.get(f"{path}/curves.json", params={**known, **curves}).raise_for_status()
                http.get(f"{path}/verdict.json").raise_for_status()
                n_answers += 2
            known = {"since": answer["revision"], "boot": answer["boot"]}
            n_answers += 1
            time.sleep(2)
    return n_answers
