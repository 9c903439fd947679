"""All that can be said of a sweep, put together: what the terminal, the file and the page show."""

from dataclasses import dataclass
from typing import Any

from report.controls import ControlsVerdict, judge_controls
from report.explain import (
    explain_controls,
    explain_importance,
    explain_reason,
    explain_selection,
    explain_test,
    judge_claim,
)
from report.importance import Importance, weigh_parameters
from report.intervals import list_ends
from report.selection import Selection, TestResult, correct_selection, read_test
from report.separation import Separation
from report.verdict import Verdict
from report.words import SYNTHETIC_NOTE, count_reached, name_basis, name_best, name_unfinished


@dataclass(frozen=True)
class Findings:
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


def examine(verdict: Verdict) -> Findings:
    """Examine a sweep whose configurations have been judged; a second or two for 27 runs."""
    return Findings(
        verdict=verdict,
        selection=correct_selection(verdict),
        test=read_test(verdict),
        controls=judge_controls(verdict),
        importance=weigh_parameters(verdict.sweep, verdict.goal),
    )


def headline(findings: Findings) -> list[str]:
    """Return the verdict in two sentences: how many reach the target, and for what reason."""
    verdict = findings.verdict
    lines = [count_reached(verdict)]
    if verdict.best.value is not None:
        lines.append(explain_reason(findings.controls, verdict.goal, verdict.sweep.path))
    return lines


def tell(findings: Findings) -> list[str]:
    """Return all findings in sentences, the audit first."""
    verdict, goal = findings.verdict, findings.verdict.goal
    lines = [f"Audit: {verdict.audit}."] if verdict.audit else []
    lines += [*headline(findings), *name_best(verdict)]
    if findings.selection is not None:
        lines += explain_selection(findings.selection, goal)
    if findings.test is not None:
        lines.append(explain_test(findings.test, goal))
    lines += explain_controls(findings.controls, goal)
    if findings.importance is not None:
        lines += explain_importance(findings.importance)
    lines += [*name_basis(verdict), *name_unfinished(verdict)]
    return [*lines, SYNTHETIC_NOTE] if verdict.synthetic else lines


def list_findings(findings: Findings) -> dict[str, Any]:
    """Return what goes with the verdict as plain values, for `write_json`."""
    return {
        "findings": tell(findings),
        "selection": _list_selection(findings.selection),
        "test": _list_test(findings.test),
        "controls": _list_controls(findings.controls),
        "importance": _list_importance(findings.importance),
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
