"""The page's section on controls: the best configuration beside models that cannot see damage."""

from collections.abc import Iterator

from bpsweep.report.figures.estimates import Dot, Level, Measure, draw_estimates
from bpsweep.report.figures.figure import Figure, write_target
from bpsweep.report.page.sections import Cell, Missing, Section, Table
from bpsweep.report.statistics.controls import ControlsVerdict
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, Metric
from bpsweep.report.statistics.separation import Separation
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.text.evidence import explain_controls
from bpsweep.report.text.numbers import name_share, show_value
from bpsweep.report.text.verdict import name_ends


def build_controls(verdict: Verdict, controls: ControlsVerdict) -> Section:
    """Build the controls: what they score, and how well particles are told apart without dose."""
    missing = []
    if not controls.results:
        none = "No control could be made." if controls.failed else "No control has been run."
        missing.append(Missing(none, f"bpsweep controls {verdict.sweep.path}"))
    elif controls.sham is None:
        missing.append(
            Missing(
                "Whether unirradiated cells can be told apart was not measured.",
                f"bpsweep controls {verdict.sweep.path}",
            )
        )
    figures = [_draw_scores(verdict, controls)] if controls.results else []
    figures += list(_draw_separation(verdict, controls))
    tables = [_list_leads(verdict, controls)] if controls.results else []
    return Section(
        "controls",
        "Is it the damage, or the plate?",
        lines=[
            "A plate holds one condition, so whatever tells plates apart tells the labels. "
            "Controls have the best configuration's settings and are kept from the damage: what "
            "they score, the plate alone can give.",
            *explain_controls(controls, verdict.goal),
            *_explain_auc(controls),
        ],
        figures=figures,
        tables=tables,
        missing=missing,
    )


def _explain_auc(controls: ControlsVerdict) -> list[str]:
    if controls.irradiated is None and controls.sham is None:
        return []
    return [
        "The AUC is the chance that a random iron cell looks more like iron to the network than a "
        "random X-ray cell. No biology tells unirradiated cells apart: an AUC away from 0.5 on "
        "them is the plate's."
    ]


def _draw_scores(verdict: Verdict, controls: ControlsVerdict) -> Figure:
    goal, winner = verdict.goal, controls.winner
    dots = []
    if winner.value is not None:
        ends = winner.interval
        low, high = (ends.low, ends.high) if ends else (None, None)
        dots.append(Dot("best configuration", winner.value, low, high, stressed=True))
    for result in controls.results:
        ends = result.estimate.interval
        low, high = (ends.low, ends.high) if ends else (None, None)
        dots.append(Dot(result.words, result.estimate.value, low, high))
    levels = [Level(goal.target, f"target {write_target(goal.target, goal.metric)}")]
    if controls.chance is not None:
        levels.append(Level(controls.chance, f"chance {show_value(controls.chance, goal.metric)}"))
    return draw_estimates(
        dots,
        "The best beside its controls",
        levels,
        name="controls",
        measure=Measure(goal.metric.words, goal.metric is ACCURACY),
        synthetic=verdict.synthetic,
    )


def _draw_separation(verdict: Verdict, controls: ControlsVerdict) -> Iterator[Figure]:
    pairs = (
        ("irradiated cells", controls.irradiated, True),
        ("unirradiated cells", controls.sham, False),
    )
    known: list[tuple[str, Separation, bool]] = [
        (name, found, stressed) for name, found, stressed in pairs if found is not None
    ]
    if not known:
        return
    yield draw_estimates(
        [
            Dot(name, found.auc, found.interval.low, found.interval.high, found.n_cells, stressed)
            for name, found, stressed in known
        ],
        "Iron told from X-rays",
        [Level(0.5, "a coin")],
        name="separation",
        measure=Measure("AUC", False),
        synthetic=verdict.synthetic,
    )


def _list_leads(verdict: Verdict, controls: ControlsVerdict) -> Table:
    metric = verdict.goal.metric
    rows = tuple(
        (
            Cell(result.words, result.words),
            Cell(show_value(result.estimate.value, metric), result.estimate.value),
            Cell("–")
            if result.estimate.interval is None
            else Cell(name_ends(result.estimate.interval, metric), result.estimate.interval.low),
            Cell("–")
            if result.lead is None
            else Cell(_show_difference(result.lead, metric), result.lead),
            _show_lead(result.lead_interval, metric),
            Cell("beaten", 1.0, "good", as_text=True)
            if result.is_beaten
            else Cell("not beaten", 0.0, "close", as_text=True),
        )
        for result in controls.results
    )
    points = " (points)" if metric is ACCURACY else ""
    head = (
        "control",
        metric.words,
        f"{name_share(verdict.goal.level)} interval",
        f"lead of the best{points}",
        "interval of the lead",
        "by the best",
    )
    synthetic = ", synthetic images" if verdict.synthetic else ""
    caption = f"Controls on the same validation cells, paired over wells{synthetic}."
    return Table("controls-table", caption, head, rows, sortable=True)


def _show_difference(value: float, metric: Metric) -> str:
    return f"{100 * value:+.1f}" if metric is ACCURACY else f"{value:+.3f}"


def _show_lead(ends: Interval | None, metric: Metric) -> Cell:
    if ends is None:
        return Cell("–")
    low, high = (_show_difference(end, metric) for end in (ends.low, ends.high))
    return Cell(f"{low} to {high}", ends.low)
