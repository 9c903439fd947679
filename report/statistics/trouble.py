"""Runs whose accuracy is no skill: one class named for every cell, a loss that stays or explodes.

What is said is what was seen; the likely cause is a guess by the settings, and called one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from bpsweep.report import metrics
from bpsweep.report.metrics import Labels
from bpsweep.report.records import RunRecord
from bpsweep.report.statistics.confusion import name_vector
from bpsweep.report.statistics.estimates import find_predictions
from bpsweep.report.statistics.scores import decide_cells

Kind = Literal["one class", "loss is no number", "loss too high", "loss stays"]

_IGNORANT: Final = math.log(2)
"""Loss in nats of saying one half of either class, or of every label."""
_EXPLODED: Final = 3.0  # times that loss; knowing less than nothing
_MIN_EPOCHS: Final = 3  # fewer losses say nothing of their course
_STILL: Final = 0.005  # least share of the loss that learning changes within the run
_HIGH_RATE, _LOW_RATE = 0.01, 1e-5  # for Adam, whose usual rate is 0.001
_HIGH_DECAY: Final = 0.1
_LEARNT: Final = 0.9  # of the ignorant loss; below it the training cells are told apart


@dataclass(frozen=True)
class Trouble:
    """Why a run's accuracy is not what its network can do.

    Args:
        kind: What it is, in the two or three words of a table.
        said: What was seen, after the run's name: "names Fe for every cell".
        cause: What is likely behind it, and what to change.
        is_one_class: Whether one class is named for all, so that the accuracy is that class's
            share of the cells.
    """

    kind: Kind
    said: str
    cause: str
    is_one_class: bool

    @property
    def text(self) -> str:
        """Both in one: "names Fe for every cell; learning_rate 9 is likely too high"."""
        return f"{self.said}; {self.cause}"


def find_trouble(run: RunRecord) -> Trouble | None:
    """Find what is wrong with a run, by what it says of the cells and by its loss.

    A run that kept no predictions is taken at its own word, see `RunRecord.one_class`. One joined
    from folds is as its folds are.
    """
    if run.folds:
        return _join_troubles([find_trouble(one) for one in run.folds])
    named = run.one_class
    predictions = find_predictions(run)
    if predictions is not None:
        decided = decide_cells(predictions)
        named = name_one_class(predictions.truth, decided, predictions.label_names)
    losses = [_read_number(row.get(metrics.TRAIN_LOSS)) for row in run.epochs]
    return diagnose(run.config, [one for one in losses if one is not None], named)


def _join_troubles(found: Sequence[Trouble | None]) -> Trouble | None:
    """Say of how many folds the first trouble is one; it is the whole run's where all have it."""
    bad = [one for one in found if one is not None]
    if not bad:
        return None
    first = bad[0]
    said = f"in {len(bad)} of {len(found)} folds {first.said}"
    is_one_class = all(one is not None and one.is_one_class for one in found)
    return replace(first, said=said, is_one_class=is_one_class)


def name_one_class(truth: Labels, decided: Labels, label_names: tuple[str, ...]) -> str | None:
    """Name the label vector that is decided for all of N cells, where these are not all alike.

    Args:
        truth: (N, L) label vectors.
        decided: (N, L) those that a network decides for.
        label_names: The L labels.

    Returns:
        As "Fe", or "none" for no label at all; None where different cells get different ones.
    """
    if not len(decided) or (decided != decided[0]).any() or not (truth != truth[0]).any():
        return None
    return name_vector(decided[0], label_names)


def diagnose(
    config: Mapping[str, Any], losses: Sequence[float], named: str | None
) -> Trouble | None:
    """Say what is wrong with a run, and why that is likely.

    Args:
        config: Its settings.
        losses: Of training, one an epoch in order; NaN and infinities among them where there were.
        named: The class that is named for every cell; None where there are several.
    """
    found: list[tuple[Kind, str]] = []
    if named is not None:
        found.append(("one class", say_one_class(named)))
    found += _judge_losses(losses)
    if not found:
        return None
    said = " and ".join(said for _, said in found)
    return Trouble(found[0][0], said, _find_cause(config, losses), named is not None)


def say_one_class(named: str) -> str:
    """Say what a network does that names one class for all: "names Fe for every cell"."""
    return "names no label for any cell" if named == "none" else f"names {named} for every cell"


def _judge_losses(losses: Sequence[float]) -> list[tuple[Kind, str]]:
    if not all(map(math.isfinite, losses)):
        epoch = next(i for i, loss in enumerate(losses, start=1) if not math.isfinite(loss))
        said = f"has a training loss that is no number from epoch {epoch} on"
        return [("loss is no number", said)]
    if losses and min(losses) > _EXPLODED * _IGNORANT:
        return [
            (
                "loss too high",
                f"has a training loss of {min(losses):.3g} at best, where saying one half of "
                f"everything costs {_IGNORANT:.2f}",
            )
        ]
    if len(losses) >= _MIN_EPOCHS and max(losses) - min(losses) < _STILL * max(losses):
        said = f"has a training loss that stays at {losses[-1]:.3g} over {len(losses)} epochs"
        return [("loss stays", said)]
    return []


def _find_cause(config: Mapping[str, Any], losses: Sequence[float]) -> str:
    """Name the setting that is likely behind it, and what to do."""
    rate, decay = (_read_number(config.get(name)) for name in ("learning_rate", "weight_decay"))
    if rate is None:
        return "likely its learning rate is too high, or too low"
    has_exploded = any(not loss <= _EXPLODED * _IGNORANT for loss in losses)
    is_decayed = decay is not None and decay >= _HIGH_DECAY
    if rate >= _HIGH_RATE or (has_exploded and not is_decayed):
        return f"learning_rate {rate:g} is likely too high: try a tenth of it, or less"
    if is_decayed:
        return f"weight_decay {decay:g} is likely too high: it keeps all weights near zero"
    if rate <= _LOW_RATE:
        return f"learning_rate {rate:g} is likely too low: try ten times as much, or more"
    if losses and min(losses) < _LEARNT * _IGNORANT:
        return (
            "it tells the training cells apart, so likely it learnt these by heart: try fewer "
            "epochs, augment, or more weight_decay"
        )
    return (
        "likely it has not begun to learn: try more epochs or another learning_rate; where no "
        "configuration learns, the images may not show these labels"
    )


def _read_number(value: Any) -> float | None:
    """Read a logged number; NaN and infinities may come as W&B's texts for them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
