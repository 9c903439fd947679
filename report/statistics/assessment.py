"""A verdict with its evidence: how far the best result can be trusted, and what it rests on."""

from dataclasses import dataclass

from bpsweep.report.statistics.controls import ControlsVerdict, judge_controls
from bpsweep.report.statistics.importance import Importance, weigh_parameters
from bpsweep.report.statistics.selection_bias import (
    Selection,
    TestResult,
    correct_selection,
    read_test,
)
from bpsweep.report.statistics.verdict import Verdict


@dataclass(frozen=True)
class Assessment:
    """A verdict and what goes with it.

    Args:
        verdict: Which configurations reach the target.
        selection: By how much the best is too good; None where it cannot be said.
        test: The winner on the untouched test part; None where it was not evaluated.
        controls: Whether it is for the right reason.
        importance: Which setting mattered; None where it cannot be said.
    """

    verdict: Verdict
    selection: Selection | None
    test: TestResult | None
    controls: ControlsVerdict
    importance: Importance | None


def assess(verdict: Verdict) -> Assessment:
    """Assess a sweep whose configurations have been judged; a second or two for 27 runs."""
    return Assessment(
        verdict=verdict,
        selection=correct_selection(verdict),
        test=read_test(verdict),
        controls=judge_controls(verdict),
        importance=weigh_parameters(verdict.sweep, verdict.goal),
    )
