"""The winner on plates of other doses: never on one that it was trained on."""

from pathlib import Path

import numpy as np
import pytest
from test_agent_controls import load, make_run

from bpsweep.agent.errors import ConfigError
from bpsweep.agent.verdict.dose import find_inputs


def test_plates_that_were_trained_on_do_not_count(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path, subset="hi-4h", split="well")
    found, n_plates = find_inputs(make_run(config, inputs), small_set)
    table = found.catalog.table.iloc[found.split.val]
    assert n_plates == 4 and set(table["plate"]) == {"P243", "P244", "P278", "P279"}
    batches = list(found.validation.epoch(0))
    assert sum(len(batch.rows) for batch in batches) == len(table)
    assert np.array_equal(np.concatenate([batch.rows for batch in batches]), found.split.val)


def test_what_cannot_be_applied_to_other_plates_is_refused(small_set: Path, tmp_path: Path) -> None:
    config, inputs = load(small_set, tmp_path, normalize="plate")
    with pytest.raises(ConfigError, match="normalises by its plates' training images"):
        find_inputs(make_run(config, inputs), small_set)
    config, inputs = load(small_set, tmp_path, subset="all-4h", split="image")
    with pytest.raises(ConfigError, match="was trained on every plate"):
        find_inputs(make_run(config, inputs), small_set)
