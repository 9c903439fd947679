"""Selection, controls and importance in sentences that a biologist can act on."""

from collections.abc import Sequence
from typing import Final

from bpsweep.report.statistics.control_runs import SHUFFLED, WORDS
from bpsweep.report.statistics.controls import (
    ControlResult,
    ControlsVerdict,
)
from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.importance import Factor, Importance
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.scores import ACCURACY, METRICS, Metric
from bpsweep.report.statistics.selection_bias import Selection, TestResult
from bpsweep.report.statistics.separation import Separation
from bpsweep.report.statistics.shuffles import MIN_SHUFFLES, Shuffles
from bpsweep.report.text.grade import explain_missing
from bpsweep.report.text.numbers import name_chance, name_share, show_value
from bpsweep.report.text.verdict import name_interval, name_row, name_target

CLAIMED: Final = "batch_size"
"""What the published work says contributed most."""
_LITTLE = 0.05  # share of variance from which a setting is worth a word
_SHOWN = 0.0005  # of a share, from which a correction is worth a word
_SURE = 0.95  # of resamplings that agree, for a claim to be confirmed, or its opposite


def explain_selection(selection: Selection, goal: Goal) -> list[str]:
    """Say by how much the best of many is too good, and how sure it is the best."""
    metric = goal.metric
    winner = selection.winner
    wins = selection.wins[winner.run.id]
    lines = [
        f"{_name_picked(selection)} was picked on the cells that it is judged by. "
        f"Corrected for that it is worth {show_value(selection.corrected, metric)} "
        f"({name_interval(selection.interval, metric)}), {_name_optimism(selection, metric)}, and "
        f"the chance of its being {name_target(goal)} is {name_chance(selection.probability)}.",
        f"It stays the best in {name_share(round(wins, 2))} of repeated choices.",
    ]
    wanted = "plates" if selection.is_by_plate else "wells"
    if selection.unit != wanted:
        lines.append(
            f"Too few {wanted} to repeat the choice over: it was repeated over {selection.unit}, "
            f"so differences between {wanted} are not in the correction."
        )
    return lines


def _name_picked(selection: Selection) -> str:
    """Name what was picked; where it is not what the verdict calls the best, with its settings."""
    n = f"{selection.n_configurations}"
    if selection.n_configurations < selection.n_judged:
        n += f" of the {selection.n_judged} configurations, those that kept their predictions,"
    if selection.is_best:
        return f"The best of {n}"
    return f"The best single run of {n} ({name_row(selection.winner)})"


def _name_optimism(selection: Selection, metric: Metric) -> str:
    """Say by how much the corrected value differs from the winner's own, as it is shown."""
    raw = show_value(selection.raw, metric)
    if raw == show_value(selection.corrected, metric):
        return "the same as its own"
    side = "below" if selection.optimism > 0 else "above"
    return f"{name_difference(selection.optimism, metric)} {side} its own {raw}"


def explain_test(test: TestResult, goal: Goal) -> str:
    """Say what the winner scored on the untouched test part, and that it has been used."""
    spread = ""
    if test.estimate.interval is not None:
        spread = f" ({name_interval(test.estimate.interval, goal.metric)})"
    status = goal.find_status(test.estimate.value, test.estimate.interval)
    who = "the best configuration" if test.is_winner else "what was the best configuration then"
    return (
        f"On the untouched test part ({test.n_cells:,} cells of {test.n_wells} wells) {who} has "
        f"{show_value(test.estimate.value, goal.metric)}{spread}: {status}. The part has now been "
        f"used, by run {test.run.name}; a second look would no longer be untouched."
    )


