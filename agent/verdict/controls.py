"""The controls of a configuration: which runs show what its score rests on.

Each is the configuration itself, on the same split under the same normalisation, with something
taken away: the nucleus, the background, the truth of the training labels, the arrangement of the
pixels. One more, "sham", asks whether the same settings can tell the particles of unirradiated
cells apart, which no biology does.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bpsweep.agent.config import RunConfig, unknown_name
from bpsweep.agent.errors import ConfigError
from bpsweep.agent.tracking.run import RunSpec
from bpsweep.agent.training.inputs import load_catalog
from bpsweep.data.catalog import Catalog, Subset
from bpsweep.data.errors import CatalogError, DataError
from bpsweep.report.records import CONTROL, RunRecord, SweepRecord
from bpsweep.report.statistics.control_runs import (
    BACKGROUND,
    BRIGHTNESS,
    HISTOGRAM,
    NUCLEUS,
    SHAM,
    SHUFFLED,
)

CONTROLS: Final = (BRIGHTNESS, HISTOGRAM, BACKGROUND, SHAM, NUCLEUS, SHUFFLED)
"""All of them, the quick and telling ones first."""
N_SHUFFLES: Final = 5
"""Trainings on shuffled labels: one by itself says nothing of how far chance goes."""
SEED_LIMIT: Final = 2**32
_QUICK: Final[Mapping[str, Any]] = {"epochs": 1, "augment": False}
_CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {HISTOGRAM: _QUICK, BRIGHTNESS: _QUICK}
"""Controls with a model of their own learn all there is in one epoch."""


@dataclass(frozen=True)
class Plan:
    """Runs to make beside a sweep.

    Args:
        specs: What is to be trained.
        n_there: How many of those asked for exist already.
        skipped: What cannot be made, with the reason.
    """

    specs: tuple[RunSpec, ...] = ()
    n_there: int = 0
    skipped: tuple[str, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(
            (*self.specs, *other.specs),
            self.n_there + other.n_there,
            (*self.skipped, *(one for one in other.skipped if one not in self.skipped)),
        )


def check_names(names: Collection[str]) -> tuple[str, ...]:
    """Return the controls asked for, all where none is named, in their order.

    Raises:
        ConfigError: An unknown one; the message gives the nearest that is.
    """
    problems = [unknown_name("control", name, CONTROLS) for name in names if name not in CONTROLS]
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(name for name in CONTROLS if not names or name in names)


def plan_controls(
    sweep: SweepRecord, run: RunRecord, names: Collection[str], data_dir: Path
) -> Plan:
    """List the controls of one run that are not there yet.

    Args:
        sweep: The sweep with the runs beside it.
        run: The run to control.
        names: Which of `CONTROLS`.
        data_dir: The image folder, which must be the one that the run was trained on.
    """
    first = run.members[0]
    by_plate = str(first.config.get("split")).startswith("plate")
    plan = Plan()
    for name in names:
        if name == SHAM and by_plate:
            plan += _plan_sham_folds(sweep, first, data_dir)
        elif name == SHUFFLED:  # of one fold, where there are several: each fold would say the same
            for number in range(N_SHUFFLES):
                plan += _plan_one(sweep, first, name, data_dir, more_seed=number)
        else:
            for one in run.members:
                plan += _plan_one(sweep, one, name, data_dir)
    return plan


def _plan_sham_folds(sweep: SweepRecord, run: RunRecord, data_dir: Path) -> Plan:
    """List the runs on unirradiated plates, each held out once: as many folds as there can be."""
    settings = read_settings(run)
    check_data(run, settings, data_dir)
    try:
        catalog = load_catalog(data_dir, name_sham(settings))
        if catalog.table["hour"].nunique() < 2:  # plates of other hours do as well
            catalog = load_catalog(data_dir, "low")
        _require_images(catalog)
    except DataError as error:
        return Plan(skipped=(f"{SHAM}: {error}",))
    n_plates = catalog.table.groupby("particle")["plate"].nunique()
    n_folds = int(n_plates.min()) if len(n_plates) > 1 else 0
    if n_folds < 2:
        return Plan(
            skipped=(
                f"{SHAM}: unirradiated plates are held out as the others are, and there are not "
                "two of each particle; images of more hours are needed, 4h+24h+48h say.",
            )
        )
    hours = tuple(sorted(int(hour) for hour in catalog.table["hour"].unique()))
    plan = Plan()
    for fold in range(1, n_folds + 1):
        changes = {
            "subset": str(Subset("low", hours)),
            "task": "single-label",
            "split": f"plate-fold-{fold}-of-{n_folds}",
            "control": SHAM,
            "test_part": False,
        }
        values = settings.model_copy(update=changes).model_dump()
        plan += plan_run(
            sweep, make_spec(sweep, values, CONTROL, f"{run.name} {SHAM} {fold} of {n_folds}")
        )
    return plan


def _plan_one(
    sweep: SweepRecord, run: RunRecord, name: str, data_dir: Path, more_seed: int = 0
) -> Plan:
    """List a control of a run that trained, unless it is there; another seed shuffles anew."""
    settings = read_settings(run)
    check_data(run, settings, data_dir)
    changes = dict(_CHANGES.get(name, {}))
    if name == SHAM:
        changes = {"subset": name_sham(settings), "task": "single-label"}
        try:
            _require_images(load_catalog(data_dir, changes["subset"]))
        except DataError as error:
            return Plan(skipped=(f"{name}: {error}",))
    changes |= {"control": name, "seed": (settings.seed + more_seed) % SEED_LIMIT}
    values = settings.model_copy(update=changes).model_dump()
    title = f"{run.name} {name}" + (f" {more_seed + 1}" if more_seed else "")
    return plan_run(sweep, make_spec(sweep, values, CONTROL, title))


def plan_run(sweep: SweepRecord, spec: RunSpec) -> Plan:
    """Plan a run unless the same has finished beside the sweep."""
    for other in (one for joined in sweep.beside for one in joined.members):
        done = other.kind == spec.kind and other.state == "finished"
        if done and other.predictions is not None and is_same(other, spec.values or {}):
            return Plan(n_there=1)
    return Plan(specs=(spec,))


def is_same(run: RunRecord, values: Mapping[str, Any]) -> bool:
    """Tell whether a run has these settings."""
    return all(run.config.get(name) == value for name, value in values.items())


def make_spec(sweep: SweepRecord, values: Mapping[str, Any], kind: str, name: str) -> RunSpec:
    """Describe a run beside a sweep: in its project, in the group named after it."""
    entity, project, sweep_id = sweep.path.split("/")
    spec = RunSpec(values=values, group=sweep_id, kind=kind, name=name)
    return replace(spec, entity=entity, project=project)


def read_settings(run: RunRecord) -> RunConfig:
    """Return the settings of a run of ours.

    Raises:
        ConfigError: It was not a run of `python -m bpsweep.agent`, or of another version.
    """
    known = {name: run.config[name] for name in RunConfig.model_fields if name in run.config}
    if "model" not in known or not run.provenance:
        raise ConfigError(
            f"run {run.name!r} has no settings of bpsweep's; only runs of `program: agent` have."
        )
    return RunConfig(**known)


def name_sham(settings: RunConfig) -> str:
    """Name the subset of unirradiated cells of the same hours."""
    return str(Subset("low", Subset.parse(settings.subset).hours))


def check_data(run: RunRecord, settings: RunConfig, data_dir: Path) -> None:
    """Make sure that an image folder is the one that a run was trained on.

    Raises:
        ConfigError: Its labels are others.
    """
    found = load_catalog(data_dir, settings.subset)
    wanted = run.provenance.get("labels_checksum")
    parts = ("n_training", "n_validation", "n_test")
    n_cells = sum(int(run.provenance.get(part, 0)) for part in parts)
    left_out = n_cells < len(found)  # unusable files, which changes the checksum
    if found.checksum != wanted and not left_out:
        raise ConfigError(
            f"{str(data_dir)!r} is not what run {run.name!r} was trained on: the labels of "
            f"{settings.subset} have checksum {found.checksum[:12]}, the run's have "
            f"{str(wanted)[:12]}. Name the run's image folder with --data-dir."
        )


def _require_images(catalog: Catalog) -> None:
    names = catalog.table["filename"].tolist()
    n_absent = sum(not (catalog.folder / name).exists() for name in names)
    if n_absent:
        raise CatalogError(
            f"{n_absent} of {len(names)} images of unirradiated cells are not in "
            f"{str(catalog.folder)!r}; `bpsweep data fetch --subset low-4h` gets those of 4 h."
        )
