"""The `parameters` of a sweep file: each checked, with what to write instead in every message."""

import math
import re
from collections.abc import Iterator
from typing import Any

from bpsweep.server.space import engine_schema
from bpsweep.server.sweepkeys import suggest_name

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What YAML 1.1 takes for a text though it is meant as a number: no dot, or no sign.
_NUMBER_TEXT = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?[eE]([+-]?)(\d+)")
# Distributions whose `min` and `max` are exponents, and those that take the values themselves.
EXPONENTS = {
    "log_uniform": "log_uniform_values",
    "inv_log_uniform": "inv_log_uniform_values",
    "q_log_uniform": "q_log_uniform_values",
}
_NUMBERS = ("min", "max", "mu", "sigma", "q", "a", "b")


def _read_distributions() -> dict[str, tuple[set[str], set[str]]]:
    """Return from the engine's schema the keys each distribution takes, and those it needs."""
    definitions = engine_schema.sweep_config_jsonschema["definitions"]
    # W&B's own definition of `uniform` has variants, for whole bounds and for others.
    found: dict[str, tuple[set[str], set[str]]] = {"uniform": ({"min", "max"}, {"min", "max"})}
    for name, definition in definitions.items():
        for option in (definition.get("properties") or {}).get("distribution", {}).get("enum", ()):
            if name.startswith("param_"):
                needed = set(definition["required"]) - {"distribution"}
                found.setdefault(option, (set(definition["properties"]) - {"distribution"}, needed))
    return found


DISTRIBUTIONS = _read_distributions()
_KEYS = {"distribution", "parameters", *(key for keys, _ in DISTRIBUTIONS.values() for key in keys)}


def write_number(text: Any) -> str | None:
    """Return how YAML 1.1 wants a number that it took for a text, or None for any other value."""
    match = _NUMBER_TEXT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    sign, whole, fraction, exponent_sign, exponent = match.groups()
    return f"{sign}{whole}.{fraction or '0'}e{exponent_sign or '+'}{exponent}"


def describe_text(text: str) -> str:
    """Say that YAML took a number for a text, and how to write it."""
    return f"YAML reads {text} as the text {text!r}: write {write_number(text)} for the number"


def find_problems(parameters: Any, place: str = "") -> Iterator[str]:
    """Say of each parameter that no run can be given what is wrong and what to write."""
    if not isinstance(parameters, dict) or not parameters:
        where = f"parameter {place!r}: 'parameters'" if place else "'parameters'"
        yield f"{where} is a mapping of names, with at least one, got {parameters!r}"
        return
    for name, spec in parameters.items():
        path = f"{place}.{name}" if place else name
        if not _NAME.fullmatch(name):
            odd = "".join(dict.fromkeys(re.sub(r"[A-Za-z0-9_.-]", "", name)))
            what = f"holds {odd!r}" if odd else f"begins with {name[:1]!r}"
            yield (
                f"parameter {path!r}: a name begins with a letter from a to z or _ and goes on with"
                f" letters, digits, _ . or -; this one {what}"
            )
        yield from (f"parameter {path!r}: {problem}" for problem in _find_in_spec(spec))
        if isinstance(spec, dict) and "parameters" in spec:
            yield from find_problems(spec["parameters"], path)


def find_warnings(parameters: dict[str, Any], place: str = "") -> Iterator[str]:
    """Say what is taken but may not be meant."""
    for name, spec in parameters.items():
        path = f"{place}.{name}" if place else name
        if "parameters" in spec:
            yield from find_warnings(spec["parameters"], path)
            continue
        values = spec.get("values", [spec.get("value")])
        for text in dict.fromkeys(value for value in values if write_number(value)):
            yield f"parameter {path!r}: {describe_text(text)}"
        better = EXPONENTS.get(spec.get("distribution", ""))
        if better is not None:
            low, high = math.exp(spec["min"]), math.exp(spec["max"])
            yield (
                f"parameter {path!r}: {spec['distribution']} takes min and max as exponents of e,"
                f" so its values lie between {low:.3g} and {high:.3g}; {better} takes the values"
                " themselves"
            )


def _find_in_spec(spec: Any) -> Iterator[str]:
    if not isinstance(spec, dict):
        yield f"write {{value: ...}} for a constant or {{values: [...]}} for a choice, got {spec!r}"
        return
    for key in spec:
        if key not in _KEYS:
            yield f"has no key {key!r}{suggest_name(key, _KEYS)}"
    if "parameters" in spec:
        if len(spec) > 1:
            others = ", ".join(repr(key) for key in spec if key != "parameters")
            yield f"holds nested 'parameters', so nothing else: leave out {others}"
        return
    chosen = [key for key in ("value", "values") if key in spec]
    if len(chosen) == 2:
        yield "has both 'value' and 'values': keep 'value' for a constant, 'values' for a choice"
    elif chosen == ["value"]:
        yield from _find_misplaced(spec, "constant", "a constant")
    elif chosen == ["values"]:
        yield from _find_in_values(spec)
    elif all(key in _KEYS for key in spec):
        yield from _find_in_range(spec)


