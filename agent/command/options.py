"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="entity/project/id, or the id alone.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with meta.csv and the TIFFs it names; the one that the sweep was run on. "
        "By default BPSWEEP_DATA_DIR, else the embedded synthetic set."
    ),
]
Agents = Annotated[
    int | None, typer.Option(min=1, help="Runs at once. By default one a core, up to 4.")
]
Target = Annotated[
    float | None,
    typer.Option(help="Value to reach, a share. By default 0.8, for Hamming 0.2.", min=0, max=1),
]
MaxRejected = Annotated[
    int | None, typer.Option(min=0, help="Unusable image files that may be left out.")
]
