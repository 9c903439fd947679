"""A sweep's search space: its configurations, counted, indexed, drawn and named.

Built on the parameter classes of W&B's own `sweeps` package, so that values, distributions and the
order of a grid are W&B's. Pure: no I/O, no global random state.
"""

import importlib
import json
import math
import random
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from bpsweep.report.identity import name_configuration
from bpsweep.server.errors import BadRequestError

with warnings.catch_warnings():
    # sweeps 0.2 was written for pydantic 1 and warns about it once, when imported. By name, since
    # type checkers take our folder of YAML files for the package.
    warnings.simplefilter("ignore")
    sweeps: Any = importlib.import_module("sweeps")
    engine_schema: Any = importlib.import_module("sweeps.config.schema")
    engine_params: Any = importlib.import_module("sweeps.params")

HyperParameter: Any = engine_params.HyperParameter
HyperParameterSet: Any = engine_params.HyperParameterSet
ParamValidationError: type[Exception] = engine_schema.ParamValidationError
NESTING: str = HyperParameterSet.NESTING_DELIMITER
MAX_GRID_VALUES = 1_000_000

Values = Sequence[Any]


class Space:
    """The parameters of one sweep, flattened, in the order in which `sweeps` walks a grid."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        """Read the `parameters` section of a sweep config that has been validated."""
        self._parameters = HyperParameterSet.from_config(parameters)
        self.searched = [p for p in self._parameters if p.type != HyperParameter.CONSTANT]
        self._constants = {
            p.name: p.config["value"] for p in self._parameters if p.type == HyperParameter.CONSTANT
        }

    @cached_property
    def grid_axes(self) -> list[tuple[str, Values]]:
        """Every searched parameter with its values, each value once.

        Raises:
            BadRequestError: A parameter has no finite list of values to walk.
        """
        return [(p.name, _list_grid_values(p)) for p in self.searched]

    @cached_property
    def grid_size(self) -> int:
        """How many points the grid has."""
        return math.prod(len(values) for _, values in self.grid_axes)

    @cached_property
    def finite_axes(self) -> list[tuple[str, Values]] | None:
        """The values that random search can draw, or None where they cannot be listed."""
        axes = [(p.name, _list_random_values(p)) for p in self.searched]
        if any(values is None for _, values in axes):
            return None
        return [(name, values) for name, values in axes if values is not None]

    @cached_property
    def finite_size(self) -> int | None:
        """How many configurations random search can draw, None for a continuum."""
        if self.finite_axes is None:
            return None
        return math.prod(len(values) for _, values in self.finite_axes)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """Draw one configuration as `sweeps` does, from this generator instead of the global."""
        return {p.name: to_plain(p.ppf(rng.uniform(0.0, 1.0))) for p in self.searched}

    def name_point(self, searched: dict[str, Any]) -> str:
        """Return the identity of a configuration: equal values give equal text."""
        return name_configuration(searched)

    def count_grid_points(self, keys: set[str]) -> int:
        """Return how many of these configurations, by identity, the grid has."""
        axes = {name: {name_configuration(v) for v in values} for name, values in self.grid_axes}
        points = [json.loads(key) for key in keys]
        return sum(
            all(name_configuration(point.get(name)) in values for name, values in axes.items())
            for point in points
        )

    def build_args(self, searched: dict[str, Any]) -> dict[str, Any]:
        """Return what an agent gets: {"name": {"value": ...}}, nested parameters nested again."""
        nested: dict[str, Any] = {}
        for name, value in sorted({**self._constants, **searched}.items()):
            *parents, last = name.split(NESTING)
            level = nested
            for parent in parents:
                level = level.setdefault(parent, {})
            level[last] = to_plain(value)
        return {name: {"value": value} for name, value in nested.items()}

    def read_args(self, config: dict[str, Any]) -> dict[str, Any] | None:
        """Return the searched values found in a run's config, or None if one is missing."""
        found: dict[str, Any] = {}
        for parameter in self.searched:
            first, *rest = parameter.name.split(NESTING)
            value: Any = config.get(first)
            value = value.get("value") if isinstance(value, dict) else None
            for key in rest:
                value = value.get(key) if isinstance(value, dict) else None
            if value is None and None not in parameter.config.get("values", []):
                return None
            found[parameter.name] = value
        return found


def pick_point(axes: list[tuple[str, Values]], index: int) -> dict[str, Any]:
    """Return point `index` of the product of the axes, the last axis turning fastest."""
    point: dict[str, Any] = {}
    for name, values in reversed(axes):
        index, position = divmod(index, len(values))
        point[name] = to_plain(values[position])
    return point


def to_plain(value: Any) -> Any:
    """Return a value without numpy types, ready for JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    return value


def _list_grid_values(parameter: Any) -> Values:
    config = parameter.config
    if parameter.type == HyperParameter.CATEGORICAL:
        return _drop_repeats(config["values"])
    if parameter.type == HyperParameter.INT_UNIFORM:
        values: Values = range(config["min"], config["max"] + 1)
    elif parameter.type == HyperParameter.Q_UNIFORM:
        # numpy.arange's own rule: min + i * q below max
        count = max(0, math.ceil((config["max"] - config["min"]) / config["q"]))
        values = _Steps(config["min"], config["q"], count)
    else:
        raise BadRequestError(
            f"parameter {_show(parameter.name)}: a grid needs values to walk, so give 'values',"
            f" 'value', int_uniform or q_uniform, got {config!r}"
        )
    if not 0 < len(values) <= MAX_GRID_VALUES:
        raise BadRequestError(
            f"parameter {_show(parameter.name)}: a grid walks 1 to {MAX_GRID_VALUES:,} values,"
            f" this one has {len(values):,}"
        )
    return values


def _list_random_values(parameter: Any) -> Values | None:
    config = parameter.config
    if parameter.type == HyperParameter.CATEGORICAL:
        return _drop_repeats(config["values"])
    if parameter.type == HyperParameter.CATEGORICAL_PROB:
        pairs = zip(config["values"], config["probabilities"], strict=True)
        return _drop_repeats([value for value, probability in pairs if probability > 0])
    if parameter.type == HyperParameter.INT_UNIFORM:
        return range(config["min"], config["max"] + 1)
    if parameter.type == HyperParameter.Q_UNIFORM:
        first, last = round(config["min"] / config["q"]), round(config["max"] / config["q"])
        return _Steps(first * config["q"], config["q"], last - first + 1, first)
    return None


def _drop_repeats(values: list[Any]) -> list[Any]:
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(name_configuration(value), value)
    return list(seen.values())


def _show(name: str) -> str:
    return repr(name.replace(NESTING, "."))


class _Steps(Sequence[Any]):
    """Evenly spaced values, computed when asked for: start + i * q, or (first + i) * q."""

    def __init__(self, start: float, q: float, count: int, first: int | None = None) -> None:
        self._start, self._q, self._count, self._first = start, q, count, first

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if self._first is None:
            return self._start + index * self._q
        return (self._first + index) * self._q
