"""Finished runs as plain records, wherever they were read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from report import metrics


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
    """

    id: str
    name: str
    state: str
    config: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    error: str | None = None

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the run was made from: checksums, counts, versions; empty before it wrote them."""
        found = self.config.get("provenance")
        return found if isinstance(found, Mapping) else {}

    @property
    def epochs(self) -> tuple[Mapping[str, Any], ...]:
        """The epochs that have a validation accuracy, in order."""
        return tuple(
            row for row in self.history if isinstance(row.get(metrics.VAL_ACCURACY), int | float)
        )


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
    """

    path: str
    name: str
    state: str
    config: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    url: str

    @property
    def swept(self) -> tuple[str, ...]:
        """Names of the parameters that take more than one value."""
        return swept_names(self.config)


def swept_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of a sweep's YAML that take more than one value, in its order."""
    parameters: Mapping[str, Any] = config.get("parameters", {})
    return tuple(name for name, spec in parameters.items() if _varies(spec))


def _varies(spec: Any) -> bool:
    if not isinstance(spec, Mapping) or "value" in spec:
        return False
    values = spec.get("values")
    return values is None or len(values) > 1
