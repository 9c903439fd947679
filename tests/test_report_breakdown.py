"""Accuracy by groups of cells, and the mistakes that were made with the most confidence."""

from dataclasses import replace

import numpy as np
import pytest
from report_support import make_cells, say

from bpsweep.report.statistics.breakdown import break_down


def test_groups_hold_every_cell_once_with_its_own_accuracy() -> None:
    cells = say(make_cells(800), 0.7, seed=1)
    foci = np.arange(800) % 7
    found = break_down(cells, foci)
    right = cells.probabilities.argmax(axis=1) == cells.truth.argmax(axis=1)
    assert list(found.groups) == ["condition", "plate", "well", "dose", "foci"]
    for groups in found.groups.values():
        assert sum(group.n_cells for group in groups) == 800
        assert sum(g.accuracy * g.n_cells for g in groups) == pytest.approx(right.sum())
    by_foci = {group.name: group for group in found.groups["foci"]}
    assert list(by_foci) == ["0 foci", "1 focus", "2 foci", "3 foci", "4 foci or more"]
    assert by_foci["4 foci or more"].accuracy == pytest.approx(right[foci >= 4].mean())
    one = found.groups["plate"][0]
    assert (one.name, one.n_wells) == ("P242", 8)
    assert one.interval.low < one.accuracy < one.interval.high


def test_groups_are_in_the_order_people_expect() -> None:
    cells = make_cells(40)
    cells = replace(cells, doses_gy=np.tile([0.0, 0.1, 1.0, 0.3], 10))
    names = [group.name for group in break_down(cells).groups["dose"]]
    assert names == ["0 Gy", "0.1 Gy", "0.3 Gy", "1 Gy"]


def test_the_surest_mistakes_come_first() -> None:
    cells = say(make_cells(600), 0.7, seed=3)
    found = break_down(cells, n_mistakes=5)
    assert set(found.mistakes) == {"Fe 0.82 Gy 4 h", "X-ray 1 Gy 4 h"}
    for condition, mistakes in found.mistakes.items():
        confidences = [one.confidence for one in mistakes]
        assert confidences == sorted(confidences, reverse=True) and len(mistakes) == 5
        particle = condition.split(" ", maxsplit=1)[0]
        inside = cells.particles == particle
        wrong = cells.probabilities[np.arange(600), 1 - cells.truth.argmax(axis=1)]
        assert confidences[0] == pytest.approx(wrong[inside].max())
        assert mistakes[0].truth == particle and mistakes[0].said != particle
        assert str(cells.cells[mistakes[0].row]) == mistakes[0].cell
