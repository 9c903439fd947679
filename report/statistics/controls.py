"""Is it the damage, or the plate? The winner beside models that cannot see the damage.

On the published set a plate holds one condition, so whatever tells plates apart (light, stain,
background) tells the labels. A control is a run with the winner's settings that is kept from the
damage; what it scores, the plate alone can give.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from bpsweep.report.predictions import Predictions
from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.control_runs import (
    BACKGROUND,
    BLIND,
    SHAM,
    WORDS,
    is_of,
    is_usable,
    is_whole,
    list_failed,
    list_shuffles,
)
from bpsweep.report.statistics.estimates import (
    Estimate,
    estimate_run,
    find_predictions,
    gather_predictions,
)
from bpsweep.report.statistics.excess import Excess, measure_excess
from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.intervals import Interval, find_lead_interval
from bpsweep.report.statistics.scores import ACCURACY, Metric, score_cells, stack_scores
from bpsweep.report.statistics.selection_bias import Selection
from bpsweep.report.statistics.separation import Separation, separate_particles
from bpsweep.report.statistics.shuffles import Shuffles, judge_shuffles
from bpsweep.report.statistics.verdict import Row, Verdict

_COIN: Final = 0.5  # AUC of what cannot be told apart
Reason = Literal["right", "plate", "one class", "unclear", "not run", "no target"]


@dataclass(frozen=True)
class ControlResult:
    """One control beside the winner, on the same cells.

    Args:
        name: As the run's setting `control` names it.
        run: The run.
        estimate: The judged metric with its intervals.
        lead: The winner's value less the control's and less what the choice of the winner gave it,
            so that above 0 the winner is better (turned round for Hamming); None where they did not
            score the same cells.
        lead_interval: Of the lead, paired over wells.
    """

    name: str
    run: RunRecord
    estimate: Estimate
    lead: float | None
    lead_interval: Interval | None

    @property
    def words(self) -> str:
        """What the control is, for people."""
        return WORDS.get(self.name, self.name)

    @property
    def is_beaten(self) -> bool:
        """Whether the winner is better with confidence."""
        return self.lead_interval is not None and self.lead_interval.low > 0


@dataclass(frozen=True)
class ControlsVerdict:
    """What the controls say of the winner.

    Args:
        winner: The sweep's best configuration.
        results: One a control, in the order of `WORDS`; none where no control has been run.
        chance: The judged metric of always naming the commonest label vector.
        best_blind: The best of those that cannot see foci.
        explained: Share of the winner's lead over chance that `best_blind` has too, 0 to 1.
        irradiated: How well the winner tells the particles of irradiated validation cells.
        sham: How well it tells those of unirradiated cells, which no biology tells apart.
        sham_choice: What the choice of its best epoch, on the cells that it is judged by, gave it.
        excess: What irradiated plates score beyond sham ones; None where not both were held out.
        optimism: What leads and excess are less by, for the winner was chosen and they were not.
        shuffles: Trainings on shuffled labels of wells, all of them; None where there is none.
        failed: The winner's controls that were tried and could not be made, the latest try of each.
        reason: "right": the winner meets the target, and either beats the background (and any other
            blind) control with confidence and tells irradiated cells better than sham ones, or
            scores more on held-out irradiated plates than on sham ones; "plate": a control was run
            and it does not; "unclear": what was run does not suffice to say; "not run": none was
            tried; "one class": the winner meets the target by naming one class for every cell;
            "no target": the winner does not meet the target.
    """

    winner: Row
    results: tuple[ControlResult, ...]
    chance: float | None
    best_blind: ControlResult | None
    explained: float | None
    irradiated: Separation | None
    sham: Separation | None
    sham_choice: float
    excess: Excess | None
    optimism: float
    shuffles: Shuffles | None
    failed: tuple[RunRecord, ...]
    reason: Reason

    @property
    def right_reason(self) -> bool:
        """Whether the winner reaches the target for the right reason."""
        return self.reason == "right"

    @property
    def sham_tells_apart(self) -> bool:
        """Whether sham cells are told apart, with what the choice of the epoch gave taken off."""
        if self.sham is None:
            return False
        ends = self.sham.interval
        return ends.low - self.sham_choice > _COIN or ends.high < _COIN

    @property
    def background(self) -> ControlResult | None:
        """The background control, where it can be compared with the winner."""
        found = next((one for one in self.results if one.name == BACKGROUND), None)
        return found if found is not None and found.lead_interval is not None else None


def judge_controls(verdict: Verdict, selection: Selection | None = None) -> ControlsVerdict:
    """Judge the winner of a sweep by the controls that were run beside it.

    Of several runs of one control the latest finished counts; those of other configurations than
    the winner do not.

    Args:
        verdict: The sweep's.
        selection: By how much the best of many is too good: no control was chosen as it was, so
            what it leads them by is less that; None where nothing was chosen.
    """
    optimism = 0.0 if selection is None else selection.lead
    goal, winner = verdict.goal, verdict.best
    mine = find_predictions(winner.run)
    beside = [run for run in verdict.sweep.beside if is_usable(run)]
    runs = {run.control: run for run in beside if is_of(run, winner) and is_whole(run, winner)}
    known = [(name, runs[name]) for name in WORDS if name in runs and name != SHAM]
    known += [(str(name), run) for name, run in runs.items() if name not in WORDS]
    chance = None if mine is None else measure_chance(mine, goal.metric)
    results = tuple(_take_off(_compare(name, run, winner, goal), optimism) for name, run in known)
    blind = [one for one in results if one.name in BLIND]
    best = max(blind, key=lambda one: goal.metric.rank(one.estimate.value), default=None)
    sham_cells = runs[SHAM].predictions if SHAM in runs else None
    irradiated = None if mine is None else separate_particles(mine, mine.doses_gy > 0, goal.level)
    sham = None
    if sham_cells is not None:
        sham = separate_particles(sham_cells, sham_cells.doses_gy == 0, goal.level, seed=1)
    excess = None
    if mine is not None and sham_cells is not None:
        excess = measure_excess(mine, sham_cells, goal.level, optimism)
    failed = list_failed(verdict.sweep.beside, winner, set(runs))
    found = ControlsVerdict(
        winner=winner,
        results=results,
        chance=chance,
        best_blind=best,
        explained=_explain(winner.value, best, chance),
        irradiated=irradiated,
        sham=sham,
        sham_choice=0.0 if sham is None else measure_epoch_choice(runs[SHAM]),
        excess=excess,
        optimism=optimism,
        shuffles=judge_shuffles(list_shuffles(beside, winner), goal.metric, chance, winner.value),
        failed=failed,
        reason="unclear",
    )
    return replace(found, reason=_find_reason(found, was_tried=bool(failed)))


def measure_epoch_choice(run: RunRecord) -> float:
    """Measure by how much the best epoch is above the mean of the later half of them.

    Where there is nothing to learn all epochs are worth the same, and this is what the choice
    gave; where there is, later epochs are near the best one, and it is little.
    """
    gains = []
    for one in run.members:
        values = [float(row[ACCURACY.key]) for row in one.epochs]
        if values:
            gains.append(max(values) - float(np.mean(values[len(values) // 2 :])))
    return float(np.mean(gains)) if gains else 0.0


def measure_chance(predictions: Predictions, metric: Metric) -> float:
    """Return the metric of always naming the commonest label vector."""
    vectors, counts = np.unique(predictions.truth, axis=0, return_counts=True)
    always = np.broadcast_to(vectors[counts.argmax()], predictions.truth.shape)
    guessed = replace(predictions, probabilities=always.astype(np.float32))
    return float(score_cells(guessed, metric).mean())


def _compare(name: str, run: RunRecord, winner: Row, goal: Goal) -> ControlResult:
    found = estimate_run(run, goal.metric, goal.level)
    assert found is not None and run.predictions is not None  # `is_usable` has looked
    estimate, metric = found[0], goal.metric
    lead, interval = None, None
    mine = gather_predictions(winner.runs)  # of all seeds, as the winner's value is
    stacked = None if mine is None else stack_scores([*mine, run.predictions], metric)
    if stacked is not None and winner.value is not None:
        scores, wells = stacked
        pair = (scores[:-1].mean(axis=0), scores[-1])
        best, other = pair if metric.higher_is_better else reversed(pair)
        lead = metric.rank(winner.value) - metric.rank(estimate.value)
        interval = find_lead_interval(best, other, wells, lead, goal.level)
    return ControlResult(name, run, estimate, lead, interval)


def _take_off(found: ControlResult, optimism: float) -> ControlResult:
    """Take off a lead what the choice of the best gave it."""
    interval = found.lead_interval
    if found.lead is None or interval is None or not optimism:
        return found
    shifted = replace(interval, low=interval.low - optimism, high=interval.high - optimism)
    return replace(found, lead=found.lead - optimism, lead_interval=shifted)


def _explain(value: float | None, best: ControlResult | None, chance: float | None) -> float | None:
    """Return the share of a value's lead over chance that the best blind control has too."""
    if value is None or best is None or chance is None or value == chance:
        return None
    return float(np.clip((best.estimate.value - chance) / (value - chance), 0, 1))


def _find_no_reason(winner: Row) -> Reason | None:
    """Say why a winner needs no controls: it is below the target, or has no skill."""
    if winner.status not in ("reached", "likely"):
        return "no target"
    is_one_class = winner.trouble is not None and winner.trouble.is_one_class
    return "one class" if is_one_class else None


def _find_reason(found: ControlsVerdict, *, was_tried: bool) -> Reason:
    """Say what the controls allow to say, all else being judged."""
    best, sham, excess = found.best_blind, found.sham, found.excess
    none = _find_no_reason(found.winner)
    if none is not None:
        return none
    if best is None and sham is None:
        return "unclear" if was_tried else "not run"
    if best is not None and best.lead_interval is not None and not best.is_beaten:
        return "plate"
    if excess is not None:
        return "right" if excess.is_above else "plate"
    if sham is not None and (found.irradiated is None or not found.irradiated.exceeds(sham)):
        return "plate"
    return "unclear" if found.background is None or sham is None else "right"
