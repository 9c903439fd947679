"""The label table `meta.csv` as typed rows, and the subsets of it that are trained on.

Layout of a data folder: `meta.csv` with columns filename, dose_Gy, particle_type and
hr_post_exposure, and beside it the TIFFs it names (the bucket's `Microscopy/train/`).
"""

import csv
import difflib
import hashlib
import io
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, Literal, get_args

import pandas as pd

from bpsweep.data.choices import HOURS
from bpsweep.data.errors import CatalogError

META_NAME: Final = "meta.csv"
SYNTHETIC_MARKER: Final = "synthetic.json"
META_COLUMNS: Final = ("filename", "dose_Gy", "particle_type", "hr_post_exposure")
DOSES_GY: Final[dict[str, tuple[float, ...]]] = {
    "Fe": (0.0, 0.3, 0.82),
    "X-ray": (0.0, 0.1, 1.0),
}
DoseLevel = Literal["hi", "med", "low", "all", "irradiated"]
DOSE_LEVELS: Final[tuple[DoseLevel, ...]] = get_args(DoseLevel)
_RANK: Final = {"low": 0, "med": 1, "hi": 2}  # position in DOSES_GY of either particle
# A whole match of this also rules out separators, `..`, absolute paths and control characters.
NAME_PATTERN: Final = r"(P\d{1,6})_(\d{1,20})-([A-H]\d{1,2})_(\d{1,6})_(\d{1,6})_proj\.tif"
_NAME_FIELDS: Final = ("plate", "barcode", "well", "field", "cell")
_EXAMPLE_NAME: Final = "P242_73665006707-A6_003_013_proj.tif"


@dataclass(frozen=True)
class Catalog:
    """Rows of `meta.csv` (all, or a subset), in its order.

    Attributes:
        folder: where `meta.csv` and the images lie.
        table: one row an image, with columns filename, plate, barcode, well (str), field, cell
            (int64), particle ("Fe" or "X-ray"), dose_gy (float64) and hour (int64); index 0..N-1.
        synthetic: the folder says of itself that its images were rendered, not taken.
    """

    folder: Path
    table: pd.DataFrame
    synthetic: bool

    def __len__(self) -> int:
        return len(self.table)

    @property
    def checksum(self) -> str:
        """sha256 of the rows as `meta.csv` text: the same rows in the same order, same sum."""
        return hashlib.sha256(format_meta(self.table).encode()).hexdigest()

    def take(self, rows: "pd.Index[int] | pd.Series[bool]") -> "Catalog":
        """The catalogue of some rows, in their order."""
        table = self.table.loc[rows].reset_index(drop=True)
        return Catalog(self.folder, table, self.synthetic)


@dataclass(frozen=True)
class Subset:
    """A dose level and hours after irradiation.

    "hi" is Fe 0.82 and X-ray 1.0 Gy, "med" Fe 0.3 and X-ray 0.1 Gy, "low" the sham; "irradiated" is
    both doses above 0.
    """

    dose: DoseLevel
    hours: tuple[int, ...]

    @staticmethod
    def parse(text: str) -> "Subset":
        """Read `hi-4h`, `all-4h+24h`, or `all`, `irradiated` (every hour).

        Raises:
            CatalogError: not such a text; the message gives the nearest that is.
        """
        dose, dash, after = text.partition("-")
        hours = parse_hours(after) if dash else HOURS
        if dose in DOSE_LEVELS and hours:
            return Subset(dose, hours)
        nearest = difflib.get_close_matches(text, _all_names(), n=1, cutoff=0.0)[0]
        raise CatalogError(
            f"subset {text!r} is unknown; did you mean {nearest!r}? Allowed are a dose level "
            f"({', '.join(DOSE_LEVELS)}) and, after '-', hours of {', '.join(map(str, HOURS))} "
            "joined by '+', as in hi-4h, all-4h+24h, irradiated"
        )

    def __str__(self) -> str:
        if self.hours == HOURS:
            return self.dose
        return f"{self.dose}-" + "+".join(f"{hour}h" for hour in self.hours)


def parse_hours(text: str) -> tuple[int, ...]:
    """Hours written as `4h` or `4h+24h`, ascending; none of them where one is not allowed."""
    names = {f"{hour}h": hour for hour in HOURS}
    hours = {names.get(part) for part in text.split("+")}
    return tuple(sorted(hour for hour in hours if hour)) if None not in hours else ()


def read_catalog(data_dir: Path) -> Catalog:
    """Read and check `data_dir/meta.csv`; the images need not be there.

    Raises:
        CatalogError: the table is missing or unreadable, or a row is not as published; the
            message gives the row (1 is the first after the header), its value and what is allowed.
    """
    path = Path(data_dir) / META_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CatalogError(
            f"no {META_NAME} in {str(path.parent)!r}; give the folder that holds it with "
            "--data-dir, or make a synthetic set with `bpsweep data make`"
        ) from None
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror}") from error
    return parse_catalog(content, Path(data_dir))


