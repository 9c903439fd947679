"""One run at W&B: opened, logged to, ended."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import wandb
from numpy.typing import NDArray

from bpsweep.agent.errors import ClientServiceError, NoRoomError, TrackingError
from bpsweep.agent.tracking.address import is_loopback, server_url
from bpsweep.agent.tracking.origin import known_settings, list_packages, remember
from bpsweep.agent.tracking.room import as_no_room
from bpsweep.agent.tracking.trouble import insist, service_needed
from bpsweep.report import metrics
from bpsweep.report.predictions import FILE_NAME, Predictions, write_predictions
from bpsweep.report.records import TRAIN
from bpsweep.report.statistics.confusion import Confusion

PROVENANCE = "provenance"
REQUIREMENTS = "requirements.txt"
ERROR = "error"
"""Where a run's summary says why it failed."""
INIT_TIMEOUT_S = 60.0
FINISH_TIMEOUT_S = 600.0
MANY, LONGEST_PAUSE_S = 10_000, 5.0
"""How often the client asks again, and after how many seconds at most."""
RESUME: Final = "allow"
"""A sweep hands a preempted run out again, under its own id: it goes on, history and all."""
EXIT_FAILED, EXIT_INTERRUPTED = 1, 255
"""How the client ends a run whose program failed, and one whose program was told to stop."""


@dataclass(frozen=True)
class RunSpec:
    """Which run to open; what is None is left to the environment, as a stock agent sets it.

    Args:
        values: The settings chosen for it, by name.
        run_id: Its id, where one was handed out.
        sweep_id: The sweep it belongs to.
        group: The group it stands in; controls and replicates take the id of their sweep.
        kind: What it is for, see report.records; its job type at W&B.
        name: Its display name.
        entity, project: Where it belongs.
    """

    values: Mapping[str, Any] | None = None
    run_id: str | None = None
    sweep_id: str | None = None
    group: str | None = None
    kind: str = TRAIN
    name: str | None = None
    entity: str | None = None
    project: str | None = None


@dataclass(frozen=True)
class Picture:
    """An image to log: pixels (Y, X) or (Y, X, 3) uint8, and what it shows."""

    pixels: NDArray[np.uint8]
    caption: str


STOCK_RUN = RunSpec()
"""The run that a stock `wandb agent` has prepared in the environment."""


