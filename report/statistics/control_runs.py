"""Which runs beside a sweep are the winner's controls, and what each is called."""

from collections.abc import Collection, Sequence
from typing import Final

from bpsweep.report.records import CONTROL, SPLIT, RunRecord
from bpsweep.report.statistics.folds import is_part
from bpsweep.report.statistics.verdict import Row

BACKGROUND: Final = "background"
NUCLEUS: Final = "nucleus"
SHUFFLED: Final = "shuffled-labels"
HISTOGRAM: Final = "histogram"
BRIGHTNESS: Final = "brightness"
SHAM: Final = "sham"

WORDS: Final = {
    BACKGROUND: "background only",
    NUCLEUS: "nucleus only",
    SHUFFLED: "shuffled labels",
    HISTOGRAM: "intensity histogram",
    BRIGHTNESS: "brightness alone",
    SHAM: "unirradiated cells",
}
"""What each control is, for people."""
BLIND: Final = (BACKGROUND, BRIGHTNESS)
"""Controls that cannot see foci: what they score is the plate's. A histogram is not among them,
for foci are bright pixels."""
_OWN: Final = {
    HISTOGRAM: ("epochs", "augment"),
    BRIGHTNESS: ("epochs", "augment"),
    SHAM: ("subset", "task", "split"),
    SHUFFLED: ("seed",),
}
"""Settings that a control does not take from the configuration that it controls: models of its own
learn all there is in one epoch, unirradiated cells are a subset of their own."""

_ENDED_BADLY: Final = ("failed", "crashed")


def is_usable(run: RunRecord) -> bool:
    return run.kind == CONTROL and run.state == "finished" and run.predictions is not None


def list_shuffles(beside: Sequence[RunRecord], winner: Row) -> list[RunRecord]:
    """List the trainings on shuffled labels, the latest of each shuffle."""
    of_winner = [run for run in beside if run.control == SHUFFLED and is_of(run, winner)]
    return list(
        {(run.config.get("seed"), run.config.get(SPLIT)): run for run in of_winner}.values()
    )


def is_whole(run: RunRecord, winner: Row) -> bool:
    """Tell whether a control says of all folds what the winner does; one shuffle is of one fold.

    Sham plates are held out in folds of their own: one of these alone has a plate of a particle.
    """
    if run.control == SHUFFLED:
        return True
    by_plate = str(run.config.get(SPLIT)).startswith("plate-fold")
    return not is_part(run) or not (winner.run.folds or (run.control == SHAM and by_plate))


def is_of(run: RunRecord, winner: Row) -> bool:
    """Tell whether a control has the winner's swept settings, but for those that are its own."""
    own = _OWN.get(str(run.control), ())
    return all(
        run.config.get(name) == winner.swept[name] for name in winner.swept if name not in own
    )


def list_failed(
    beside: Sequence[RunRecord], winner: Row, done: Collection[str | None]
) -> tuple[RunRecord, ...]:
    """List the winner's controls that failed with a reason, where no other try of them is done."""
    tried = {
        run.control: run
        for run in beside
        if run.kind == CONTROL and run.state in _ENDED_BADLY and run.error and is_of(run, winner)
    }
    return tuple(run for name, run in tried.items() if name not in done)