def parse_catalog(content: bytes, data_dir: Path) -> Catalog:
    """The catalogue of a `meta.csv` with this content; raises as `read_catalog` does."""
    path = data_dir / META_NAME
    raw = _parse_text_table(content, path)
    table = _parse_names(raw["filename"], path)
    table["particle"] = _parse_choice(raw["particle_type"], tuple(DOSES_GY), path)
    table["dose_gy"] = _parse_number(raw["dose_Gy"], _all_doses(), path)
    table["hour"] = _parse_number(raw["hr_post_exposure"], HOURS, path).astype("int64")
    _check_dose_fits_particle(table, path)
    return Catalog(data_dir, table, (data_dir / SYNTHETIC_MARKER).exists())


def select(catalog: Catalog, subset: Subset) -> Catalog:
    """The rows of a subset, in catalogue order.

    Raises:
        CatalogError: there are none.
    """
    table = catalog.table
    chosen = table["hour"].isin(subset.hours)
    if subset.dose == "irradiated":
        chosen &= table["dose_gy"] > 0
    elif subset.dose != "all":
        rank = _RANK[subset.dose]
        for particle, doses in DOSES_GY.items():
            chosen &= (table["particle"] != particle) | (table["dose_gy"] == doses[rank])
    if not chosen.any():
        hours = ", ".join(str(hour) for hour in sorted(table["hour"].unique()))
        raise CatalogError(
            f"subset {str(subset)!r} has no rows in {str(catalog.folder)!r}: its {len(catalog)} "
            f"rows are of hours {hours}; choose another subset or another --data-dir"
        )
    return catalog.take(chosen)


def format_meta(table: pd.DataFrame) -> str:
    """Catalogue rows as `meta.csv` text, byte for byte as published."""
    lines = [",".join(META_COLUMNS)]
    columns = (table["filename"], table["dose_gy"], table["particle"], table["hour"])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines += [f"{name},{dose!r},{particle},{hour}" for name, dose, particle, hour in rows]
    return "\n".join(lines) + "\n"


def _parse_text_table(content: bytes, path: Path) -> pd.DataFrame:
    """The four columns as text, nothing interpreted."""
    try:
        lines = io.StringIO(content.decode(), newline="")
        header, *rows = list(csv.reader(lines, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(f"{path} cannot be read as a CSV table: {error}") from error
    if tuple(header) != META_COLUMNS:
        raise CatalogError(f"{path} starts with {header!r}; needed is {','.join(META_COLUMNS)!r}")
    if not rows:
        raise CatalogError(f"{path} has a header and no rows; it must name at least one image")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(META_COLUMNS):
            raise CatalogError(
                f"{path}, row {number}: {row!r} has {len(row)} values; "
                f"{len(META_COLUMNS)} are needed: {','.join(META_COLUMNS)}"
            )
    return pd.DataFrame(rows, columns=list(META_COLUMNS), dtype="str")


def _parse_names(names: "pd.Series[str]", path: Path) -> pd.DataFrame:
    # \A...\Z rather than ^...$: `$` would let a trailing newline pass.
    table = names.str.extract(rf"\A{NAME_PATTERN}\Z")
    table.columns = pd.Index(_NAME_FIELDS)
    _raise_at_first(
        table["plate"].isna(), names, path, f"a plain file name like {_EXAMPLE_NAME!r} is allowed"
    )
    _raise_at_first(names.duplicated(), names, path, "each image may be named once; remove the row")
    table.insert(0, "filename", names)
    return table.astype({"field": "int64", "cell": "int64"})


def _parse_choice(
    column: "pd.Series[str]", allowed: tuple[str, ...], path: Path
) -> "pd.Series[str]":
    _raise_at_first(~column.isin(allowed), column, path, f"allowed are {_listed(allowed)}")
    return column


def _parse_number(
    column: "pd.Series[str]", allowed: tuple[float, ...], path: Path
) -> "pd.Series[float]":
    values = pd.to_numeric(column, errors="coerce")
    _raise_at_first(~values.isin(allowed), column, path, f"allowed are {_listed(allowed)}")
    return values.astype("float64") + 0.0  # "-0" is 0


def _check_dose_fits_particle(table: pd.DataFrame, path: Path) -> None:
    for particle, allowed in DOSES_GY.items():
        wrong = (table["particle"] == particle) & ~table["dose_gy"].isin(allowed)
        reason = f"{particle} was given at {_listed(allowed)} Gy; correct dose_Gy or particle_type"
        _raise_at_first(wrong, table["dose_gy"].rename("dose_Gy"), path, reason)


def _raise_at_first(
    wrong: "pd.Series[bool]", values: "pd.Series[str] | pd.Series[float]", path: Path, allowed: str
) -> None:
    if wrong.any():
        index = int(wrong.to_numpy().argmax())
        more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
        raise CatalogError(
            f"{path}, row {index + 1}: {values.name} is {values.tolist()[index]!r}; {allowed}{more}"
        )


def _all_names() -> list[str]:
    hour_sets = [hours for n in range(1, len(HOURS) + 1) for hours in combinations(HOURS, n)]
    return [str(Subset(dose, hours)) for dose in DOSE_LEVELS for hours in hour_sets]


def _all_doses() -> tuple[float, ...]:
    return tuple(sorted({dose for doses in DOSES_GY.values() for dose in doses}))


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(str(value) for value in values)
