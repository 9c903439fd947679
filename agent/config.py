"""What one run is asked to do: one typed model, defaults written once, checked whole."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import field_validator as validates

from bpsweep.agent.errors import ConfigError
from bpsweep.data.catalog import Subset
from bpsweep.data.geometry import Geometry
from bpsweep.data.intensity import Normalization
from bpsweep.data.splits import check_method

ModelName = Literal["lenet5", "mlp", "sklearn-mlp"]
TaskName = Literal["single-label", "multi-label"]
ControlName = Literal[
    "none", "background", "nucleus", "shuffled-labels", "histogram", "brightness", "sham"
]


def _refuse_disguised_number(value: Any) -> Any:
    """Refuse "64" and True where a number is due: a command line made text of it, or YAML did."""
    if isinstance(value, str | bool):
        raise ValueError(f"{value!r} is {type(value).__name__}, a number is needed")
    return value


Integer = Annotated[int, BeforeValidator(_refuse_disguised_number)]
Number = Annotated[float, BeforeValidator(_refuse_disguised_number)]


class RunConfig(BaseModel):
    """The settings of one run, each with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName = "lenet5"
    task: TaskName = "single-label"
    subset: str = "hi-4h"
    """Dose level and hours after exposure: hi-4h, med-4h+24h, low, all-4h, irradiated, all."""
    split: str = "well"
    """What is held out: whole plates, wells or fields, or single images (published, leaky)."""
    test_part: bool = False
    """Whether a fifth of the training rows is kept aside, untouched."""
    image_size: Integer = Field(default=64, ge=32, le=224)
    """Side of the square input in pixels."""
    geometry: Geometry = "resize"
    normalize: Normalization = "minmax"
    augment: bool = False
    batch_size: Integer = Field(default=64, ge=1, le=65_536)
    epochs: Integer = Field(default=10, ge=1, le=10_000)
    learning_rate: Number = Field(default=3e-4, gt=0, le=10)
    weight_decay: Number = Field(default=0.0, ge=0, le=10)
    """L2 coefficient added to the gradient."""
    seed: Integer = Field(default=42, ge=0, lt=2**32)
    control: ControlName = "none"
    """What is kept from the model, to see what a score can rest on; see agent.controls."""

    @validates("subset")
    @classmethod
    def _name_subset(cls, value: str) -> str:
        return str(Subset.parse(value))

    @validates("split")
    @classmethod
    def _check_split(cls, value: str) -> str:
        check_method(value)
        return value


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Check the settings of a run, all of them before any work starts.

    Args:
        values: Typed values by name, as wandb.config holds them.

    Raises:
        ConfigError: Unknown names or values out of range; every problem is listed.
    """
    try:
        return RunConfig(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(problem) for problem in error.errors())) from None


def check_value(name: str, value: Any) -> str | None:
    """Say what is wrong with one setting by itself; None where nothing is."""
    try:
        RunConfig(**{name: value})
    except ValidationError as error:
        return "\n".join(_describe(problem) for problem in error.errors())
    return None


def _describe(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return unknown_name("setting", name, RunConfig.model_fields)
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {problem['input']!r} is not allowed: {message[0].lower()}{message[1:]}."


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Say that a name is unknown, which one was likely meant, and which exist."""
    names = list(allowed)
    begun = [known for known in names if known.startswith(name)]
    near = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name}: unknown {kind}.{hint} Known: {', '.join(names)}."


def choices(name: str) -> tuple[Any, ...]:
    """Return the allowed values of a setting that has a fixed list of them, else ()."""
    return get_args(RunConfig.model_fields[name].annotation)
