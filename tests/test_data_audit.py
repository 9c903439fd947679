"""The audit: what it must say of the real labels, and that its bound is one."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from test_data_cli import run
from test_data_splits import catalogs

from bpsweep.data.audit import audit_labels
from bpsweep.data.audit_text import format_audit
from bpsweep.data.catalog import Catalog, Subset, read_catalog, select
from bpsweep.data.choices import TASKS
from bpsweep.data.labels import encode_labels
from bpsweep.data.splits import make_split


def test_every_label_of_the_real_set_follows_from_the_plate(real_set: Path) -> None:
    audit = audit_labels(read_catalog(real_set), "multi-label")
    assert audit.functions_of == {
        "particle": ["plate", "barcode", "field"],
        "dose": ["plate", "barcode", "field"],
        "hour": ["plate", "barcode", "field"],
    }
    assert audit.n_groups == {"plate": 17, "barcode": 18, "well": 15, "field": 3595}
    assert audit.line.startswith(
        "particle, dose and hour follow from the plate; 35.6 % of the cells"
    )
    assert not audit.degenerate


def test_the_published_split_leaks_and_the_well_split_does_not(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("hi-4h"))
    audit = audit_labels(catalog, "multi-label", make_split(catalog, "image"))
    assert round(audit.leaks["field"].share_of_validation_cells, 3) == 0.996
    assert (audit.leaks["well"].n_groups, audit.leaks["well"].n_groups_on_both_sides) == (16, 16)
    assert audit.degenerate
    assert audit.label_vectors == {"X-ray + 1.0 Gy": 4450, "Fe + 0.82 Gy": 4416}
    assert "99.6 % their field" in audit.line
    assert "multi-label is single-label again" in audit.line
    audit = audit_labels(catalog, "multi-label", make_split(catalog, "well"))
    assert audit.leaks["field"].n_groups_on_both_sides == 0
    assert audit.leaks["well"].n_groups_on_both_sides == 0
    assert "0.0 % their field, 0.0 % their well and 100.0 % their plate" in audit.line


def test_sham_bounds_the_accuracy(real_set: Path) -> None:
    catalog = select(read_catalog(real_set), Subset.parse("all-4h"))
    audit = audit_labels(catalog, "single-label")
    assert audit.share_sham == pytest.approx(9435 / 27609)
    assert audit.best_without_plate == pytest.approx((27609 - 4632) / 27609)
    low = select(read_catalog(real_set), Subset.parse("low-4h"))
    assert audit_labels(low, "multi-label").best_without_plate == pytest.approx(4803 / 9435)


@settings(deadline=None, max_examples=40)
@given(catalogs())
def test_the_bound_lies_between_the_majority_and_one(catalog: Catalog) -> None:
    for task in TASKS:
        audit = audit_labels(catalog, task)
        assert audit.majority <= audit.best_without_plate <= 1
        assert sum(audit.label_vectors.values()) == len(catalog)
        n_vectors = len(np.unique(encode_labels(catalog, task), axis=0))
        assert len(audit.label_vectors) == n_vectors
        assert audit.line in format_audit(audit)


def test_audit_command(real_set: Path) -> None:
    code, text = run("audit", "--data-dir", real_set)
    assert code == 0
    assert "P280  73668439105   4450     195  A7 C7 D5 E1 E2 E5 E6 F5  X-ray 1.0 Gy 4 h" in text
    code, text = run(
        "audit", "--data-dir", real_set, "--subset", "all-4h", "--by", "well", "--json"
    )
    assert json.loads(text)["leaks"]["well"]["n_groups_on_both_sides"] == 0
