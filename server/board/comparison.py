"""Runs side by side: settings that differ, what each takes for what, the same cells in each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bpsweep.report.metrics import Labels, decide
from bpsweep.report.predictions import FILE_NAME, Predictions, read_predictions
from bpsweep.report.statistics.confusion import Confusion, count_confusion, name_vector
from bpsweep.server.board.media import find_cells, list_media
from bpsweep.server.context import Context
from bpsweep.server.store import Connection, Row, files

_MAX_BYTES = 20_000_000
MAX_CELLS = 24


def list_differences(
    configs: Sequence[Mapping[str, Any]],
) -> tuple[list[tuple[str, list[Any]]], list[tuple[str, Any]]]:
    """Return the settings that differ, with each run's value (None: not set), and the shared."""
    names = dict.fromkeys(name for config in configs for name in config)
    different, shared = [], []
    for name in names:
        values = [config.get(name) for config in configs]
        if len({json.dumps(value, sort_keys=True) for value in values}) > 1:
            different.append((name, values))
        else:
            shared.append((name, values[0]))
    return different, shared


def read_run_predictions(db: Connection, context: Context, run: Row) -> Predictions | None:
    """Return what a run says of every validation cell, or None where it has kept nothing."""
    file = files.find_file(db, run["id"], FILE_NAME)
    if file is None:
        return None
    return read_file(context.uploads.locate_run_file(run["id"], file["id"]))


def read_file(path: Path) -> Predictions | None:
    """Read predictions; None where there is no such file, or it is another kind or too large."""
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    try:
        return read_predictions(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError):
        return None


def decide_labels(predictions: Predictions) -> Labels:
    """Return the label vectors (N, L) that probabilities mean, by what the truth looks like."""
    exclusive = bool((predictions.truth.sum(axis=1) == 1).all())
    return decide(predictions.probabilities, exclusive)


def describe_confusion(predictions: Predictions) -> dict[str, Any]:
    """Return a run's confusion matrix with the share of each row, for a table that is read."""
    found: Confusion = count_confusion(
        predictions.truth, decide_labels(predictions), predictions.label_names
    )
    totals = np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
    shares = (found.counts / totals).tolist()
    return {
        "columns": list(found.columns),
        "rows": [
            {
                "name": name,
                "cells": [
                    {"count": count, "share": share, "shade": round(share * 10)}
                    for count, share in zip(counts, row_shares, strict=True)
                ],
            }
            for name, counts, row_shares in zip(
                found.rows, found.counts.tolist(), shares, strict=True
            )
        ],
        "n": len(predictions),
    }


def list_cells(
    db: Connection, context: Context, runs: Sequence[Row], kept: Sequence[Predictions | None]
) -> list[dict[str, Any]]:
    """Return cells with a picture, and what each run takes them for; disagreements come first.

    Args:
        db: A connection that reads.
        context: The server's parts.
        runs: The runs compared.
        kept: Their predictions, None where there are none.
    """
    pictures: dict[str, int] = {}
    for run in runs:
        pictures = {**find_cells(list_media(db, context, run)), **pictures}
    tables = [None if p is None else _index(p) for p in kept]
    cells = []
    for cell, file in sorted(pictures.items()):
        answers = [None if table is None else table.get(cell) for table in tables]
        known = [answer for answer in answers if answer is not None]
        if known:
            told = [
                None if a is None else {"said": a[1], "p": a[2], "right": a[3]} for a in answers
            ]
            apart = len({a[1] for a in known}) > 1
            cells.append(
                {"cell": cell, "file": file, "true": known[0][0], "answers": told, "apart": apart}
            )
    cells.sort(key=lambda found: not found["apart"])
    return cells[:MAX_CELLS]


def _index(predictions: Predictions) -> dict[str, tuple[str, str, float, bool]]:
    """Return for each cell its truth, what it is taken for, how surely, and whether rightly."""
    decided = decide_labels(predictions)
    names = predictions.label_names
    return {
        str(cell): (
            name_vector(predictions.truth[i], names),
            name_vector(decided[i], names),
            float(predictions.probabilities[i].max()),
            bool((predictions.truth[i] == decided[i]).all()),
        )
        for i, cell in enumerate(predictions.cells)
    }
