"""A verdict with its evidence: how far the best result can be trusted, and what it rests on."""

from dataclasses import dataclass

from bpsweep.report.statistics.controls import ControlsVerdict, judge_controls
from bpsweep.report.statistics.dose import DoseResponse, read_dose
from bpsweep.report.statistics.estimates import find_predictions
from bpsweep.report.statistics.excess import PlateScores, score_plates
from bpsweep.report.statistics.grade import Grade, find_grade
from bpsweep.report.statistics.importance import Importance, weigh_parameters
from bpsweep.report.statistics.selection_bias import (
    Selection,
    TestResult,
    correct_selection,
    read_test,
)
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.statistics.well_votes import WellVotes, count_wells


@dataclass(frozen=True)
class Assessment:
    """A verdict and what goes with it.

    Args:
        verdict: Which configurations reach the target.
        selection: By how much the best is too good; None where it cannot be said.
        test: The winner on the untouched test part; None where it was not evaluated.
        controls: Whether it is for the right reason.
        grade: How much has been shown.
        plates: The best configuration on plates that it was not trained on; None where it was.
        wells: How many wells it names right; None where it kept no predictions.
        dose: How its score goes with dose and hours; None where it was not applied to others.
        importance: Which setting mattered; None where it cannot be said.
    """

    verdict: Verdict
    selection: Selection | None
    test: TestResult | None
    controls: ControlsVerdict
    grade: Grade
    plates: PlateScores | None
    wells: WellVotes | None
    dose: DoseResponse | None
    importance: Importance | None


def assess(verdict: Verdict) -> Assessment:
    """Assess a sweep whose configurations have been judged; a second or two for 27 runs."""
    selection = correct_selection(verdict)
    controls = judge_controls(verdict, selection)
    dose = read_dose(verdict)
    mine, level = find_predictions(verdict.best.run), verdict.goal.level
    return Assessment(
        verdict=verdict,
        selection=selection,
        test=read_test(verdict),
        controls=controls,
        grade=find_grade(verdict, controls, rises=dose is not None and dose.rises),
        plates=None if mine is None else score_plates(mine, mine.doses_gy >= 0, level),
        wells=None if mine is None else count_wells(mine, level),
        dose=dose,
        importance=weigh_parameters(verdict.sweep, verdict.goal),
    )
