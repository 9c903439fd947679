"""The one-file report in a real browser: desktop, phone, paper; light, dark; mouse, keyboard."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from html_support import make_cells, make_controls, make_sweep
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from bpsweep.report.page.page import Extras, write_html
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.verdict import judge

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    name = "<script>document.title='taken'</script>"
    verdict = judge(make_sweep(name=name, beside=make_controls()))
    path.write_text(write_html(assess(verdict), Extras(cells=make_cells(6))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


class Opened:
    """A page of the report with what the browser had to say and asked for."""

    def __init__(self, context: BrowserContext, file: Path) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")


def wait_for(page: Page, condition: str) -> None:
    """Wait for a condition in the page; Playwright's own waiting needs `eval`, which it forbids."""
    deadline = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"{condition} did not come about within 10 s"
        page.wait_for_timeout(50)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page_draws_everything_and_asks_for_nothing(
    browser: Browser, file: Path, viewport: ViewportSize, scheme: str
) -> None:
    dark = scheme == "dark"
    context = browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
    opened = Opened(context, file)
    page = opened.page
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert page.title().startswith("<script>"), "a sweep's name is text"
    n_figures = page.locator("[data-figure]").count()
    assert n_figures >= 10
    drawn = page.locator("[data-figure]:has(.cartesianlayer path), [data-figure]:has(image)")
    assert drawn.count() == n_figures
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == viewport["width"], "the page scrolls sideways"
    for figure in page.locator("[data-figure]").all():
        box = figure.locator("svg.main-svg").first.bounding_box()
        assert box is not None and box["x"] + box["width"] <= viewport["width"], "cut off"
    assert _lightness(page, "body") > 0.5 if not dark else _lightness(page, "body") < 0.5
    ink = page.evaluate("getComputedStyle(document.querySelector('.gtitle')).fill")
    assert (_measure_lightness(ink) > 0.5) == dark, "figures follow the scheme"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_fault_in_accessibility(browser: Browser, file: Path, scheme: str) -> None:
    dark = scheme == "dark"
    # only the tester's own script needs the way round the policy
    context = browser.new_context(color_scheme="dark" if dark else "light", bypass_csp=True)
    page = Opened(context, file).page
    found = Axe().run(page).response["violations"]
    assert [(fault["id"], fault["impact"]) for fault in found] == []
    context.close()


def test_scheme_changes_while_the_page_is_open(browser: Browser, file: Path) -> None:
    context = browser.new_context(color_scheme="light")
    page = Opened(context, file).page
    page.emulate_media(color_scheme="dark")
    wait_for(page, "getComputedStyle(document.querySelector('.gtitle')).fill !== 'rgb(28, 31, 35)'")
    context.close()


def test_table_is_ordered_by_click_and_by_keyboard(browser: Browser, file: Path) -> None:
    context = browser.new_context(viewport=DESKTOP)
    page = Opened(context, file).page
    table = page.locator("#configurations table")
    batch = table.locator("th", has_text="batch_size")
    rate = table.locator("th", has_text="learning_rate")
    batch.locator("button").click()
    assert batch.get_attribute("aria-sort") == "ascending"
    column = [int(text) for text in table.locator("tbody th").all_inner_texts()]
    assert column == sorted(column)
    rate.locator("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert rate.get_attribute("aria-sort") == "descending"
    assert batch.get_attribute("aria-sort") is None
    rates = table.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert [float(text) for text in rates] == sorted(map(float, rates), reverse=True)
    assert "learning_rate" in page.locator("#said").inner_text()
    first_epochs = table.locator("th", has_text="epoch at target")
    for _ in range(2):
        first_epochs.locator("button").click()
        index = first_epochs.evaluate("header => header.cellIndex") + 1
        cells = table.locator(f"tbody tr > :nth-child({index})").all_inner_texts()
        assert cells[-1] == "–", "what is unknown stays last"
    context.close()


def test_paper_is_light_and_holds_every_figure(
    browser: Browser, file: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    opened = Opened(context, file)
    page = opened.page
    page.evaluate(
        """() => addEventListener("beforeprint", () => {
            const fills = [...document.querySelectorAll(".gtitle")].map(
                (title) => getComputedStyle(title).fill);
            const widths = [...document.querySelectorAll("svg.main-svg")].map(
                (drawing) => drawing.getAttribute("width"));
            window.printed = { fills, widths };
        })"""
    )
    pdf = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    printed = page.evaluate("window.printed")
    assert set(printed["fills"]) == {"rgb(28, 31, 35)"}, "dark ink on paper"
    assert set(printed["widths"]) == {"660"}, "as wide as the paper, not as the phone"
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 16
    after = page.evaluate("getComputedStyle(document.querySelector('.gtitle')).fill")
    assert _measure_lightness(after) > 0.5, "back to dark after printing"
    assert opened.said == []
    context.close()


def _lightness(page: Page, selector: str) -> float:
    colour = page.evaluate(
        "selector => getComputedStyle(document.querySelector(selector)).backgroundColor", selector
    )
    return _measure_lightness(colour)


def _measure_lightness(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 765
