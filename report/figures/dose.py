"""The score of every well over dose, by particle and hour."""

from typing import Any, Final

from bpsweep.report.figures import palette
from bpsweep.report.figures.figure import Figure, build_layout, draw_level, title_figure
from bpsweep.report.statistics.dose import DoseResponse, DoseWell

_COLORS: Final = (palette.BLUE, palette.VERMILLION, palette.GREEN)
_SYMBOLS: Final = ("circle", "diamond", "square")
_SHIFT: Final = 0.22  # between hours, of the distance between two doses


def draw_dose(found: DoseResponse, synthetic: bool) -> Figure:
    """Draw every well as a dot: dose across, the probability of its own particle upwards."""
    conditions = sorted({(well.particle, well.dose_gy) for well in found.wells})
    hours = sorted({well.hour for well in found.wells})
    place = {condition: float(number) for number, condition in enumerate(conditions)}
    traces = [
        _draw_hour(
            [well for well in found.wells if well.hour == hour],
            place,
            hour,
            (number - (len(hours) - 1) / 2) * _SHIFT,
            number,
        )
        for number, hour in enumerate(hours)
    ]
    title = title_figure("Score of every well over dose", synthetic)
    ticks = [f"{particle}<br>{dose:g} Gy" for particle, dose in conditions]
    layout = build_layout(
        title,
        400,
        xaxis={"tickvals": list(place.values()), "ticktext": ticks, "zeroline": False},
        yaxis={"title": {"text": "probability of its own particle"}, "range": [0, 1]},
        **draw_level(0.5, "y", "a coin"),
    )
    layout |= {"showlegend": True, "margin": {"l": 56, "r": 16, "t": 48, "b": 84}}
    n_plates = len({(well.particle, well.plate) for well in found.wells})
    words = (
        f"Each dot is one of {len(found.wells)} wells of {n_plates} plates that nothing was "
        "trained on: the mean over its cells of the probability of their own particle. "
        f"{'It rises with dose.' if found.rises else 'It is not shown to rise with dose.'}"
    )
    return Figure("dose", title, words, tuple(traces), layout, wide=True)


def _draw_hour(
    wells: list[DoseWell],
    place: dict[tuple[str, float], float],
    hour: int,
    shift: float,
    number: int,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{hour} h",
        "x": [place[well.particle, well.dose_gy] + shift for well in wells],
        "y": [well.score for well in wells],
        "text": [f"{well.plate} {well.well}, {well.n_cells:,} cells" for well in wells],
        "marker": {
            "size": 8,
            "opacity": 0.8,
            "color": _COLORS[number % len(_COLORS)],
            "symbol": _SYMBOLS[number % len(_SYMBOLS)],
        },
        "hovertemplate": "%{text}<br>%{y:.2f}<extra></extra>",
    }
