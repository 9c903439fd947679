"""`bpsweep data`: fetch or make images, build caches, write splits, audit, show."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bpsweep.agent import home
from bpsweep.agent.console import progress_bar
from bpsweep.agent.errors import AgentError
from bpsweep.data.choices import SPLITS, TASKS, SyntheticSettings
from bpsweep.data.errors import DataError
from bpsweep.data.geometry import GEOMETRIES, Geometry

# What a command needs is imported in it: pandas, scipy and boto3 take their time, which no other
# command need wait for.
# ruff: noqa: PLC0415

if TYPE_CHECKING:
    from bpsweep.data.catalog import Catalog
    from bpsweep.data.fetch import FetchProgress

app = typer.Typer(
    no_args_is_help=True, help="Images and labels: fetch, make, cache, split, audit, show."
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder with meta.csv and the TIFFs it names.",
        show_default="the embedded synthetic set's",
    ),
]
SubsetName = Annotated[
    str, typer.Option("--subset", help="Dose level and hours: hi-4h, all-4h+24h, irradiated.")
]

_WAYS = f"{', '.join(SPLITS)}, fold-K-of-N over wells, or plate-fold-K-of-N."


@app.command("make")
def make_command(  # noqa: PLR0913, PLR0917  # one parameter an option
    data_dir: DataDir = None,
    n_images: Annotated[int, typer.Option("--n-images", min=1)] = SyntheticSettings.n_images,
    hours: Annotated[
        str, typer.Option(help="Hours after irradiation, as 4h or 4h+24h+48h.")
    ] = "4h",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    plate_effect: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
    well_effect: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    radiation_effect: Annotated[
        float, typer.Option(min=0, max=5, help="Times the foci that radiation adds.")
    ] = 1.0,
) -> None:
    """Render a synthetic set in the layout of the real one."""
    from bpsweep.data.catalog import Subset, read_catalog
    from bpsweep.data.synthetic import make_synthetic

    with _errors():
        folder = home.data_dir(data_dir)
        settings = SyntheticSettings(
            n_images,
            Subset.parse(f"all-{hours}").hours,
            seed,
            plate_effect,
            well_effect,
            radiation_effect,
        )
        with progress_bar(Console(stderr=True), "Rendering") as progress:
            make_synthetic(folder, settings, progress)
        typer.echo(f"{len(read_catalog(folder))} synthetic images in {folder}")


@app.command("fetch")
def fetch_command(
    data_dir: DataDir = None,
    subset: SubsetName = "hi-4h",
    with_masks: Annotated[
        bool, typer.Option("--with-masks", help="DAPI images and nucleus masks of the cells too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much, fetch nothing.")
    ] = False,
    endpoint_url: Annotated[
        str | None, typer.Option("--endpoint-url", metavar="URL", help="Another S3 than Amazon's.")
    ] = None,
    accept_changed_labels: Annotated[
        bool,
        typer.Option("--accept-changed-labels", help="Go on with a meta.csv other than published."),
    ] = False,
) -> None:
    """Fetch the real images from the public bucket; a second call fetches what is missing."""
    from bpsweep.data.catalog import Subset
    from bpsweep.data.fetch import fetch_subset, plan_fetch
    from bpsweep.data.fetcher import FetchSettings

    with _errors():
        folder = data_dir or home.fetched_data_dir()
        settings = FetchSettings(endpoint_url, with_masks, accept_changed_labels)
        chosen = Subset.parse(subset)
        if dry_run:
            plan = plan_fetch(folder, chosen, settings)
        else:
            with _bytes_bar() as progress:
                plan = fetch_subset(folder, chosen, settings, progress)
        verb = "to fetch" if dry_run else "fetched"
        typer.echo(
            f"{len(plan.files)} files of {chosen} in {folder}: {len(plan.present)} were there, "
            f"{len(plan.missing)} ({plan.bytes_missing / 1e6:.1f} MB) {verb}"
        )


@app.command("cache")
def cache_command(
    data_dir: DataDir = None,
    subset: SubsetName = "hi-4h",
    image_size: Annotated[int, typer.Option("--image-size", help="Pixels a side.")] = 64,
    geometry: Annotated[
        str, typer.Option(help=f"{' or '.join(GEOMETRIES)}: scale whole images, or crop and pad.")
    ] = "resize",
    max_rejected: Annotated[
        int, typer.Option("--max-rejected", min=0, help="Unusable files that may be left out.")
    ] = 0,
) -> None:
    """Decode every image of a subset once, into one array for training."""
    from bpsweep.data.cache import CacheSettings, build_cache

    with _errors():
        catalog = _read_subset(data_dir, subset)
        settings = CacheSettings(image_size, cast(Geometry, geometry))
        with progress_bar(Console(stderr=True), "Decoding") as progress:
            cache = build_cache(
                catalog, settings, home.cache_root(), progress, max_rejected=max_rejected
            )
        n_left_out = len(catalog) - len(cache.catalog)
        typer.echo(f"{len(cache.catalog)} images in {cache.folder}, {n_left_out} left out")


@app.command("split")
def split_command(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where train.csv, val.csv go.")],
    data_dir: DataDir = None,
    subset: SubsetName = "hi-4h",
    by: Annotated[str, typer.Option("--by", help=_WAYS)] = "image",
    seed: Annotated[int, typer.Option(min=0)] = 42,
    with_test: Annotated[
        bool, typer.Option("--with-test", help="Keep a test part aside, from the training rows.")
    ] = False,
) -> None:
    """Write train.csv, val.csv (and test.csv) in the columns of meta.csv; needs labels only.

    Says too what the design can and cannot answer.
    """
    from bpsweep.data.design import describe_design
    from bpsweep.data.splits import make_split, write_split

    with _errors():
        catalog = _read_subset(data_dir, subset)
        split = make_split(catalog, by, seed, with_test)
        write_split(catalog, split, out)
        counts = ", ".join(f"{len(rows)} {name}" for name, rows in split.sides.items())
        typer.echo(f"{counts} rows in {out}")
        typer.echo(f"split checksum {split.checksum}")
        typer.echo("\n".join(["", *describe_design(catalog, split)]))


@app.command("audit")
def audit_command(
    data_dir: DataDir = None,
    subset: SubsetName = "hi-4h",
    by: Annotated[str, typer.Option("--by", help=_WAYS)] = "image",
    task: Annotated[str, typer.Option(help=" or ".join(TASKS))] = "multi-label",
    seed: Annotated[int, typer.Option(min=0)] = 42,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what the labels and a split give away; needs the labels only."""
    from bpsweep.data.audit import audit_labels
    from bpsweep.data.audit_text import format_audit
    from bpsweep.data.splits import make_split

    with _errors():
        catalog = _read_subset(data_dir, subset)
        audit = audit_labels(catalog, task, make_split(catalog, by, seed))
        typer.echo(json.dumps(audit.to_json(), indent=1) if as_json else format_audit(audit))


