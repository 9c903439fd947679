"""What a section of the page is made of: sentences, figures, tables, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bpsweep.report.figures.figure import Figure
from bpsweep.report.page.cells import CellPicture


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: What it shows.
        key: What it is sorted by; None sorts last.
        tone: "good", "close", "bad" or "" for none; always beside words that say the same.
        as_text: Set as text though its key is a number.
    """

    text: str
    key: float | str | None = None
    tone: str = ""
    as_text: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it is set as a number, flush right."""
        return isinstance(self.key, int | float) and not self.as_text


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Args:
        id: Its anchor.
        caption: What it shows.
        head: The columns' titles.
        rows: The cells, row by row; the first of a row is its header.
        sortable: Whether a reader can order it by any column.
    """

    id: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = False

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers, so that its title stands above them."""
        return any(row[column].numeric for row in self.rows)


@dataclass(frozen=True)
class Missing:
    """Something that the page could show and does not.

    Args:
        what: What is missing, a sentence.
        command: What makes it; empty where no command does.
    """

    what: str
    command: str = ""


@dataclass(frozen=True)
class Block:
    """Lines to be copied as they are: commands, a sweep's YAML."""

    label: str
    text: str


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Args:
        id: Its anchor.
        title: Its heading.
        lines: Sentences, a paragraph each.
        figures: Figures, each with its words.
        tables: Tables.
        cells: Pictures of cells.
        missing: What it could show and does not.
        blocks: Lines to be copied.
    """

    id: str
    title: str
    lines: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    cells: Sequence[CellPicture] = ()
    missing: Sequence[Missing] = ()
    blocks: Sequence[Block] = ()


def number(value: float | None, text: str) -> Cell:
    """Make a cell of a number that may be unknown."""
    return Cell("–") if value is None else Cell(text, value)


def setting(value: Any, text: str) -> Cell:
    """Make a cell of a setting, sorted as a number where it is one."""
    if value is None:
        return Cell("–")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell(text, text)
    return Cell(text, value)
