"""A figure as plotly draws it, and what every figure shares."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bpsweep.report.statistics.scores import ACCURACY, Metric
from bpsweep.report.text.numbers import name_share, show

SYNTHETIC: Final = "synthetic"
_LONGEST_TEXT: Final = 60

Trace = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A plotly figure and the words that say the same.

    Args:
        name: What it is, as a slug: unique on a page.
        title: Its title; at most 48 signs, so that it fits a phone.
        words: One to three sentences: caption, and label for who cannot see it.
        data: Its traces.
        layout: Its layout, title included, without a template: see palette.TEMPLATES.
        wide: Whether it wants the whole width of a page.
        min_width: Pixels below which its texts overlap.
    """

    name: str
    title: str
    words: str
    data: tuple[Trace, ...]
    layout: Mapping[str, Any]
    wide: bool = False
    min_width: int = 0

    def to_plotly(self) -> dict[str, Any]:
        """Return {"data", "layout"} of plain lists, mappings, numbers and texts."""
        return {"data": [dict(trace) for trace in self.data], "layout": dict(self.layout)}


def title_figure(title: str, synthetic: bool) -> str:
    """Return a title that says when images are not real."""
    return f"{title} ({SYNTHETIC})" if synthetic else title


def build_layout(title: str, height: int, **more: Any) -> dict[str, Any]:
    """Return what all layouts share: title, height in pixels, margins, no legend."""
    return {
        "title": {"text": escape_text(title)},
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 48, "b": 48},
        "showlegend": False,
        "hovermode": "closest",
        **more,
    }


def escape_text(value: Any) -> str:
    """Make a text from outside safe for plotly, which reads a few tags and links in texts.

    Longer ones than 60 signs are cut.
    """
    text = show(value)
    cut = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return html.escape(cut, quote=False)


def write_target(target: float, metric: Metric) -> str:
    """Write what is to be reached: "80 %" accuracy, 0.2 of others."""
    return name_share(target) if metric is ACCURACY else f"{target:g}"


def describe_settings(values: Mapping[str, Any]) -> str:
    """Write settings as a sentence does: "batch_size 16, learning_rate 0.001"."""
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def draw_level(value: float, axis: str, text: str, side: str = "left") -> dict[str, Any]:
    """Draw a dashed line across a figure, the target say, as parts of a layout.

    Args:
        value: Where on the axis.
        axis: "x" or "y".
        text: What to write at it.
        side: Which end of the text stands at an upright line: "left", or "right" near the edge.
    """
    other = "y" if axis == "x" else "x"
    shape = {
        "type": "line",
        f"{axis}ref": axis,
        f"{other}ref": "paper",
        f"{axis}0": value,
        f"{axis}1": value,
        f"{other}0": 0,
        f"{other}1": 1,
        "line": {"dash": "dash"},
        "layer": "above",
    }
    anchor = (
        {"xanchor": side, "yanchor": "bottom", "y": 1, "x": value}
        if axis == "x"
        else {"xanchor": "left", "yanchor": "bottom", "x": 0, "y": value}
    )
    note = {
        "text": escape_text(text),
        "showarrow": False,
        f"{axis}ref": axis,
        f"{other}ref": "paper",
        **anchor,
    }
    return {"shapes": [shape], "annotations": [note]}


def join_lines(lines: Sequence[Sequence[Any]]) -> list[Any]:
    """Join many lines into one trace, a gap (None) after each: one path draws fast, a thousand no.

    Example:
        [[1, 2], [3]] becomes [1, 2, None, 3, None].
    """
    return [value for line in lines for value in (*line, None)]
