"""The colours of every figure: safe for the colour-blind, readable on light and on dark ground.

Figures name colours only for what carries meaning. Ground, ink and grid come from a template, of
which there is one a scheme; a page applies the one of its reader's scheme and figures need not
know it.

References:
    M. Okabe, K. Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/;
    cividis: J. R. Nunez et al., PLoS ONE 13, e0199239 (2018), doi 10.1371/journal.pone.0199239.
"""

from collections.abc import Mapping
from typing import Any, Final

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
GREY: Final = "#8a919a"
"""Lines in the background, on either ground."""

BEST: Final = VERMILLION
REACHED: Final = BLUE
OTHER: Final = GREY
COLORWAY: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""One colour a thing compared, where a figure names none."""

RAMP: Final = ("#6f4ea0", "#4a6fae", "#2f8f9d", "#2fa57a", "#5fbf52")
"""Five steps after viridis, low to high, without its ends: they drown in black and in white."""
HEAT: Final = "Cividis"
"""Colours of heat maps, by plotly's name; their cells carry the numbers as well."""

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def _make_template(ground: str, veil: str, ink: str, faint: str, grid: str) -> Mapping[str, Any]:
    axis = {
        "gridcolor": grid,
        "linecolor": faint,
        "tickcolor": faint,
        "zerolinecolor": grid,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": _FONT, "size": 13, "color": ink},
            "title": {
                "font": {"size": 15},
                **{"x": 0, "xref": "container", "xanchor": "left"},
                **{"y": 1, "yref": "container", "yanchor": "top"},
                "pad": {"t": 6, "l": 4},
            },
            "colorway": list(COLORWAY),
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"bgcolor": ground, "bordercolor": faint, "font": {"color": ink}},
            "legend": {
                "orientation": "h",
                "font": {"size": 12},
                **{"x": 0, "xref": "container", "xanchor": "left"},
                **{"y": 0, "yref": "container", "yanchor": "bottom"},
            },
            "annotationdefaults": {"font": {"color": ink, "size": 12}, "bgcolor": veil},
            "shapedefaults": {"line": {"color": ink, "width": 1.5}},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": faint, "activecolor": ink},
        }
    }


TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = {
    "light": _make_template("#ffffff", "rgba(255,255,255,0.8)", "#1c1f23", "#5b6470", "#e2e5e9"),
    "dark": _make_template("#1b1f23", "rgba(27,31,35,0.8)", "#e6e8ea", "#9aa4ad", "#333a41"),
}
"""Plotly templates by colour scheme; set one as `layout.template`."""
