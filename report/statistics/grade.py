"""How much a verdict has shown: five grades, each of which needs the evidence of the one below."""

from typing import Final, Literal, get_args

from bpsweep.report.statistics.controls import ControlsVerdict
from bpsweep.report.statistics.verdict import Verdict

Grade = Literal[
    "not reached",
    "reached, plate not excluded",
    "reached, controls beaten",
    "reached on held-out plates",
    "reached on held-out plates and rises with dose",
]
GRADES: Final[tuple[Grade, ...]] = get_args(Grade)
NOT_REACHED, PLATE, CONTROLS, HELD_OUT, RISES = GRADES


def find_grade(verdict: Verdict, controls: ControlsVerdict, *, rises: bool = False) -> Grade:
    """Grade the best configuration.

    Args:
        verdict: With the best configuration and its interval, which must meet the target whole.
        controls: What the controls say of it: the background and the sham control must both have
            been run and be beaten; or plates must have been held out, and irradiated ones told
            apart beyond sham ones.
        rises: Whether its score was shown to rise with dose within each particle.
    """
    if verdict.best.status != "reached":
        return NOT_REACHED
    if controls.reason != "right":
        return PLATE
    interval = verdict.best.interval
    by_plate = interval is not None and interval.method == "plates"
    if not by_plate or controls.excess is None or not controls.excess.is_above:
        return CONTROLS
    return RISES if rises else HELD_OUT
