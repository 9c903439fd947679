import json

import pytest
from server_support import ENTITY, open_local_server

CREATE = """mutation C($input: CreateCustomChartInput!) { createCustomChart(input: $input) {
    chart { id displayName } } }"""
SPEC = json.dumps({"mark": "bar"})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with open_local_server(tmp_path_factory.mktemp("charts") / "store") as opened:
        yield opened


def create_chart(server, **values):
    chart = {
        "entity": ENTITY,
        "name": "bars",
        "displayName": "Bars",
        "type": "vega2",
        "access": "PRIVATE",
        "spec": SPEC,
        **values,
    }
    return server.ask(CREATE, input=chart)


def test_a_chart_is_created_once_and_then_changed(server):
    for shown in ("Bars", "More bars"):
        chart = create_chart(server, displayName=shown).json()["data"]["createCustomChart"]["chart"]
        assert chart == {"id": "bpsweep/bars", "displayName": shown}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "a/b", "no '/'"),
        ("name", "", "not a relative file name"),
        ("type", "vega9", "type is vega2, got 'vega9'"),
        ("access", "open", "access is PRIVATE or PUBLIC, got 'open'"),
        ("spec", "{", "spec is not JSON"),
        ("spec", "{}", "an empty one"),
    ],
)
def test_what_is_no_chart_is_refused_in_words(server, field, value, said):
    answer = create_chart(server, **{field: value})
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]
