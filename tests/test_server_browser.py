"""The plain pages in a real browser: login, sweep, run, and no request to anywhere else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, sync_playwright
from server_support import KEY, LocalServer, open_local_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Open a browser that may speak to loopback alone."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser.new_page()
        browser.close()


def make_finished_sweep(server: LocalServer) -> tuple[str, str]:
    """Work off one configuration of a sweep; return the paths of the sweep's and run's pages."""
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    (command,) = server.beat(agent)
    name = command["run_id"]
    server.start_run(name, sweep=sweep["name"], displayName="<script>document.title='x'</script>")
    points = [{"loss": 1.0}, {"loss": 0.5}]
    server.log(name, *points)
    server.finish(name)
    return f"/bpsweep/p/sweeps/{sweep['name']}", f"/bpsweep/p/runs/{name}"


def test_log_in_look_and_log_out(tmp_path: Path, page: Page) -> None:
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108  # not a builtin
    with open_local_server(tmp_path / "store") as server:
        base = str(server.http.base_url).rstrip("/")
        sweep_path, run_path = make_finished_sweep(server)
        page.goto(base + run_path)
        page.fill("input[name=key]", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=not the key")
        page.fill("input[name=key]", KEY)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{run_path}")
        assert "<script>" in page.inner_text("h1"), "a run's name is text"
        assert page.title() != "x"
        assert page.locator("figure", has_text="loss").count() == 1
        page.goto(base + sweep_path)
        header = page.locator("thead th").all_inner_texts()
        assert header[:3] == ["Run", "a", "b"]
        assert "1 finished" in page.inner_text("main")
        page.click("tbody a")
        page.wait_for_url(f"**{run_path}")
        page.click("text=Log out")
        page.wait_for_selector("input[name=key]")
        page.goto(base + sweep_path)
        assert page.locator("table").count() == 0
        assert {request.url.startswith(base) for request in requests} == {True}
