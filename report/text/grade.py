"""The grade of a verdict, plates and wells, in sentences."""

from typing import Final

from bpsweep.report.statistics.controls import ControlsVerdict
from bpsweep.report.statistics.excess import CHANCE, Excess, PlateScores
from bpsweep.report.statistics.grade import GRADES, Grade
from bpsweep.report.statistics.intervals import Interval
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.statistics.well_votes import Vote, WellVotes
from bpsweep.report.statistics.wells import FEW_PLATES
from bpsweep.report.text.numbers import name_share
from bpsweep.report.text.verdict import count

_SHOWN: Final = 0.0005  # of a share, from which a correction is worth a word


def name_grade(grade: Grade, verdict: Verdict) -> str:
    """Say the grade in one line: "Grade 2 of 5: reached, plate not excluded."."""
    line = f"Grade {GRADES.index(grade) + 1} of {len(GRADES)}: {grade}"
    if verdict.best.status == "likely":
        line += f" with {name_share(verdict.goal.level)} confidence"
    return line + "."


def explain_excess(excess: Excess) -> str:
    """Say what irradiated plates score beyond sham ones, each held out."""
    irradiated, sham = excess.irradiated, excess.sham
    claim = "is what radiation can claim" if excess.is_above else "may be nothing"
    few = _name_few(irradiated, sham)
    less = ""
    if excess.optimism >= _SHOWN:
        less = f", less {_name_points(excess.optimism)} for the choice of the best of many"
    return (
        f"On held-out plates the particle is named right in {irradiated.mean:.1%} of irradiated "
        f"cells ({_count_plates(irradiated)}) and in {sham.mean:.1%} of unirradiated ones by the "
        f"same design ({_count_plates(sham)}): {_name_points(excess.value)} beyond "
        f"{'these' if sham.mean > CHANCE else 'chance'}{less} ({_name_ends(excess.interval)}, "
        f"its unit the plate{few}). That {claim}, as far as the two campaigns differ alike with "
        "and without radiation."
    )


def explain_plates(plates: PlateScores) -> str:
    """Say what the best configuration scores on plates that it was not trained on."""
    worst, best = (pick(plates.plates.items(), key=lambda one: one[1]) for pick in (min, max))
    return (
        f"Mean over {_count_plates(plates)} that it was not trained on: the particle is right in "
        f"{plates.mean:.1%} of cells ({_name_shares(plates.interval)}, its unit the plate"
        f"{_name_few(plates)}), from {worst[1]:.1%} on {worst[0]} to {best[1]:.1%} on {best[0]}."
    )


def explain_wells(votes: WellVotes) -> str:
    """Say how many wells are named right, and that wells of a plate are not independent."""
    wells, plates = count(votes.n_wells, "well"), count(votes.n_plates, "plate")
    return (
        f"Wells instead of cells: {votes.majority.n_right} of {wells} are named right by most of "
        f"their cells ({_name_vote(votes.majority)}), {votes.probability.n_right} by their mean "
        f"probability ({_name_vote(votes.probability)}); wells of one plate are alike, and these "
        f"are on {plates}."
    )


def explain_missing(controls: ControlsVerdict) -> str:
    """Name the controls that it takes to say more, of background and unirradiated cells."""
    missing = []
    if controls.background is None:
        missing.append("the background without the nucleus")
    if controls.sham is None:
        missing.append("unirradiated cells")
    return " and ".join(missing)


def _name_vote(vote: Vote) -> str:
    return _name_shares(vote.interval)


def _name_shares(interval: Interval) -> str:
    return f"{name_share(interval.level)} interval {interval.low:.1%} to {interval.high:.1%}"


def _name_ends(interval: Interval) -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{name_share(interval.level)} interval {low:.1f} to {high:.1f}"


def _name_points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:.1f} points"  # never "-0.0"


def _count_plates(scores: PlateScores) -> str:
    return count(sum(scores.n_plates.values()), "plate")


def _name_few(*scores: PlateScores) -> str:
    fewest = min(n for one in scores for n in one.n_plates.values())
    return f", rough with {fewest} of a particle" if fewest < FEW_PLATES else ""