def explain_reason(controls: ControlsVerdict, goal: Goal, sweep_path: str) -> str:
    """Say in one sentence whether the target is reached for the right reason."""
    best = controls.best_blind
    if controls.reason == "no target":
        return f"The best configuration is not at {name_share(goal.target)}, whatever the reason."
    if controls.reason == "one class":
        assert controls.winner.trouble is not None  # the reason is its trouble
        return (
            f"It is for no skill: the best configuration {controls.winner.trouble.said}, and that "
            "class's share of the cells is at the target."
        )
    if controls.reason == "not run":
        return (
            "Whether it is the damage or the plate that it sees is not known: no controls were "
            f"run. `bpsweep controls {sweep_path}` runs them."
        )
    if controls.reason == "right":
        return _praise(controls, goal)
    if controls.reason == "plate":
        return f"The score can be explained by the plate: {_blame(controls, goal)}."
    beaten = ""
    if best is not None and best.is_beaten:
        beaten = f"{_beat(best, goal)[0].upper()}{_beat(best, goal)[1:]}. "
    return (
        f"{beaten}Whether it is the damage or the plate that it sees is not shown: not compared "
        f"are {explain_missing(controls)}. `bpsweep controls {sweep_path}` runs them."
    )


def _praise(controls: ControlsVerdict, goal: Goal) -> str:
    """Say what speaks for the damage, in words no wider than what was shown."""
    best = controls.best_blind
    if controls.excess is not None and controls.excess.is_above:
        beat = "" if best is None or not best.is_beaten else f" and {_beat(best, goal)}"
        return (
            "It is for the right reason: irradiated plates that were held out are told apart "
            f"beyond unirradiated ones{beat}."
        )
    assert best is not None and controls.sham is not None  # `judge_controls` has seen both
    return (
        f"It is for the right reason, as far as these controls can tell: {_beat(best, goal)}, and "
        f"tells irradiated cells apart ({_name_auc(_known(controls.irradiated))}) better than "
        f"unirradiated ones ({_name_auc(controls.sham)})."
    )


def _known(found: Separation | None) -> Separation:
    assert found is not None  # it was seen to exceed that of sham cells
    return found


def _beat(control: ControlResult, goal: Goal) -> str:
    assert control.lead is not None and control.lead_interval is not None
    return (
        f"the best configuration beats the best model that cannot see the damage, "
        f"{control.words} ({show_value(control.estimate.value, goal.metric)}), by "
        f"{name_difference(control.lead, goal.metric)} "
        f"({_name_lead(control.lead_interval, goal.metric)})"
    )


def _blame(controls: ControlsVerdict, goal: Goal) -> str:
    best = controls.best_blind
    if best is not None and best.lead_interval is not None and not best.is_beaten:
        assert best.lead is not None  # it comes with its interval
        return (
            f"a model that cannot see the damage, {best.words}, has "
            f"{show_value(best.estimate.value, goal.metric)}, and the best configuration is not "
            f"better with {name_share(goal.level)} confidence "
            f"({_name_lead(best.lead_interval, goal.metric)})"
        )
    if controls.excess is not None:
        return "irradiated plates that were held out are not told apart beyond unirradiated ones"
    if controls.irradiated is None:
        return "all its validation cells are unirradiated, and no biology tells these apart"
    assert controls.sham is not None  # the only reason left
    return (
        "unirradiated iron and X-ray cells, which no biology tells apart, are told apart "
        f"({_name_auc(controls.sham)}) no worse than irradiated ones "
        f"({_name_auc(controls.irradiated)})"
    )


def explain_controls(controls: ControlsVerdict, goal: Goal) -> list[str]:
    """Say what each control scored and what to make of it."""
    lines = []
    if any(one.name != SHUFFLED for one in controls.results):
        listed = ", ".join(
            f"{one.words} {show_value(one.estimate.value, goal.metric)}"
            for one in controls.results
            if one.name != SHUFFLED
        )
        chance = ""
        if controls.chance is not None:
            chance = (
                f"; always naming the commonest label {show_value(controls.chance, goal.metric)}"
            )
        lines.append(f"Controls on the same cells: {listed}{chance}.")
    if controls.optimism >= _SHOWN and (controls.excess or controls.best_blind):
        lines.append(
            f"What it leads controls by is less {name_difference(controls.optimism, goal.metric)}, "
            "by which the best of many is too good: no control was chosen so."
        )
    if controls.reason == "right" and (controls.explained or 0) > 0.5:
        lines.append(
            f"Even so, the plate alone gives {name_share(round(controls.explained or 0, 2))} of "
            "its lead over chance."
        )
    if controls.shuffles is not None:
        lines.append(_explain_shuffles(controls.shuffles, goal))
    if controls.sham is not None:
        lines.append(_explain_sham(controls.sham, controls.sham_tells_apart))
    lines += [
        f"The control {WORDS.get(str(run.control), run.control)} could not be made: {run.error}"
        for run in controls.failed
    ]
    return lines


