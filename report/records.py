"""Finished runs as plain records, wherever they were read from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from bpsweep.report import metrics
from bpsweep.report.predictions import Predictions

TRAIN, CONTROL, REPLICATE, TEST, DOSE = "train", "control", "replicate", "test", "dose"
"""What a run is for, as its job type at W&B says; controls, replicates, the evaluation on the test
part and the application to other doses stand beside a sweep in the group named after it."""
EVALUATED = "evaluated_run"
"""Where a run's provenance says which run it evaluates, without training anything."""
SPLIT = "split"
"""The setting that says how validation cells are held out."""
TAKEN_EPOCHS, TAKEN_RUNS = "taken_over/epochs", "taken_over/runs"
"""Where a run's summary says how many of its epochs other runs have trained, and which runs."""
ONE_CLASS, DIAGNOSIS = "one_class", "diagnosis"
"""Where a run's summary says which class its best epoch names for every cell, and what is wrong
with it and why, in words."""
NO_CONTROL = "none"
"""The value of the setting `control` of every run that is not one."""


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Args:
        id: The run's id.
        name: Its display name.
        state: running, finished, failed, crashed, killed or preempted.
        config: Every setting by name, and `provenance`.
        history: One mapping an epoch: metric name to value.
        error: Why it failed, where it says.
        kind: What the run is for: TRAIN (one of the sweep's own) or one of the others.
        predictions: What its best epoch says of every validation cell (for TEST of every test cell,
            for DOSE of those of plates not trained on); None where it was not read or not kept.
        folds: Where it stands for the runs of one configuration on all folds of the data, these.
        one_class: The class that its best epoch names for every cell, where its summary says so.
    """

    id: str
    name: str
    state: str
    config: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    error: str | None = None
    kind: str = TRAIN
    predictions: Predictions | None = None
    folds: tuple["RunRecord", ...] = ()
    one_class: str | None = None

    @property
    def members(self) -> tuple["RunRecord", ...]:
        """The runs that trained: its folds, or itself."""
        return self.folds or (self,)

    @property
    def control(self) -> str | None:
        """Which control it is, "background" say; None for a run on whole images and true labels."""
        found = self.config.get("control", NO_CONTROL)
        return None if found == NO_CONTROL else str(found)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the run was made from: checksums, counts, versions; empty before it wrote them."""
        found = self.config.get("provenance")
        return found if isinstance(found, Mapping) else {}

    @property
    def epochs(self) -> tuple[Mapping[str, Any], ...]:
        """The epochs that have a validation accuracy, a number, in order."""
        return tuple(row for row in self.history if is_number(row.get(metrics.VAL_ACCURACY)))


@dataclass(frozen=True)
class SweepRecord:
    """One sweep and its runs.

    Args:
        path: "entity/project/sweep id".
        name: Its display name.
        state: PENDING, RUNNING, PAUSED, FINISHED, STOPPED or CANCELED, as W&B spells them.
        config: The sweep's YAML as a mapping.
        runs: Its runs, oldest first.
        url: Where it can be looked at.
        beside: Controls, replicates and test evaluations that were run for it, oldest first.
        fold_family: What its split is called where its runs were joined over all folds.
    """

    path: str
    name: str
    state: str
    config: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    url: str
    beside: tuple[RunRecord, ...] = ()
    fold_family: str | None = None

    @property
    def swept(self) -> tuple[str, ...]:
        """Names of the parameters that take more than one value, without folds that were joined."""
        names = swept_names(self.config)
        return names if self.fold_family is None else tuple(n for n in names if n != SPLIT)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a logged value is a finite number: NaN is none, nor is W&B's text for it."""
    return isinstance(value, int | float) and math.isfinite(value)


def swept_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of a sweep's YAML that take more than one value, in its order."""
    parameters: Mapping[str, Any] = config.get("parameters", {})
    return tuple(name for name, spec in parameters.items() if _varies(spec))


def _varies(spec: Any) -> bool:
    if not isinstance(spec, Mapping) or "value" in spec:
        return False
    values = spec.get("values")
    return values is None or len(values) > 1
