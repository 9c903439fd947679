"""The winner on the part of the data that nothing has looked at, once."""

from pathlib import Path

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.runs.describe import describe_provenance, locate_predictions
from bpsweep.agent.tracking.run import TrackedRun
from bpsweep.agent.training.engine import is_exclusive
from bpsweep.agent.training.inputs import Inputs, load_inputs
from bpsweep.agent.training.protocol import Weights
from bpsweep.agent.training.restore import restore_model
from bpsweep.agent.verdict.controls import check_data, make_spec, read_settings
from bpsweep.data.loader import Loader, LoaderSettings
from bpsweep.report import metrics
from bpsweep.report.predictions import Predictions
from bpsweep.report.records import EVALUATED, TEST, RunRecord, SweepRecord


def check_unused(sweep: SweepRecord, winner: RunRecord, *, again: bool) -> RunConfig:
    """Make sure that the winner has a test part, and that nobody has looked at it.

    Returns:
        The winner's settings.

    Raises:
        ConfigError: There is none, or it was used before and `again` is not set.
    """
    if winner.folds:
        raise ConfigError(
            f"the winner, {winner.name!r}, was trained once a fold, each of which validated once: "
            "no part was left untouched. Take one split with `test_part: {value: true}`."
        )
    settings = read_settings(winner)
    if not settings.test_part:
        raise ConfigError(
            f"run {winner.name!r} kept no test part aside: every cell is in training or "
            "validation. Set `test_part: {value: true}` in the sweep's YAML and run it anew."
        )
    used = [run for run in sweep.beside if run.kind == TEST and run.predictions is not None]
    if used and not again:
        of = str(used[0].provenance.get(EVALUATED))
        raise ConfigError(
            f"the test part was used before, by {len(used)} run{'s' * (len(used) != 1)} (first "
            f"{used[0].name!r}, for run {of}), and is untouched no longer. `bpsweep report "
            f"{sweep.path}` shows what came of it. --again evaluates once more all the same; the "
            "report keeps to the first."
        )
    return settings


def evaluate_winner(
    sweep: SweepRecord, winner: RunRecord, settings: RunConfig, weights: Weights, data_dir: Path
) -> Predictions:
    """Predict the test part from the weights that the winner kept, and store it as a run.

    Raises:
        ConfigError, DataError: The data are not those of the winner, or not usable.
        TrackingError: The run cannot be stored.
    """
    check_data(winner, settings, data_dir)
    inputs = load_inputs(settings, data_dir, home.cache_root())
    found, wanted = inputs.split.checksum, winner.provenance.get("split_checksum")
    if found != wanted:
        raise ConfigError(
            f"the split has checksum {found[:12]}, the winner's has {str(wanted)[:12]}: cells of "
            "the test part may have been trained on. Use the data and version of the sweep."
        )
    name = f"{winner.name} test part"
    with TrackedRun(make_spec(sweep, settings.model_dump(), TEST, name)) as run:
        provenance = {**describe_provenance(inputs), EVALUATED: winner.id}
        run.save_config(settings.model_dump(), provenance)
        predictions = predict_test(settings, inputs, weights)
        decided = metrics.decide(predictions.probabilities, is_exclusive(settings))
        run.save_summary(
            {
                "test/accuracy": metrics.accuracy(predictions.truth, decided),
                "test/jaccard": metrics.jaccard(predictions.truth, decided),
                "test/hamming": metrics.hamming(predictions.truth, decided),
            }
        )
        run.save_predictions(predictions)
    return predictions


def predict_test(settings: RunConfig, inputs: Inputs, weights: Weights) -> Predictions:
    """Predict the cells of the test part."""
    rows = inputs.split.test
    loader = Loader(
        inputs.cache,
        inputs.labels,
        rows,
        LoaderSettings(batch_size=256, normalize=settings.normalize, seed=settings.seed),
        shuffle=False,
        train_rows=inputs.split.train,
    )
    model = restore_model(settings, inputs.n_labels, weights)
    return locate_predictions(inputs, rows, model.predict(loader.epoch(0)))
