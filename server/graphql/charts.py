"""Custom charts: kept under the name that runs log with their tables.

The pages here draw curves, scatter plots and media of their own, and no Vega: a preset is kept so
that a program written for W&B's cloud runs, and what it logs names a chart that exists.
"""

from typing import Any

from ariadne import MutationType, ObjectType

from bpsweep.server.errors import BadRequestError
from bpsweep.server.graphql.common import Info, get_operation, read_path
from bpsweep.server.jsontext import parse_json
from bpsweep.server.store import Row, charts
from bpsweep.server.uploads import check_name

ACCESSES = ("PRIVATE", "PUBLIC")
TYPES_OF_SPEC = ("vega2",)

mutation = MutationType()
chart_type = ObjectType("CustomChart")


@mutation.field("createCustomChart")
def create_chart(_: None, info: Info, input: dict[str, Any]) -> Row:
    entity, _project = read_path(info, input["entity"], None)
    name = check_name(input["name"])
    if "/" in name:
        raise BadRequestError(f"a chart's name has no '/', got {name!r}")
    for field, allowed in (("type", TYPES_OF_SPEC), ("access", ACCESSES)):
        if input[field] not in allowed:
            raise BadRequestError(
                f"a chart's {field} is {' or '.join(allowed)}, got {input[field]!r}"
            )
    if not parse_json(input["spec"], "spec", dict):
        raise BadRequestError("a chart's spec is a Vega specification, got an empty one")
    with get_operation(info).server.database.write() as db:
        chart = charts.save_chart(
            db,
            entity,
            name,
            display_name=input["display_name"],
            type=input["type"],
            access=input["access"],
            spec=input["spec"],
        )
    return {"chart": chart}


@chart_type.field("id")
def resolve_id(chart: Row, _: Info) -> str:
    """Return what `wandb.plot_table(vega_spec_name=...)` takes."""
    return f"{chart['entity']}/{chart['name']}"


TYPES = (mutation, chart_type)
