"""The page's sections on the best configuration: its mistakes, cells, and where it is right."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bpsweep.report.figures.confusion import draw_confusion
from bpsweep.report.figures.estimates import Dot, Level, draw_estimates
from bpsweep.report.figures.reliability import draw_reliability
from bpsweep.report.page.cells import CellPicture
from bpsweep.report.page.sections import Cell, Missing, Section, Table
from bpsweep.report.predictions import Predictions
from bpsweep.report.statistics.breakdown import NOT_COUNTED, Breakdown, Group, break_down
from bpsweep.report.statistics.calibration import measure_calibration
from bpsweep.report.statistics.confusion import Confusion, count_confusion
from bpsweep.report.statistics.estimates import find_predictions
from bpsweep.report.statistics.scores import ACCURACY, decide_cells
from bpsweep.report.statistics.selection_bias import TestResult
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.text.numbers import name_share

NO_PREDICTIONS: Final = Missing(
    "The best configuration kept no predictions of single cells: it is still running, or was made "
    "by an older version. A run that ends keeps them; work the sweep off again to have them."
)
_GROUP_TITLES: Final = {
    "condition": "Accuracy by condition",
    "plate": "Accuracy by plate",
    "well": "Accuracy by well",
    "dose": "Accuracy by dose",
    "foci": "Accuracy by number of foci",
}


def build_mistakes(verdict: Verdict, test: TestResult | None) -> Section:
    """Build the confusion matrices and the calibration of the best configuration.

    Args:
        verdict: The verdict.
        test: It on the untouched test part; None where it was not evaluated.
    """
    found = find_predictions(verdict.best.run)
    title = "What is taken for what, and how surely"
    if found is None:
        return Section("confusion", title, missing=[NO_PREDICTIONS])
    figures = [
        draw_confusion(_count(found), "best configuration", verdict.synthetic),
        draw_reliability(measure_calibration(found), verdict.synthetic),
    ]
    if test is not None and test.run.predictions is not None:
        counts, of = _count(test.run.predictions), "best configuration on the untouched test part"
        figures.append(
            draw_confusion(counts, of, verdict.synthetic, "confusion-test", "On the test part")
        )
    return Section("confusion", title, figures=figures)


def _count(predictions: Predictions) -> Confusion:
    return count_confusion(predictions.truth, decide_cells(predictions), predictions.label_names)


def build_breakdown(verdict: Verdict, foci: NDArray[np.int64] | None) -> Section:
    """Build the accuracy of the best configuration by groups of cells.

    Args:
        verdict: The verdict.
        foci: (N,) number of foci of each cell of its predictions; None where not counted.
    """
    found = find_predictions(verdict.best.run)
    title = "Where it is right"
    if found is None:
        return Section("breakdown", title, missing=[NO_PREDICTIONS])
    broken = break_down(found, foci, verdict.goal.level)
    shown, same = _drop_repeated(broken.groups)
    figures = [
        draw_estimates(
            [_make_dot(group) for group in groups],
            _GROUP_TITLES[kind],
            _list_levels(verdict),
            name=f"by-{kind}",
            synthetic=verdict.synthetic,
        )
        for kind, groups in sorted(shown.items(), key=lambda item: len(item[1]))
    ]
    line = (
        f"Accuracy of the best configuration on parts of its validation cells, with "
        f"{name_share(verdict.goal.level)} intervals over wells (cells taken as independent where "
        "a part has one well)."
    )
    lines = [line, *(f"By {one} it is the same cells as by {other}." for one, other in same)]
    missing = []
    if foci is None:
        missing.append(Missing("Accuracy by number of foci needs the images at hand."))
    elif (n_counted := int((foci != NOT_COUNTED).sum())) < len(foci):
        lines.append(f"Foci were counted in {n_counted:,} of the {len(foci):,} cells.")
    return Section("breakdown", title, lines=lines, figures=figures, missing=missing)


def _drop_repeated(
    groups: Mapping[str, tuple[Group, ...]],
) -> tuple[dict[str, tuple[Group, ...]], list[tuple[str, str]]]:
    """Leave out kinds of groups that hold the same cells as another kind, or all of them.

    Returns:
        The others, and pairs of a kind left out and the kind that shows the same.
    """
    shown: dict[str, tuple[Group, ...]] = {}
    same: list[tuple[str, str]] = []
    seen: dict[tuple[tuple[int, float], ...], str] = {}
    for kind, members in groups.items():
        key = tuple(sorted((group.n_cells, group.accuracy) for group in members))
        if key in seen:
            same.append((kind, seen[key]))
        elif len(members) > 1:
            seen[key] = kind
            shown[kind] = members
    return shown, same


def _make_dot(group: Group) -> Dot:
    ends = group.interval
    return Dot(group.name, group.accuracy, ends.low, ends.high, group.n_cells)


def _list_levels(verdict: Verdict) -> Sequence[Level]:
    goal = verdict.goal
    if goal.metric is not ACCURACY:
        return ()
    return (Level(goal.target, f"target {name_share(goal.target)}"),)


def build_cells(verdict: Verdict, cells: Sequence[CellPicture]) -> Section:
    """Build the pictures of cells and the list of the most confident mistakes."""
    found = find_predictions(verdict.best.run)
    missing = []
    if not cells:
        missing.append(
            Missing(
                "No pictures of cells: they need the images at hand, and the best configuration's "
                "weights."
            )
        )
    tables = [] if found is None else _list_mistakes(found, verdict)
    lines = []
    if cells:
        kind = "Synthetic validation" if verdict.synthetic else "Validation"
        lines.append(f"{kind} cells as the best configuration took them.")
    if any(cell.saliency_png is not None for cell in cells):
        lines.append(
            "Orange lies over the pixels that set its answer apart from the one on the average of "
            "these cells (SmoothGrad times the difference)."
        )
    return Section("cells", "Cells", lines=lines, cells=cells, tables=tables, missing=missing)


def _list_mistakes(found: Predictions, verdict: Verdict) -> list[Table]:
    broken: Breakdown = break_down(found, None, verdict.goal.level, n_mistakes=3)
    rows = tuple(
        (
            Cell(mistake.condition, mistake.condition),
            Cell(mistake.said, mistake.said),
            Cell(f"{mistake.confidence:.1%}", mistake.confidence),
            Cell(mistake.cell, mistake.cell),
        )
        for mistakes in broken.mistakes.values()
        for mistake in mistakes
    )
    if not rows:
        return []
    head = ("condition", "taken for", "confidence", "file")
    synthetic = ", synthetic images" if verdict.synthetic else ""
    caption = f"The most confident mistakes of each condition{synthetic}."
    return [Table("mistakes", caption, head, rows, sortable=True)]
