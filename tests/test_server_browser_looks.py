"""The pages for everyone: axe finds no serious fault; light, dark and phone width hold together."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_support import ACCURACY_GRID, CHROMIUM, fill_sweep, log_in, open_browser, save_cells
from playwright.sync_api import Browser, expect
from server_support import LocalServer, open_local_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
READY = {
    "index": "#groups table",
    "sweep": "#curves .scatterlayer .trace",
    "run": "#curves .scatterlayer .trace",
    "compare": "#curves .scatterlayer .trace",
    "login": "input[name=key]",
}
WIDTHS = {"desktop": 1440, "phone": 390}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, dict[str, str]]]:
    """Serve a sweep with pictures; give the paths of the pages."""
    with open_local_server(tmp_path_factory.mktemp("looks") / "store", lease_seconds=1e6) as server:
        sweep = server.make_sweep(ACCURACY_GRID)
        names = fill_sweep(server.context, sweep, 30, 10)
        for i, name in enumerate(names[:2]):
            save_cells(server, name, wrong={i})
        paths = {
            "index": "/",
            "sweep": f"/bpsweep/p/sweeps/{sweep['name']}",
            "run": f"/bpsweep/p/runs/{names[0]}/workspace",
            "compare": f"/bpsweep/p/compare?runs={names[0]},{names[1]}",
            "login": "/login",
        }
        yield server, paths


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(shown, browser: Browser, scheme: str, width: str) -> None:
    server, paths = shown
    base = str(server.http.base_url).rstrip("/")
    context = browser.new_context(
        viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    log_in(page, base)
    for name, path in paths.items():
        page.goto(base + path)
        page.wait_for_selector(READY[name])
        if name == "sweep":
            expect(page.locator("#verdict .lead")).to_contain_text("reach", timeout=30_000)
            expect(page.locator("#figures .bars").first).to_be_attached(timeout=30_000)
        found = Axe().run(page).response["violations"]
        faults = {
            fault["id"]: [node["html"][:200] for node in fault["nodes"][:3]]
            for fault in found
            if fault["impact"] in ("serious", "critical")
        }
        assert faults == {}, f"{name}, {scheme}, {width}"
        overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overhang) <= 0, f"{name} is wider than a {width}"
    context.close()


def test_the_scheme_is_chosen_and_kept(shown, browser: Browser) -> None:
    server, paths = shown
    base = str(server.http.base_url).rstrip("/")
    page = browser.new_context(color_scheme="light").new_page()
    log_in(page, base, paths["sweep"])
    scheme = "document.documentElement.dataset.scheme"
    assert page.evaluate(scheme) == "light"
    for said in ("light", "dark"):
        page.locator("#theme").click()
        expect(page.locator("#theme")).to_have_attribute("aria-label", f"Colour scheme: {said}")
    assert page.evaluate(scheme) == "dark"
    page.reload()
    assert page.evaluate(scheme) == "dark"
    page.wait_for_selector(READY["sweep"])
    ink = page.locator("#curves .xtick text").first.evaluate(
        "(text) => getComputedStyle(text).fill"
    )
    assert ink == "rgb(230, 234, 238)", "figures follow"
    page.context.close()
