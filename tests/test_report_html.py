"""The one-file report: complete, closed to the network, and safe with whatever runs have logged."""

import base64
import functools
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from html_support import CONFIG, PROVENANCE, make_cells, make_controls, make_run, make_sweep
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsweep.report.figures.figure import escape_text
from bpsweep.report.page.page import Extras, dump_json, write_html
from bpsweep.report.records import REPLICATE, TEST, RunRecord, SweepRecord
from bpsweep.report.statistics.assessment import assess
from bpsweep.report.statistics.compare import compare_models
from bpsweep.report.statistics.verdict import judge

FETCHING = {"src", "href", "srcset", "action", "data", "poster", "formaction", "background"}
FORBIDDEN = {"link", "iframe", "object", "embed", "base", "form", "video", "audio"}
SECTIONS = (
    "verdict",
    "configurations",
    "curves",
    "settings",
    "importance",
    "controls",
    "confusion",
    "breakdown",
    "cells",
    "compare",
    "repeat",
)


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.policy = ""
        self.scripts: list[tuple[str | None, str]] = []
        self.words: list[str] = []
        self._in: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        assert not [name for name in found if name.startswith("on")], f"a handler in {tag}"
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.fetched += [str(value) for name, value in attrs if name in FETCHING]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(found["content"])
        if tag == "script":
            self.scripts.append((found.get("type"), ""))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._in != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read_page(sweep: SweepRecord, extras: Extras | None = None) -> Page:
    return Page(write_html(assess(judge(sweep)), extras or Extras()))


def make_empty_sweep() -> SweepRecord:
    """Make a sweep whose only run has not logged anything yet."""
    run = RunRecord("r", "r", "running", {"batch_size": 16}, ())
    return SweepRecord("e/p/s", "", "RUNNING", CONFIG, (run,), "")


def make_fixed_sweep() -> SweepRecord:
    """Make a sweep of one run that sweeps nothing."""
    config = {"parameters": {"batch_size": {"value": 16}}}
    return replace(make_sweep(1), config=config)


def make_bare_sweep() -> SweepRecord:
    """Make a sweep whose runs kept no predictions."""
    sweep = make_sweep(3)
    return replace(sweep, runs=tuple(replace(run, predictions=None) for run in sweep.runs))


@pytest.fixture(scope="module")
def full() -> str:
    verdict = judge(make_sweep(beside=make_controls()))
    return write_html(assess(verdict), Extras(cells=make_cells()))


def test_page_has_every_section_and_says_synthetic(full: str) -> None:
    page = Page(full)
    assert [id_ for id_ in page.ids if id_ in SECTIONS] == list(SECTIONS)
    assert len(page.ids) == len(set(page.ids))
    assert "Synthetic images: these figures say nothing about real cells." in page.text
    assert "Audit. each plate holds one condition" in page.text
    titles = re.findall(r'"title":\{"text":"([^"]+)"\},"height"', full)
    assert len(titles) >= 5
    assert all("synthetic" in title for title in titles)
    assert len(full.encode()) < 6e6


def test_table_has_swept_columns_first_and_keys_to_order_by(full: str) -> None:
    titles = re.findall(r'<th scope="col"[^>]*><button type="button">(.+?)</button>', full)
    head = [title.replace("<wbr>", "") for title in titles]
    assert head[:4] == ["batch_size", "epochs", "learning_rate", "verdict"]
    first = full[full.index("<tbody>") :]
    assert re.search(r'data-key="16">16</th>', first)


def test_nothing_is_fetched_and_the_policy_holds_exactly_the_scripts(full: str) -> None:
    page = Page(full)
    assert all(url.startswith(("#", "data:image/webp;base64,")) for url in page.fetched)
    assert not FORBIDDEN & set(page.tags)
    assert "default-src 'none'" in page.policy
    assert "unsafe-eval" not in page.policy
    run = [text for kind, text in page.scripts if kind is None]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", page.policy) == hashes
    assert len(run) == 2
    assert "url(" not in full[full.index("<style>") : full.index("</style>")]


