"""An assessment in sentences and as plain values: what terminal, JSON file and page show."""

from dataclasses import asdict
from typing import Any

from bpsweep.report.statistics.assessment import Assessment
from bpsweep.report.statistics.controls import ControlsVerdict
from bpsweep.report.statistics.dose import DoseResponse
from bpsweep.report.statistics.excess import Excess, PlateScores
from bpsweep.report.statistics.grade import GRADES
from bpsweep.report.statistics.importance import Importance
from bpsweep.report.statistics.intervals import list_ends
from bpsweep.report.statistics.selection_bias import Selection, TestResult
from bpsweep.report.statistics.separation import Separation
from bpsweep.report.statistics.shuffles import Shuffles
from bpsweep.report.statistics.well_votes import WellVotes
from bpsweep.report.text.dose import explain_dose
from bpsweep.report.text.evidence import (
    explain_controls,
    explain_importance,
    explain_reason,
    explain_selection,
    explain_test,
    judge_claim,
)
from bpsweep.report.text.grade import explain_excess, explain_plates, explain_wells, name_grade
from bpsweep.report.text.verdict import (
    SYNTHETIC_NOTE,
    count_reached,
    name_basis,
    name_best,
    name_troubles,
    name_unfinished,
)


def headline(assessment: Assessment) -> list[str]:
    """Return the verdict in sentences: its grade, excess, how many reach the target, and why."""
    verdict, excess = assessment.verdict, assessment.controls.excess
    lines = [name_grade(assessment.grade, verdict)]
    if excess is not None:
        lines.append(explain_excess(excess))
    lines.append(count_reached(verdict))
    if verdict.best.value is not None:
        lines.append(explain_reason(assessment.controls, verdict.goal, verdict.sweep.path))
    return lines


def summarize(assessment: Assessment) -> list[str]:
    """Return an assessment in sentences, the audit first."""
    verdict, goal = assessment.verdict, assessment.verdict.goal
    lines = [f"Audit: {verdict.audit}."] if verdict.audit else []
    lines += [*headline(assessment), *list_notes(assessment)]
    lines += explain_controls(assessment.controls, goal)
    if assessment.dose is not None:
        lines += explain_dose(assessment.dose)
    if assessment.importance is not None:
        lines += explain_importance(assessment.importance)
    lines += [*name_troubles(verdict), *name_basis(verdict), *name_unfinished(verdict)]
    return [*lines, SYNTHETIC_NOTE] if verdict.synthetic else lines


def list_notes(assessment: Assessment) -> list[str]:
    """Return what the headline rests on: the best, its plates and wells, selection, test part."""
    verdict, goal = assessment.verdict, assessment.verdict.goal
    lines = list(name_best(verdict))
    if assessment.plates is not None:
        lines.append(explain_plates(assessment.plates))
    if assessment.wells is not None:
        lines.append(explain_wells(assessment.wells))
    if assessment.selection is not None:
        lines += explain_selection(assessment.selection, goal)
    if assessment.test is not None:
        lines.append(explain_test(assessment.test, goal))
    return lines


def list_assessment(assessment: Assessment) -> dict[str, Any]:
    """Return what goes with the verdict as plain values, for `write_json`."""
    return {
        "grade": assessment.grade,
        "grade_number": GRADES.index(assessment.grade) + 1,
        "findings": summarize(assessment),
        "plates": _list_plates(assessment.plates),
        "wells": _list_wells(assessment.wells),
        "selection": _list_selection(assessment.selection),
        "test": _list_test(assessment.test),
        "dose": _list_dose(assessment.dose),
        "controls": _list_controls(assessment.controls),
        "importance": _list_importance(assessment.importance),
    }


def _list_selection(found: Selection | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "run": found.winner.run.id,
        "n_configurations": found.n_configurations,
        "raw": found.raw,
        "corrected": found.corrected,
        **list_ends(found.interval),
        "resampled": found.unit,
        "wins": dict(found.wins),
    }


def _list_test(found: TestResult | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "run": found.run.id,
        "value": found.estimate.value,
        **list_ends(found.estimate.interval),
        "n_cells": found.n_cells,
        "n_wells": found.n_wells,
    }


def _list_controls(found: ControlsVerdict) -> dict[str, Any]:
    return {
        "reason": found.reason,
        "right_reason": found.right_reason,
        "chance": found.chance,
        "explained_by_plate": found.explained,
        "irradiated_auc": _list_separation(found.irradiated),
        "sham_auc": _list_separation(found.sham),
        "shuffles": _list_shuffles(found.shuffles),
        "excess_over_sham": _list_excess(found.excess),
        "runs": [
            {
                "control": one.name,
                "run": one.run.id,
                "value": one.estimate.value,
                **list_ends(one.estimate.interval),
                "lead": one.lead,
                "lead_low": one.lead_interval.low if one.lead_interval else None,
                "lead_high": one.lead_interval.high if one.lead_interval else None,
            }
            for one in found.results
        ],
        "failed": [
            {"control": run.control, "run": run.id, "error": run.error} for run in found.failed
        ],
    }


def _list_dose(found: DoseResponse | None) -> dict[str, Any] | None:
    if found is None:
        return None
    trends = {"pairs": found.doses, **found.particles, "falling_over_hours": found.hours}
    return {
        "rises": found.rises,
        "levels": list(found.levels),
        "trends": {name: trend and asdict(trend) for name, trend in trends.items()},
        "wells": [asdict(well) for well in found.wells],
    }


def _list_shuffles(found: Shuffles | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "best": list(found.best),
        "means_over_epochs": list(found.means),
        "probability": found.probability,
        "n_as_good": found.n_as_good,
    }


def _list_excess(found: Excess | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "value": found.value,
        **list_ends(found.interval),
        "irradiated": _list_plates(found.irradiated),
        "sham": _list_plates(found.sham),
    }


def _list_plates(found: PlateScores | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "mean": found.mean,
        **list_ends(found.interval),
        "plates": dict(found.plates),
        "n_plates": dict(found.n_plates),
    }


def _list_wells(found: WellVotes | None) -> dict[str, Any] | None:
    if found is None:
        return None
    votes = {"majority": found.majority, "mean_probability": found.probability}
    return {
        "n_wells": found.n_wells,
        "n_plates": found.n_plates,
        **{
            name: {"n_right": vote.n_right, **list_ends(vote.interval)}
            for name, vote in votes.items()
        },
    }


def _list_separation(found: Separation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    sizes = {"n_cells": found.n_cells, "n_wells": found.n_wells}
    return {"value": found.auc, **list_ends(found.interval), **sizes}


def _list_importance(found: Importance | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "n_runs": found.n_runs,
        "explained_of_runs_held_out": found.explained,
        "claim_batch_size_most": judge_claim(found),
        "settings": [
            {
                "name": one.name,
                "share": one.share,
                **list_ends(one.interval),
                "direction": one.direction,
                "best": one.best,
                "first": one.first,
            }
            for one in found.factors
        ],
    }
