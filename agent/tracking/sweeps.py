"""Sweeps and their runs, read back through W&B's public API."""

import contextlib
import io
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import wandb

from bpsweep.agent.errors import ClientServiceError, TrackingError
from bpsweep.agent.tracking.address import server_url
from bpsweep.agent.tracking.api import open_api, without_noise
from bpsweep.agent.tracking.run import ERROR
from bpsweep.agent.tracking.trouble import (
    TROUBLE,
    ask_service,
    insist,
    renew_service,
    service_needed,
)
from bpsweep.report import metrics
from bpsweep.report.predictions import FILE_NAME, Predictions, read_predictions
from bpsweep.report.records import (
    CONTROL,
    DOSE,
    ONE_CLASS,
    REPLICATE,
    TEST,
    TRAIN,
    RunRecord,
    SweepRecord,
    swept_names,
)

BESIDE = (CONTROL, REPLICATE, TEST, DOSE)
"""The kinds of runs that stand beside a sweep."""
N_READERS = 8
"""Runs read at once: each costs a few answers of the server, and they wait, they do not work."""


def read_sweep(path: str) -> SweepRecord:
    """Read a sweep and all its runs through the public API.

    Args:
        path: "entity/project/sweep", "project/sweep", or the sweep's id alone.

    Raises:
        TrackingError: No such sweep, no key, or the server does not answer.
    """
    try:
        return ask_service(lambda: _read_sweep(path))
    except (*TROUBLE, ValueError) as error:
        raise TrackingError(
            f"sweep {path!r} cannot be read from {server_url()}: {error} "
            "Give it as entity/project/id, as `wandb sweep` printed it."
        ) from error


def _read_sweep(path: str) -> SweepRecord:
    api = open_api(30)
    sweep = api.sweep(path)
    runs = _read_runs(sweep.runs)
    project = "/".join(sweep.path[:2])
    beside = _read_runs(
        api.runs(project, filters={"group": sweep.id, "jobType": {"$in": list(BESIDE)}})
    )
    return SweepRecord(
        path="/".join(sweep.path),
        name=str(sweep.name),
        state=str(sweep.state),
        config=sweep.config,
        runs=runs,
        url=str(sweep.url),
        beside=beside,
    )


def _read_runs(runs: Iterable[Any]) -> tuple[RunRecord, ...]:
    with ThreadPoolExecutor(N_READERS) as pool:
        return tuple(pool.map(_read_run, runs))


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
        kind=str(run.job_type or TRAIN),
        predictions=_fetch_predictions(run),
        one_class=run.summary.get(ONE_CLASS),
    )


def _fetch_predictions(run: Any) -> Predictions | None:
    """Fetch what a run says of every cell; None where it has not kept that."""
    file = next(iter(run.files(names=[FILE_NAME])), None)
    if file is None or not file.size:
        return None
    with (
        tempfile.TemporaryDirectory(prefix="bpsweep-predictions-") as folder,
        file.download(root=folder) as opened,
    ):
        return read_predictions(opened.read())


def create_sweep(config: Mapping[str, Any]) -> str:
    """Create a sweep as `wandb sweep` does; return "entity/project/id".

    Args:
        config: What the sweep's YAML says.

    Raises:
        TrackingError: wandb refused; its own words are in the message.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), without_noise(), service_needed():
            sweep_id = wandb.sweep(dict(config))
            return "/".join(open_api(30).sweep(sweep_id).path)
    except ClientServiceError:
        renew_service()  # else the client says so again, at length, as this process ends
        raise
    except (*TROUBLE, ValueError) as error:
        raise TrackingError(
            f"{server_url()} does not take the sweep: {said.getvalue()}{error}"
        ) from error


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
        return ask_service(lambda: _watch_sweep(path))
    except (*TROUBLE, ValueError) as error:
        raise TrackingError(
            f"sweep {path!r} cannot be read from {server_url()}: {error}"
        ) from error


def find_sweep(path: str) -> SweepProgress | None:
    """Return how far a sweep is; None where a server that answers has no such sweep.

    A server that dies at this moment is asked again: its sweep is not gone.
    """
    try:
        return insist(lambda: ask_service(lambda: _watch_sweep(path)))
    except (TrackingError, ValueError):
        return None


def _watch_sweep(path: str) -> SweepProgress:
    sweep = open_api(10).sweep(path)
    runs = list(sweep.runs)
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
