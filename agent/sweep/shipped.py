"""The sweeps that come with bpsweep: found by name, and listed with what each asks."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bpsweep.agent.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "sweeps"


@dataclass(frozen=True)
class ShippedSweep:
    """A sweep file of ours, by the lines of its head.

    Args:
        path: The file.
        question: What it asks.
        runs: How many, and by which method.
        minutes: How long it takes, and on what.
    """

    path: Path
    question: str
    runs: str
    minutes: str


def list_shipped() -> list[ShippedSweep]:
    """Return the sweeps that come with bpsweep, the quick one first."""
    found = [_read_head(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return sorted(found, key=lambda one: one.path.stem != "quick")


def _read_head(path: Path) -> ShippedSweep:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.removeprefix("# ").partition(":") for line in lines if line.startswith("# ")]
    head = {name: text.strip() for name, _, text in pairs}
    return ShippedSweep(path, head["Question"], head["Runs"], head["Minutes"])


def draw_shipped() -> Table:
    """Draw the list as a table."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("sweep", no_wrap=True)
    for name in ("question", "runs", "minutes"):
        table.add_column(name)
    for one in list_shipped():
        n_runs, minutes = one.runs.partition(",")[0], one.minutes.partition(" ")[0]
        table.add_row(one.path.stem, one.question, n_runs, minutes)
    table.caption = "Minutes are of two cores (AMD EPYC); each file says on which images."
    table.caption_justify = "left"
    return table


def find_sweep_file(given: str) -> Path:
    """Return the file that is meant: one of the user's, else one that comes with bpsweep.

    Args:
        given: A path, or the name of a shipped sweep with or without ".yaml".

    Raises:
        ConfigError: There is neither.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    names = [one.path.stem for one in list_shipped()]
    name = given.removesuffix(".yaml").removeprefix("sweeps/")
    if name in names:
        return FOLDER / f"{name}.yaml"
    raise ConfigError(
        f"there is no sweep file {given!r} here, and none of that name comes with bpsweep: give a "
        f"path to a YAML file, or one of {', '.join(names)}."
    )