def _explain_shuffles(found: Shuffles, goal: Goal) -> str:
    """Say what trainings on shuffled labels score, and whether that is above chance."""
    worst, best = (show_value(value, goal.metric) for value in (found.best[0], found.best[-1]))
    n = len(found.best)
    if n < MIN_SHUFFLES:
        return (
            f"Trained on shuffled labels of wells it has {best} at the best epoch; whether that is "
            f"above chance is not known from {n} shuffle{'s' * (n != 1)}."
        )
    line = (
        f"Trained on {n} shuffles of the wells' labels it has {worst} to {best} at the best "
        f"epochs, {found.n_as_good or 'none'} of them as good as the best configuration"
    )
    if found.leads_around:
        return (
            f"{line}; over all epochs they are above chance, so something other than labels leads "
            "from training to validation cells."
        )
    return f"{line}; over all epochs they are not above chance."


def _explain_sham(sham: Separation, is_told: bool) -> str:
    if is_told:
        return (
            f"Unirradiated iron and X-ray cells are told apart ({_name_auc(sham)}): plate, animal "
            "or stain is part of what it sees."
        )
    return f"Unirradiated iron and X-ray cells are not shown to be told apart ({_name_auc(sham)})."


def explain_importance(importance: Importance) -> list[str]:
    """Say which setting mattered most, which way, and how sure that is."""
    words = METRICS[importance.metric].words
    first, *others = importance.factors
    if importance.explained <= 0:
        return [
            f"No setting mattered measurably: what they explain of the {words} of runs held out "
            f"is nothing, so differences between the {importance.n_runs} runs look like chance."
        ]
    line = f"{first.name} contributed most to {words} {_name_factor(first)}"
    more = [one for one in others if one.share >= _LITTLE]
    if more:
        line += "; then " + ", ".join(f"{one.name} {_name_factor(one)}" for one in more)
    little = [one.name for one in others if one.share < _LITTLE]
    if little:
        line += f"; {_join(little)} hardly mattered"
    lines = [line + "."]
    if others:
        lines.append(
            f"That {first.name} came first holds in {name_share(round(first.first, 2))} of "
            f"resamplings of the {importance.n_runs} runs."
        )
    claim = judge_claim(importance)
    if claim is not None:
        lines.append(f"The published claim that {CLAIMED} contributed most is {claim}.")
    return lines


def judge_claim(importance: Importance, name: str = CLAIMED) -> str | None:
    """Judge the claim that a setting contributed most; None where it was not swept, or alone."""
    found = next((one for one in importance.factors if one.name == name), None)
    if found is None or len(importance.factors) == 1:
        return None
    if importance.explained <= 0:
        return "not supported by this sweep"
    if found.first >= _SURE:
        return "confirmed by this sweep"
    return "refuted by this sweep" if found.first <= 1 - _SURE else "left open by this sweep"


def _name_factor(factor: Factor) -> str:
    ends = f"{factor.interval.low:.2f} to {factor.interval.high:.2f}"
    if factor.direction in (None, "no clear direction"):
        effect = f", best at {factor.best}"
    else:
        effect = f", {factor.direction}"
    return f"({factor.share:.2f}, {ends}{effect})"


def name_difference(difference: float, metric: Metric) -> str:
    """Write the size of a difference: "1.2 points" of accuracy, "0.012" of the others."""
    size = abs(difference)
    return f"{100 * size:.1f} points" if metric is ACCURACY else f"{size:.3f}"


def _name_lead(interval: Interval, metric: Metric) -> str:
    level = f"{name_share(interval.level)} interval"
    if metric is ACCURACY:
        return f"{level} {100 * interval.low:.1f} to {100 * interval.high:.1f} points"
    return f"{level} {interval.low:.3f} to {interval.high:.3f}"


def _name_auc(found: Separation) -> str:
    return f"AUC {found.auc:.2f}, {found.interval.low:.2f} to {found.interval.high:.2f}"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