def _find_in_values(spec: dict[str, Any]) -> Iterator[str]:
    values = spec["values"]
    weighted = "probabilities" in spec
    yield from _find_misplaced(
        spec, "categorical_w_probabilities" if weighted else "categorical", "a list of values"
    )
    if not isinstance(values, list) or not values:
        example = "[1, 2]" if isinstance(values, list) else f"[{values}]"
        yield f"'values' is a list of at least one value, write {example}, got {values!r}"
        return
    if not weighted:
        return
    chances = spec["probabilities"]
    if not isinstance(chances, list) or not all(_is_number(c) and c >= 0 for c in chances):
        yield f"'probabilities' is a list of numbers of at least 0, got {chances!r}"
    elif len(chances) != len(values):
        yield f"there are {len(values)} values and {len(chances)} probabilities: give one for each"
    elif not math.isclose(sum(chances), 1.0, rel_tol=1e-5, abs_tol=1e-8):
        yield f"the probabilities add up to {sum(chances):.6g}, not to 1"


def _find_misplaced(spec: dict[str, Any], distribution: str, what: str) -> Iterator[str]:
    """Say what stands beside a constant or a list that belongs to another distribution."""
    allowed, _ = DISTRIBUTIONS[distribution]
    given = spec.get("distribution", distribution)
    if given != distribution:
        yield f"{what} has the distribution {distribution}, not {given!r}: leave 'distribution' out"
    extra = [key for key in spec if key in _KEYS and key not in {*allowed, "distribution"}]
    if extra and not ("value" in spec and "values" in spec):
        yield f"{what} takes no {', '.join(repr(key) for key in extra)}: leave it out"


def _find_in_range(spec: dict[str, Any]) -> Iterator[str]:
    name = spec.get("distribution")
    if name is None:
        whole = all(_is_number(spec.get(key)) and spec[key] == int(spec[key]) for key in _BOUNDS)
        both_int = all(isinstance(spec.get(key), int) for key in _BOUNDS)
        name = "int_uniform" if whole and both_int else "uniform"
    elif not isinstance(name, str) or name not in DISTRIBUTIONS:
        hint = suggest_name(str(name), DISTRIBUTIONS)
        yield f"there is no distribution {name!r}{hint or ': choose one of ' + _list_names()}"
        return
    allowed, needed = DISTRIBUTIONS[name]
    extra = [key for key in spec if key not in {*allowed, "distribution"}]
    missing = sorted(needed - set(spec))
    if not spec.keys() - {"distribution"} & _KEYS and missing:
        yield f"write 'value', 'values', or 'min' and 'max' ({name} needs {_join(missing)})"
        return
    if extra:
        keys = _join(sorted(allowed)) or "nothing"
        yield f"{name} takes {keys}, not {_join(extra)}"
    if missing:
        yield f"{name} needs {_join(missing)}"
    yield from _find_in_numbers(spec, name, missing)


_BOUNDS = ("min", "max")


def _find_in_numbers(spec: dict[str, Any], name: str, missing: list[str]) -> Iterator[str]:
    numbers = {key: spec[key] for key in _NUMBERS if key in spec}
    wrong = {key: value for key, value in numbers.items() if not _is_number(value)}
    for key, value in wrong.items():
        if write_number(value):
            yield f"{key!r}: {describe_text(value)}"
        else:
            hint = f": write {value}" if _is_plain_number(value) else ""
            yield f"{key!r} is a number, got {value!r}{hint}"
    if wrong or missing:
        return
    if name == "int_uniform":
        for key in _BOUNDS:
            if not isinstance(numbers[key], int):
                yield f"{key!r} of int_uniform is a whole number, got {numbers[key]!r}"
    if "min" in numbers and "max" in numbers and numbers["min"] >= numbers["max"]:
        yield f"min {numbers['min']} is not less than max {numbers['max']}"
    if name in EXPONENTS.values() and numbers["min"] <= 0:
        yield f"{name} needs a 'min' above 0, since it takes logarithms, got {numbers['min']!r}"
    if numbers.get("q", 1) <= 0:
        yield f"'q', the step, is above 0, got {numbers['q']!r}"
    for key in ("sigma", "a", "b"):
        if numbers.get(key, 0) < 0:
            yield f"{key!r} is at least 0, got {numbers[key]!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?", value) is not None


def _join(keys: list[str]) -> str:
    return " and ".join(repr(key) for key in keys)


def _list_names() -> str:
    return ", ".join(sorted(DISTRIBUTIONS))
