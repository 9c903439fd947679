"""One run from beginning to end: settings, data, training, and what is kept of it."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import numpy as safetensors

from bpsweep.agent.config import RunConfig, parse_config
from bpsweep.agent.runs.describe import (
    describe_epoch,
    describe_error,
    describe_provenance,
    describe_start,
    describe_taken_over,
    locate_predictions,
    summarize_best,
)
from bpsweep.agent.runs.pictures import Decided, draw_confusion, draw_samples
from bpsweep.agent.tracking.room import as_no_room, insist_on_room, wait_for_room
from bpsweep.agent.tracking.run import STOCK_RUN, RunSpec, TrackedRun
from bpsweep.agent.training.cores import share_cores
from bpsweep.agent.training.engine import is_exclusive
from bpsweep.agent.training.epochs import (
    EpochResult,
    Outcome,
    Question,
    TrainResult,
    never,
)
from bpsweep.agent.training.group import train_group
from bpsweep.agent.training.inputs import Inputs, default_inputs
from bpsweep.agent.training.member import Member
from bpsweep.report import metrics
from bpsweep.report.records import DIAGNOSIS, ONE_CLASS
from bpsweep.report.statistics.confusion import count_confusion
from bpsweep.report.statistics.trouble import diagnose, name_one_class, say_one_class

InputsLoader = Callable[[RunConfig], Inputs]
PREEMPTED = (
    "ended with its process, before its last epoch; the next agent that asks goes on with this run."
)


class Trial:
    """One run from beginning to end, in three steps, so that a worker can spread them.

    Args:
        spec: Which run; by default the one that a stock agent hands out.
        load: Gives the inputs of a run.
        is_leaving: Asked before every batch: whether this process is to end.
    """

    def __init__(
        self,
        spec: RunSpec = STOCK_RUN,
        load: InputsLoader = default_inputs,
        is_leaving: Question = never,
    ) -> None:
        self.tracked = TrackedRun(spec)
        self._load = load
        self._is_leaving = is_leaving
        self.config: RunConfig
        self.inputs: Inputs
        self._losses: list[float] = []  # of training, one an epoch

    def open(self) -> None:
        """Start the run at W&B and load what it trains on.

        Raises:
            ConfigError, DataError, TrackingError: The run is marked failed.
            NoRoomError: A disk takes nothing more; the run is marked interrupted.
        """
        wait_for_room(self._is_leaving)
        self.tracked.open(self._is_leaving)
        try:
            self.config = parse_config(self.tracked.values)
            self.inputs = insist_on_room(lambda: self._load(self.config), self.must_stop)
            self.provenance = describe_provenance(self.inputs)
            self.tracked.save_config(self.config.model_dump(), self.provenance)
            self.tracked.say(describe_start(self.config, self.inputs))
        except BaseException as error:
            no_room = as_no_room(error)
            self.tracked.close(no_room or error)
            if no_room is not None:
                raise no_room from error
            raise

    def train(self) -> Outcome:
        """Train by itself; return what came of it, be it an error."""
        ((_, outcome),) = train_group([self.member()])
        return outcome

    def member(self) -> Member:
        """Return the run as the training sees it."""
        return Member(
            self.config,
            self.inputs,
            self.listen,
            self.must_stop,
            run=self.tracked.id,
            say=self.tracked.say,
        )

    def must_stop(self) -> bool:
        """Tell whether the run is to end with what it has."""
        return self.tracked.must_stop() or self._is_leaving()

    def _loses_machine(self) -> bool:
        """Tell whether this process was told to leave, and its run of a sweep not to stop."""
        return self._is_leaving() and not self.tracked.must_stop() and self.tracked.is_of_sweep

    def listen(self, epoch: EpochResult) -> None:
        """Log an epoch and say it as one line, as soon as there is room for that."""
        wait_for_room(self.must_stop)
        self.tracked.log_epoch(epoch.values)
        self._losses.append(epoch.values[metrics.TRAIN_LOSS])
        line = describe_epoch(self.config, epoch.values)
        named = self._name_class(epoch)
        self.tracked.say(line if named is None else f"{line}; it {say_one_class(named)}")
        share_cores()

    def close(self, outcome: Outcome) -> None:
        """Keep what came of the training, and end the run.

        Raises:
            NoRoomError: A disk takes nothing more; the run is marked interrupted.
            Exception, KeyboardInterrupt: The outcome's, or what went wrong here.
        """
        error, result = outcome.error, outcome.result
        try:
            if result is not None:
                self.tracked.save_summary(
                    {**summarize_best(result.best), **describe_taken_over(result.taken_over)}
                )
                if result.interrupted:
                    error = KeyboardInterrupt()
            if isinstance(error, KeyboardInterrupt) and self._loses_machine():
                self.tracked.preempt()
                self.tracked.say(PREEMPTED)
            else:
                if result is not None:
                    self._diagnose(result.best)
                    self._keep(result)
                if error is not None:
                    self.tracked.say(describe_error(error))
        except (Exception, KeyboardInterrupt) as late:
            error = late
        if error is not None:
            error = as_no_room(error) or error
        self.tracked.close(error)
        if error is not None:
            raise error

    def _name_class(self, epoch: EpochResult) -> str | None:
        """Name the class that an epoch names for every validation cell, where it is one."""
        decided = metrics.decide(epoch.probabilities, is_exclusive(self.config))
        inputs = self.inputs
        return name_one_class(inputs.validation_labels, decided, inputs.label_names)

    def _diagnose(self, best: EpochResult) -> None:
        """Say, and keep in the summary, what is wrong with what was learnt, and why that may be."""
        named = self._name_class(best)
        found = diagnose(self.config.model_dump(), self._losses, named)
        if found is None:
            return
        self.tracked.save_summary({DIAGNOSIS: found.text} | ({ONE_CLASS: named} if named else {}))
        self.tracked.say(f"Its best epoch, {best.epoch}, {found.text}.")

    def _keep(self, result: TrainResult) -> None:
        """Log pictures and save the best weights, with the numbers that go with them."""
        config, inputs, best = self.config, self.inputs, result.best
        decided = metrics.decide(best.probabilities, is_exclusive(config))
        confusion = count_confusion(inputs.validation_labels, decided, inputs.label_names)
        synthetic = "synthetic, " if inputs.catalog.synthetic else ""
        title = f"validation, {synthetic}epoch {best.epoch}"
        pictures = {
            "confusion/picture": [draw_confusion(confusion, title)],
            **draw_samples(inputs, Decided(best.probabilities, decided)),
        }
        self._insist(lambda: self.tracked.log_results(confusion, pictures))
        predictions = locate_predictions(inputs, inputs.split.val, best.probabilities)
        self._insist(lambda: self.tracked.save_predictions(predictions))
        about = {
            "config": config.model_dump(),
            "provenance": self.provenance,
            "best": summarize_best(best),
            "confusion": {
                "rows": list(confusion.rows),
                "columns": list(confusion.columns),
                "counts": confusion.counts.tolist(),
            },
        }
        files = {
            # Not by `save_file`: its error does not say that the disk is full.
            "weights.safetensors": safetensors.save(result.best_weights),
            "run.json": (json.dumps(about, indent=2) + "\n").encode(),
        }
        metadata = {"synthetic": inputs.catalog.synthetic, **about["best"]}
        self._insist(lambda: self._save_model(files, metadata))

    def _save_model(self, files: Mapping[str, bytes], metadata: Mapping[str, Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="bpsweep-model-") as name:
            for file, content in files.items():
                (Path(name) / file).write_bytes(content)
            self.tracked.save_artifact(Path(name), metadata)

    def _insist(self, step: Callable[[], None]) -> None:
        """Keep a result; where a disk is full, as soon as there is room."""
        insist_on_room(step, self._is_leaving)


def run_trial(spec: RunSpec = STOCK_RUN, is_leaving: Question = never) -> None:
    """Train one configuration and keep its results at W&B.

    Args:
        spec: Which run; by default the one that a stock agent hands out.
        is_leaving: Asked before every batch: whether this process is to end.

    Raises:
        ConfigError, DataError, DivergedError, TrackingError: The run is marked failed.
        NoRoomError: A disk takes nothing more; the run is marked interrupted.
        KeyboardInterrupt: It was told to stop; what it had by then is kept.
    """
    trial = Trial(spec, is_leaving=is_leaving)
    trial.open()
    trial.close(trial.train())