def test_every_figure_has_its_place_its_data_and_its_words(full: str) -> None:
    page = Page(full)
    figures = json.loads(next(text for kind, text in page.scripts[1:] if kind))
    assert set(re.findall(r'data-figure="([^"]+)"', full)) == set(figures)
    words = dict(re.findall(r'<figcaption id="words-([^"]+)">([^<]+)<', full))
    assert set(words) == set(figures)
    assert all(len(text.split()) > 3 for text in words.values())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_empty_sweep, "wandb agent e/p/s"),
        (make_fixed_sweep, "Nothing was swept"),
        (make_bare_sweep, "kept no predictions of single cells"),
    ],
)
def test_page_says_what_is_missing(make, said: str) -> None:  # type: ignore[no-untyped-def]
    page = read_page(make())
    assert said in page.text
    assert "None" not in page.text.split(), "an unknown value is a dash"
    assert [id_ for id_ in page.ids if id_ in SECTIONS] == list(SECTIONS)


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}",
    "<!--",
]


@settings(max_examples=25, deadline=None)
@given(
    name=st.one_of(
        st.sampled_from(HOSTILE),
        st.text(alphabet="<>&\"'/!-{}%ab\u2028=$` ", min_size=1, max_size=25),
    )
)
def test_what_runs_have_logged_is_text(name: str) -> None:
    plain, hostile = _write_plain(), _write_named(f"x{name}")
    assert hostile.tags == plain.tags, "a name became an element"
    assert hostile.fetched == plain.fetched
    assert " ".join(f"x{name}".split()) in hostile.text
    data = [json.loads(text) for kind, text in hostile.scripts if kind]
    texts = [note["text"] for note in data[1]["parallel"]["layout"]["annotations"]]
    assert escape_text(f"x{name}") in texts, "plotly shows it as text as well"


@functools.cache
def _write_plain() -> Page:
    return _write_named("plain")


def _write_named(name: str) -> Page:
    """Write the page of a sweep that has a text from outside everywhere."""
    provenance = {"audit": name, "versions": {name: name}, "data_checksum": name}
    values = ({"optimizer": name, "provenance": provenance}, {"optimizer": "x"})
    kept = [make_run(f"r{i}", 0.7 + i / 10, value, seed=i) for i, value in enumerate(values)]
    runs = [replace(run, predictions=None) for run in kept]  # their intervals take a while
    failed = replace(runs[1], error=name, state="failed", name=name)
    config = {"name": name, "parameters": {"optimizer": {"values": [name, "x"]}}}
    sweep = SweepRecord(f"e/p/{name}", name, "FINISHED", config, (runs[0], failed), "")
    return read_page(sweep)


def test_json_cannot_end_its_element() -> None:
    value = {"</script>": "<!-- \u2028 & é"}
    text = dump_json(value)
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == value


def test_sweep_without_results_has_no_figures() -> None:
    page = read_page(make_empty_sweep())
    assert not [id_ for id_ in page.ids if id_.startswith("figure-")]


def test_test_part_and_seeds_are_asked_for_until_they_are_there() -> None:
    runs = [
        replace(run, config={**run.config, "provenance": {**PROVENANCE, "n_test": 300}})
        for run in make_sweep(2).runs
    ]
    sweep = replace(make_sweep(2), runs=tuple(runs))
    page = read_page(sweep)
    assert f"bpsweep evaluate {sweep.path}" in page.text
    assert f"bpsweep replicate {sweep.path}" in page.text
    fresh = replace(runs[0], id="fresh", kind=REPLICATE, config={**runs[0].config, "seed": 7})
    seen = replace(runs[0], id="seen", kind=TEST)
    page = read_page(replace(sweep, beside=(fresh, seen)))
    assert "bpsweep evaluate" not in page.text
    assert "bpsweep replicate" not in page.text
    assert "figure-confusion-test" in page.ids
    assert "On the untouched test part" in page.text


def test_comparison_is_shown_where_other_sweeps_are_given() -> None:
    sweeps = []
    for model, accuracy in (("lenet5", 0.8), ("mlp", 0.6)):
        config = {"model": model, "task": "single-label", "batch_size": 64}
        run = make_run(model, accuracy, {**config, "epochs": 10, "learning_rate": 0.0003})
        sweeps.append(replace(make_sweep(1), runs=(run,)))
    page = read_page(sweeps[0], Extras(comparison=compare_models(sweeps)))
    assert "LeNet-5 better by" in page.text
    assert "LeNet-5 beats the MLP on accuracy" in page.text