class TrackedRun:
    """One run at W&B, open from `with` to its end; an exception in between marks it failed.

    Several can be open in one process: none is `wandb.run`, and none takes what others print.

    Args:
        spec: Which run.

    Raises:
        TrackingError: The server does not answer, at the start or when the run is handed over.
    """

    def __init__(self, spec: RunSpec = STOCK_RUN) -> None:
        self._spec = spec
        self._stop = threading.Event()
        self._is_leaving: Callable[[], bool] = bool
        self._n_logged = 0  # epochs, before this process

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    def open(self, is_leaving: Callable[[], bool] = bool) -> None:
        """Start the run at W&B; while the server does not answer, wait for it.

        Args:
            is_leaving: Asked while we wait; once true, we wait no longer.

        Raises:
            ClientServiceError: The client's service has died.
            NoRoomError: A disk of ours takes nothing more.
            TrackingError: The server answers, and does not take the run; or we are to leave.
        """
        self._is_leaving = is_leaving
        try:
            self._run = insist(self._init, lambda: is_leaving() or self.must_stop())
        except ClientServiceError:
            raise  # not the server's doing: whoever opens runs starts the service anew
        except TrackingError as error:
            raise TrackingError(
                f"the run was not started: {error}. Is the server running (`bpsweep serve`)? Is "
                "WANDB_BASE_URL right?"
            ) from error
        remember(self._run.settings)
        self._n_logged = self._count_logged()
        try:
            with service_needed():
                self._save_text(REQUIREMENTS, list_packages())
                self._run.define_metric(metrics.EPOCH)
                self._run.define_metric("*", step_metric=metrics.EPOCH)
        except OSError as error:
            refusal = as_no_room(error) or error
            self.close(refusal)
            raise refusal from error

    def _init(self) -> wandb.Run:
        spec, stop = self._spec, self._stop
        settings = wandb.Settings(
            init_timeout=INIT_TIMEOUT_S,
            finish_timeout_raises=True,
            reinit="create_new",
            console="off",
            stop_fn=lambda: stop.set(),  # noqa: PLW0108  # settings are copied, a lambda is not
            **known_settings(),
        )
        if spec.sweep_id is not None:
            settings.sweep_id = spec.sweep_id
            settings.quiet = True
        if "WANDB_FINISH_TIMEOUT" not in os.environ:
            settings.finish_timeout = FINISH_TIMEOUT_S
        if is_loopback(server_url()):
            # Our own server, its disk full, asks to be asked again: often, and as long as it takes.
            settings.x_graphql_retry_max = settings.x_file_transfer_retry_max = MANY
            settings.x_graphql_retry_wait_max_seconds = LONGEST_PAUSE_S
            settings.x_file_transfer_retry_wait_max_seconds = LONGEST_PAUSE_S
            settings.x_file_stream_retry_wait_max_seconds = LONGEST_PAUSE_S
        return wandb.init(
            settings=settings,
            save_code=False,
            id=spec.run_id,
            resume=RESUME if spec.sweep_id or os.environ.get("WANDB_SWEEP_ID") else None,
            config=None if spec.values is None else dict(spec.values),
            group=spec.group,
            job_type=spec.kind,
            name=spec.name,
            entity=spec.entity,
            project=spec.project,
        )

    def close(self, error: BaseException | None = None) -> None:
        """End the run: finished, killed where it was told to stop, failed with any other error.

        A run for which there was no room is no failure: it ends as one that was told to stop.

        Raises:
            TrackingError: Its end cannot be handed over.
        """
        if isinstance(error, ClientServiceError):
            return  # nobody is left to tell; the server notes the silence
        interrupted = isinstance(error, KeyboardInterrupt | NoRoomError)
        code = 0 if error is None else EXIT_INTERRUPTED if interrupted else EXIT_FAILED
        try:
            with service_needed():
                if isinstance(error, Exception) and not interrupted:
                    self._run.summary[ERROR] = f"{type(error).__name__}: {error}"
                self._run.finish(exit_code=code)
        except TimeoutError:
            raise TrackingError(
                f"the W&B server {server_url()} does not answer, so the run's end could not be "
                f"handed over. Nothing is lost: everything logged is in {self._run.dir!r}; when "
                f"the server is back, `wandb sync --no-skip-online "
                f"{Path(self._run.dir).parent}` uploads it."
            ) from error

    @property
    def is_of_sweep(self) -> bool:
        """Whether a sweep's agents would go on with it."""
        return bool(self._run.sweep_id)

    def preempt(self) -> None:
        """Note that the run loses its machine: another agent is to go on with it, under its id."""
        with service_needed():
            self._run.mark_preempting()

    def stop(self) -> None:
        """Have the run told to stop; it ends with what it has."""
        self._stop.set()

    def must_stop(self) -> bool:
        """Tell whether the run was told to stop, by its user, its sweep, or hyperband."""
        return self._stop.is_set()

    def say(self, text: str) -> None:
        """Print a line, and keep it in the run's log."""
        print(text, flush=True)
        with service_needed():
            self._run.write_logs(text)

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
        resolved = {**config, PROVENANCE: dict(provenance)}
        with service_needed():
            self._run.config.update(resolved, allow_val_change=True)
            if provenance.get("synthetic"):
                self._run.tags = (*(self._run.tags or ()), "synthetic")

    def _count_logged(self) -> int:
        """Return how many epochs a run that another process began has logged."""
        last = self._run.summary.get(metrics.EPOCH) if self._run.resumed else None
        return int(last) if isinstance(last, int | float) else 0

    def log_epoch(self, values: Mapping[str, float]) -> None:
        """Log one epoch's metrics, without a step: one with a step waits for the next.

        What the run has logged before it lost its machine is there, and is not logged again.
        """
        if values[metrics.EPOCH] <= self._n_logged:
            return
        with service_needed():
            self._run.log(dict(values))

    def save_summary(self, values: Mapping[str, Any]) -> None:
        """Keep values in the run's summary, where sweeps and tables look."""
        with service_needed():
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
        insist(lambda: self._run.log({"confusion/table": table, **images}), self._is_leaving)

    def save_predictions(self, predictions: Predictions) -> None:
        """Keep what the best epoch says of every cell as a file of the run."""
        with service_needed():
            self._save_text(FILE_NAME, write_predictions(predictions))

    def _save_text(self, name: str, text: str) -> None:
        path = Path(self._run.dir) / name
        path.write_text(text, encoding="utf-8")
        self._run.save(path, base_path=self._run.dir, policy="now")

    def save_artifact(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Save a folder as this run's model artifact, `model-<run id>`."""
        artifact = wandb.Artifact(f"model-{self.id}", type="model", metadata=dict(metadata))
        artifact.add_dir(str(folder))
        insist(lambda: self._run.log_artifact(artifact), self._is_leaving)
