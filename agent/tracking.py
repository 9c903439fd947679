"""Everything said to W&B, cloud or embedded; the one module that imports wandb."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import wandb
from numpy.typing import NDArray

from agent.errors import TrackingError
from agent.local_server import CLOUD_URL
from report import metrics
from report.confusion import Confusion
from report.records import RunRecord, SweepRecord, swept_names

PROVENANCE = "provenance"
ERROR = "error"
"""Where a run's summary says why it failed."""
INIT_TIMEOUT_S = 60.0
FINISH_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Picture:
    """An image to log: pixels (Y, X) or (Y, X, 3) uint8, and what it shows."""

    pixels: NDArray[np.uint8]
    caption: str


class TrackedRun:
    """One run at W&B, open from `with` to its end; an exception in between marks it failed.

    Raises:
        TrackingError: The server does not answer, at the start or when the run is handed over.
    """

    def __enter__(self) -> Self:
        settings = wandb.Settings(init_timeout=INIT_TIMEOUT_S, finish_timeout_raises=True)
        if "WANDB_FINISH_TIMEOUT" not in os.environ:
            settings.finish_timeout = FINISH_TIMEOUT_S
        try:
            self._run = wandb.init(settings=settings, save_code=False)
        except wandb.errors.CommError as error:
            raise TrackingError(
                f"the W&B server {server_url()} does not answer, so the run was not started: "
                f"{error}. Is it running (`bpsweep serve`)? Is WANDB_BASE_URL right?"
            ) from error
        self._run.define_metric(metrics.EPOCH)
        self._run.define_metric("*", step_metric=metrics.EPOCH)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self._run.summary[ERROR] = f"{type(error).__name__}: {error}"
        try:
            self._run.finish(exit_code=0 if error is None else 1)
        except TimeoutError:
            raise TrackingError(
                f"the W&B server {server_url()} does not answer, so the run's end could not be "
                f"handed over. Nothing is lost: everything logged is in {self._run.dir!r}; when "
                f"the server is back, `wandb sync --no-skip-online "
                f"{Path(self._run.dir).parent}` uploads it."
            ) from error

    @property
    def values(self) -> dict[str, Any]:
        """The settings that the sweep, or nobody, chose; typed."""
        return {key: value for key, value in self._run.config.items() if key != PROVENANCE}

    @property
    def id(self) -> str:
        """The run's id, unique in its project."""
        return str(self._run.id)

    def save_config(self, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Keep the resolved settings and what the run is made from."""
        self._run.config.update({**config, PROVENANCE: dict(provenance)})
        if provenance.get("synthetic"):
            self._run.tags = (*(self._run.tags or ()), "synthetic")

    def log_epoch(self, values: Mapping[str, float]) -> None:
        """Log one epoch's metrics, without a step: one with a step waits for the next."""
        self._run.log(dict(values))

    def save_summary(self, values: Mapping[str, Any]) -> None:
        """Keep values in the run's summary, where sweeps and tables look."""
        self._run.summary.update(dict(values))

    def log_results(self, confusion: Confusion, pictures: Mapping[str, Iterable[Picture]]) -> None:
        """Log the numbers of a confusion matrix as a table, and named groups of pictures."""
        table = wandb.Table(
            columns=["true \\ predicted", *confusion.columns],
            data=[
                [name, *map(int, counts)]
                for name, counts in zip(confusion.rows, confusion.counts, strict=True)
            ],
        )
        images = {
            name: [wandb.Image(picture.pixels, caption=picture.caption) for picture in group]
            for name, group in pictures.items()
        }
        self._run.log({"confusion/table": table, **images})

    def save_artifact(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Save a folder as this run's model artifact, `model-<run id>`."""
        artifact = wandb.Artifact(f"model-{self.id}", type="model", metadata=dict(metadata))
        artifact.add_dir(str(folder))
        self._run.log_artifact(artifact)


def server_url() -> str:
    """Return the address of the W&B server in use."""
    return os.environ.get("WANDB_BASE_URL", CLOUD_URL)


def read_sweep(path: str) -> SweepRecord:
    """Read a sweep and all its runs through the public API.

    Args:
        path: "entity/project/sweep", "project/sweep", or the sweep's id alone.

    Raises:
        TrackingError: No such sweep, no key, or the server does not answer.
    """
    try:
        sweep = wandb.Api(timeout=30).sweep(path)
        runs = tuple(_read_run(run) for run in sweep.runs)
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise TrackingError(
            f"sweep {path!r} cannot be read from {server_url()}: {error} "
            "Give it as entity/project/id, as `wandb sweep` printed it."
        ) from error
    return SweepRecord(
        path="/".join(sweep.path),
        name=str(sweep.name),
        state=str(sweep.state),
        config=sweep.config,
        runs=runs,
        url=str(sweep.url),
    )


def _read_run(run: Any) -> RunRecord:
    rows = run.history(samples=10_000, pandas=False)
    history = sorted((row for row in rows if metrics.EPOCH in row), key=lambda r: r[metrics.EPOCH])
    return RunRecord(
        id=str(run.id),
        name=str(run.name),
        state=str(run.state),
        config=dict(run.config),
        history=tuple(history),
        error=run.summary.get(ERROR),
    )


@dataclass(frozen=True)
class RunProgress:
    """How far a run is: its state, its swept values, and the latest value of each metric."""

    name: str
    state: str
    swept: Mapping[str, Any]
    latest: Mapping[str, Any]


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is: its state as W&B spells it (RUNNING, FINISHED, ...), and its runs."""

    state: str
    runs: tuple[RunProgress, ...]

    @property
    def running(self) -> tuple[RunProgress, ...]:
        """The runs at work."""
        return tuple(run for run in self.runs if run.state == "running")

    @property
    def finished(self) -> tuple[RunProgress, ...]:
        """The runs that did all their epochs."""
        return tuple(run for run in self.runs if run.state == "finished")

    @property
    def interrupted(self) -> tuple[RunProgress, ...]:
        """The runs that ended without finishing."""
        return tuple(run for run in self.runs if run.state in ("crashed", "failed", "killed"))


def watch_sweep(path: str) -> SweepProgress:
    """Look at a sweep without reading its runs' histories.

    Raises:
        TrackingError: No such sweep, or the server does not answer.
    """
    try:
        sweep = wandb.Api(timeout=10).sweep(path)
        runs = list(sweep.runs)
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise TrackingError(
            f"sweep {path!r} cannot be read from {server_url()}: {error}"
        ) from error
    swept = swept_names(sweep.config)
    return SweepProgress(
        state=str(sweep.state),
        runs=tuple(
            RunProgress(
                name=str(run.name),
                state=str(run.state),
                swept={name: run.config.get(name) for name in swept},
                latest=dict(run.summary),
            )
            for run in runs
        ),
    )
