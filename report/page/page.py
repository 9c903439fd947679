"""A verdict as one HTML page that needs nothing else: no link, no request, no server."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

from bpsweep.report.figures.palette import TEMPLATES
from bpsweep.report.page.cells import GROUP_TITLES, CellPicture
from bpsweep.report.page.compare import build_comparison
from bpsweep.report.page.controls import build_controls
from bpsweep.report.page.dose import build_dose
from bpsweep.report.page.sections import Section
from bpsweep.report.page.verdict import (
    build_curves,
    build_importance,
    build_repetition,
    build_settings,
    build_table,
)
from bpsweep.report.page.winner import build_breakdown, build_cells, build_mistakes
from bpsweep.report.statistics.assessment import Assessment
from bpsweep.report.statistics.compare import Comparison
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.text.grade import name_grade
from bpsweep.report.text.summary import headline, list_notes
from bpsweep.report.text.verdict import SYNTHETIC_NOTE, name_basis, name_troubles, name_unfinished


@dataclass(frozen=True)
class Extras:
    """What the page shows beside the verdict where it is given.

    Args:
        cells: Pictures of cells of the best configuration.
        foci: (N,) number of foci in each cell of its predictions, in their order.
        comparison: LeNet-5 against the MLP, where other sweeps were given.
        made_at: When the page was made.
    """

    cells: Sequence[CellPicture] = ()
    foci: NDArray[np.int64] | None = None
    comparison: Comparison | None = None
    made_at: datetime | None = None


NO_EXTRAS: Final = Extras()
_PICTURE_QUALITY: Final = 85


def write_html(assessment: Assessment, extras: Extras = NO_EXTRAS) -> str:
    """Write the page.

    Everything that a run or a sweep has logged (names, errors, settings) is shown as text. The
    page's policy forbids requests and scripts other than the two it carries.
    """
    verdict = assessment.verdict
    sections = build_sections(assessment, extras)
    script, plotly = _read_static("report.js"), read_plotly()
    return _ENVIRONMENT.get_template("report.html").render(
        policy=_write_policy([plotly, script]),
        version=version("bpsweep"),
        title=_name_sweep(verdict),
        subtitle=_describe_origin(verdict, extras),
        synthetic=SYNTHETIC_NOTE if verdict.synthetic else "",
        audit=verdict.audit,
        lead=headline(assessment),
        grade=name_grade(assessment.grade, verdict),
        notes=_list_notes(assessment),
        sections=sections,
        footer=f"Made by bpsweep {version('bpsweep')}. This file asks no network for anything.",
        style=_read_static("report.css"),
        templates=dump_json(TEMPLATES),
        figures=dump_json(
            {figure.name: figure.to_plotly() for one in sections for figure in one.figures}
        ),
        plotly=plotly,
        script=script,
    )


def build_sections(assessment: Assessment, extras: Extras) -> list[Section]:
    """Build the page's sections, in order."""
    verdict = assessment.verdict
    return [
        build_table(verdict, assessment.test),
        build_curves(verdict),
        build_settings(verdict),
        build_importance(verdict, assessment.importance),
        build_controls(verdict, assessment.controls),
        build_dose(verdict, assessment.dose),
        build_mistakes(verdict, assessment.test),
        build_breakdown(verdict, extras.foci),
        build_cells(verdict, extras.cells),
        build_comparison(verdict, extras.comparison),
        build_repetition(verdict),
    ]


def dump_json(value: Any) -> str:
    """Write JSON that is safe inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def read_plotly() -> str:
    """Read plotly's script out of its Python package."""
    file = resources.files("plotly") / "package_data" / "plotly.min.js"
    return _as_script(file.read_text(encoding="utf-8"))


def _read_static(name: str) -> str:
    file = resources.files(__package__) / "static" / name
    return _as_script(file.read_text(encoding="utf-8"))


def _as_script(text: str) -> str:
    """Give line ends as a browser reads them, for it hashes what it reads."""
    assert "</script" not in text.lower()
    return text.replace("\r\n", "\n")


def _write_policy(scripts: Iterable[str]) -> str:
    """Write the Content-Security-Policy: these scripts, inline style, inline images, nothing else.

    Plotly styles what it draws, and saves it as a file through a blob.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _name_sweep(verdict: Verdict) -> str:
    return verdict.sweep.name or verdict.sweep.path


def _describe_origin(verdict: Verdict, extras: Extras) -> str:
    sweep = verdict.sweep
    n_runs = sum(len(run.members) for run in sweep.runs)
    parts = [f"Sweep {sweep.path}, {sweep.state.lower()}, {n_runs} run{'s' * (n_runs != 1)}"]
    if extras.made_at is not None:
        parts.append(f"report of {extras.made_at:%d %B %Y, %H:%M}")
    return "; ".join(parts) + "."


def _list_notes(assessment: Assessment) -> list[str]:
    """List what the headline rests on, and what to keep in mind."""
    verdict = assessment.verdict
    lines = list_notes(assessment) if verdict.best.value is not None else []
    lines += name_troubles(verdict)
    return [*lines, *name_basis(verdict), *name_unfinished(verdict)]


def mark_code(text: str) -> Markup:
    """Set our own commands, between backticks, as code; all else is text."""
    return Markup(re.sub(r"`(bpsweep [^`<>]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped


@dataclass(frozen=True)
class _ShownCell:
    condition: str
    taken_for: str
    sure: str
    place: str
    image: str
    saliency: str


@dataclass(frozen=True)
class _ShownGroup:
    title: str
    cells: Sequence[_ShownCell]

    @property
    def is_double(self) -> bool:
        return any(cell.saliency for cell in self.cells)


def _group_cells(cells: Sequence[CellPicture]) -> list[_ShownGroup]:
    return [
        _ShownGroup(title, [_show_cell(cell) for cell in cells if cell.group == group])
        for group, title in GROUP_TITLES.items()
        if any(cell.group == group for cell in cells)
    ]


def _show_cell(cell: CellPicture) -> _ShownCell:
    return _ShownCell(
        cell.condition,
        cell.taken_for,
        f"{cell.confidence:.0%}".replace("%", " %"),
        cell.place,
        _write_image(cell.image_png),
        "" if cell.saliency_png is None else _write_image(cell.saliency_png),
    )


def _write_image(png: bytes) -> str:
    """Write a picture as a data URL, as WebP: two dozen noisy cells as PNG are half the page."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(png), formats=["png"]) as picture:
        picture.save(packed, "webp", quality=_PICTURE_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters["group_cells"] = _group_cells
_ENVIRONMENT.filters["mark_code"] = mark_code