@app.command("show")
def show_command(  # noqa: PLR0913, PLR0917  # one parameter an option
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Where the picture goes.")],
    data_dir: DataDir = None,
    subset: SubsetName = "all-4h",
    n_cells: Annotated[int, typer.Option("--n-cells", min=1, max=20)] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of cells.")] = 0,
    beside: Annotated[
        Path | None, typer.Option("--beside", metavar="TIF", help="One more image to compare with.")
    ] = None,
    outline: Annotated[
        bool, typer.Option("--outline", help="Draw the outlines by which controls hide nuclei.")
    ] = False,
) -> None:
    """Draw a gallery of cells by condition at one scale, with foci counts."""
    from bpsweep.data.gallery import GallerySettings, draw_gallery

    with _errors():
        counted = draw_gallery(
            _read_subset(data_dir, subset), out, GallerySettings(n_cells, seed, beside, outline)
        )
        for row in counted.itertuples():
            condition = f"{row.particle} {row.dose_gy:g} Gy, {row.hour} h"
            typer.echo(f"{condition:22} {row.n_cells} cells, {row.mean_foci:.1f} foci a cell")
        typer.echo(f"picture in {out}")


def _read_subset(data_dir: Path | None, subset: str) -> "Catalog":
    from bpsweep.data.catalog import Subset, read_catalog, select

    return select(read_catalog(home.data_dir(data_dir)), Subset.parse(subset))


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what the user can mend into a message and exit code 2."""
    try:
        yield
    except (DataError, AgentError) as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


@contextmanager
def _bytes_bar() -> Iterator[Callable[["FetchProgress"], None]]:
    """A progress bar of files and bytes with rate and time left."""
    console = Console(stderr=True)
    columns = (
        TextColumn("fetching {task.fields[n_done]}/{task.fields[n_files]} files"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("fetching", total=None, n_done=0, n_files="?")

        def show(state: "FetchProgress") -> None:
            bar.update(
                task,
                completed=state.bytes_done,
                total=state.n_bytes,
                n_done=state.n_done,
                n_files=state.n_files,
            )

        yield show
