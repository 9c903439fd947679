import json
import re
from importlib import resources
from pathlib import Path

import pytest
import wandb
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse, validate
from server_support import GRID, KEY, open_local_server
from wandb.apis._generated import operations as api_operations
from wandb.apis.public import runs as public_runs
from wandb.apis.public.files import FILE_FRAGMENT
from wandb.sdk.artifacts._generated import operations as artifact_operations
from wandb.sdk.internal._generated import operations as internal_operations

from bpsweep.server.graphql.execute import MAX_DEPTH, build_schema

# Operations of the stock client that this server answers, in Python and in wandb-core.
SUPPORTED = """
    Viewer GetViewer GetDefaultEntity ServerInfo ServerFeaturesQuery GetProjects GetProject
    CreateProject IsProjectReadOnly GetSweeps GetSweep GetSweepLegacy GetSweepAgent GetSweepAgents
    GetAgentRuns SearchUsers UpsertSweep SweepWithRuns CreateAgent Heartbeat GetSweepState
    Runs Run RunState RunSampledHistory RunFullHistory RunHistoryKeys RunFiles deleteFiles
    UpsertBucket DeleteRun UpdateRunState StopRun RunResumeStatus RunStoppedStatus RewindRun
    CreateRunFiles MarkRunFilesUploaded HistoryPage SampledHistoryPage RunParquetHistory
    RunConsoleLogTail RunConsoleLogPage QueryRunInfo NotifyScriptableRunAlert
    OrganizationCoreWeaveOrganizationID OrgFeatureFlags FetchOrgEntityFromEntity
    CreateArtifact CreateArtifactManifest UpdateArtifactManifest CreateArtifactFiles CommitArtifact
    UseArtifact UpdateArtifact DeleteArtifact LinkArtifact UnlinkArtifact AddAliases DeleteAliases
    ArtifactManifest ArtifactFileURLsByManifestEntries ClientIDMapping ArtifactByID
    ArtifactMembershipByName ArtifactMembershipFiles GetArtifactMembershipFileUrls ArtifactUsedBy
    ArtifactCreatedBy ArtifactType FetchArtifactManifest FetchLinkedArtifacts
    ProjectArtifactTypes ProjectArtifactType ProjectArtifacts ProjectArtifactCollections
    ProjectArtifactCollection ArtifactTypeArtifactCollections ArtifactCollectionAliases
    RunOutputArtifacts RunInputArtifacts UpdateArtifactSequence UpdateArtifactPortfolio
    DeleteArtifactSequence DeleteArtifactPortfolio AddArtifactCollectionTags
    DeleteArtifactCollectionTags ArtifactOfType FetchOrgInfoFromEntity
""".split()  # noqa: SIM905

_DOCUMENT = re.compile(rb"(?:query|mutation) [A-Za-z]\w+ ?[({][\x09\x0a\x20-\x7e]{20,6000}?\n\}")


def collect_documents():
    """Return every GraphQL document that the installed client ships, by operation name."""
    texts = [
        getattr(module, name)
        for module in (api_operations, artifact_operations, internal_operations)
        for name in module.__all__
    ]
    texts += [public_runs._create_runs_query(lazy=lazy) for lazy in (True, False)]
    core = resources.files(wandb).joinpath("bin/wandb-core").read_bytes()
    texts += [match.group().decode() for match in _DOCUMENT.finditer(core)]
    for path in Path(wandb.__file__).parent.joinpath("apis", "public").glob("*.py"):
        for text in re.findall(
            r'"""(?:#graphql)?\s*((?:query|mutation) \w+\s*[({].*?)"""', path.read_text(), re.S
        ):
            plain = text.replace("_PROJECT_QUERY_", "").replace("{{", "{").replace("}}", "}")
            plain = plain.replace("{FILE_FRAGMENT}", FILE_FRAGMENT)
            plain = plain.replace("...{fragment_name}", "...RunFragment").replace(
                "{fragment}", public_runs.RUN_FRAGMENT
            )
            texts.append(plain)
    found = {}
    for text in texts:
        try:
            document = parse(text)
        except Exception:  # a template that is filled in at run time
            continue
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode) and node.name:
                found.setdefault(node.name.value, []).append(text)
    return found


DOCUMENTS = collect_documents()


@pytest.mark.parametrize("name", [name for name in SUPPORTED if name in DOCUMENTS])
def test_the_clients_documents_fit_our_schema(name):
    for text in DOCUMENTS[name]:
        document = parse(text)
        spread = {
            n.name.value for n in document.definitions if isinstance(n, FragmentDefinitionNode)
        }
        if set(re.findall(r"\.\.\.\s*(?!on\b)(\w+)", text)) - spread:
            continue  # its fragments are added at run time
        errors = [error.message for error in validate(build_schema(), document)]
        assert not [error for error in errors if "never used" not in error], text


def test_the_clients_documents_were_found():
    # Those missing here are templates that the end-to-end tests send for real.
    assert set(SUPPORTED) - set(DOCUMENTS) <= {
        "ServerInfo", "RunStoppedStatus", "RunFullHistory", "DeleteRun", "UseArtifact",
    }  # fmt: skip


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store") as opened:
        yield opened


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "'query' is a GraphQL text"),
        ({"query": 3}, "'query' is a GraphQL text"),
        ({"query": "{"}, "Syntax Error"),
        ({"query": "{ nothing }"}, "Cannot query field 'nothing'"),
        ({"query": "mutation Launch { launchRocket { ok } }"}, "launchRocket"),
        ({"query": "{ viewer { id } }", "variables": []}, "'variables' is an object"),
        ({"query": "{ viewer { id } }", "operationName": 3}, "'operationName' is a text"),
        ({"query": "{ viewer { id } }", "operationName": "X"}, "Unknown operation"),
        ({"query": "query Q($id: ID!) { artifact(id: $id) { id } }"}, "$id"),
        ({"query": '{ artifact(id: "x") { id } }'}, "is no id of the kind Artifact"),
        (
            {"query": "{ " + " ".join(f"a{i}: viewer {{ id }}" for i in range(3_000)) + " }"},
            "tokens",
        ),
        ({"query": "#" + "x" * 200_000}, "at most 100,000 characters"),
        ({"query": "{ a: __schema " + "{ types " * 12 + "{ name }" + "}" * 12 + "}"}, ""),
    ],
)
def test_what_cannot_be_understood_is_a_clear_error(server, body, message):
    answer = server.http.post("/graphql", json=body, auth=("api", KEY))
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]


def test_queries_too_deep_or_too_wide_are_refused(server):
    deep = '{ project(name: "p", entityName: "e") ' + "{ user { teams { edges { node { project " * 5
    deep += "{ id }" + "} } } } } " * 5 + "}"
    answer = server.ask(deep)
    assert answer.status_code == 400
    assert f"deeper than {MAX_DEPTH}" in answer.json()["errors"][0]["message"]
    spread = "fragment A on User { " + " ".join(f"a{i}: id" for i in range(300)) + " }\n"
    spread += "query Q { " + " ".join(f"v{i}: viewer {{ ...A }}" for i in range(10)) + " }"
    answer = server.ask(spread)
    assert answer.status_code == 400
    assert "more than" in answer.json()["errors"][0]["message"]


def test_types_that_old_clients_look_up_are_there(server):
    query = (
        "query Q($name: String!) { __type(name: $name) { fields { name } inputFields { name } } }"
    )
    for name in ("Query", "Mutation", "ServerInfo", "ServerSettings", "UseArtifactInput", "Run"):
        assert server.query(query, name=name)["__type"] is not None, name


def test_fields_of_newer_clients_are_dropped(server):
    mutation = """mutation U($input: UpsertBucketInput!) {
        upsertBucket(input: $input) { bucket { name } } }"""
    values = {"entityName": "e", "modelName": "p", "name": "r", "someNewField": None}
    data = server.query(mutation, input=values)
    assert data["upsertBucket"]["bucket"]["name"] == "r"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with open_local_server(tmp_path_factory.mktemp("filled") / "store") as opened:
        fill(opened)
        yield opened


def fill(server):
    for number in range(6):
        server.start_run(
            f"r{number}",
            config=json.dumps({"lr": {"value": number / 10}, "net": {"value": {"depth": number}}}),
            summaryMetrics=f'{{"val/acc": {number}, "a.b": 1, "nan": NaN}}',
            tags=["even"] if number % 2 == 0 else [],
            groupName="g" if number < 2 else None,
            displayName=f"run {number}",
        )
        server.finish(f"r{number}", number % 2)


RUNS = """query Runs($filters: JSONString, $order: String, $first: Int, $after: String) {
    project(name: "p", entityName: "bpsweep") { runCount(filters: $filters)
    runs(filters: $filters, order: $order, first: $first, after: $after) {
    edges { node { name } cursor } pageInfo { hasNextPage endCursor } } } }"""


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "012345"),
        ({"name": "r3"}, "3"),
        ({"state": "finished"}, "024"),
        ({"state": {"$ne": "finished"}}, "135"),
        ({"config.lr": 0.3}, "3"),
        ({"config.lr.value": {"$gte": 0.4}}, "45"),
        ({"config.net.value.depth": {"$lt": 2}}, "01"),
        ({"config.net.depth": 5}, "5"),
        ({"summary_metrics.val/acc": {"$gt": 1, "$lte": 3}}, "23"),
        ({"summary_metrics.a.b": 1}, "012345"),
        ({"summary_metrics.nan": {"$exists": True}}, ""),
        ({"summary_metrics.none": None}, "012345"),
        ({"tags": "even"}, "024"),
        ({"tags": {"$in": ["even", "odd"]}}, "024"),
        ({"tags": {"$nin": ["even"]}}, "135"),
        ({"group": "g"}, "01"),
        ({"display_name": {"$regex": "^run [45]$"}}, "45"),
        ({"$or": [{"name": "r1"}, {"$and": [{"state": "failed"}, {"name": "r5"}]}]}, "15"),
        ({"$not": {"name": {"$in": ["r0", "r1", "r2"]}}}, "345"),
        ({"name": {"$not": {"$in": ["r0", "r1", "r2"]}}}, "345"),
        ({"created_at": {"$gt": "2020-01-01T00:00:00Z"}}, "012345"),
        ({"created_at": {"$lt": "2020-01-01"}}, ""),
        ({"username": "bpsweep"}, "012345"),
        ({"sweep": None}, "012345"),
    ],
)
def test_filters_find_what_they_say(filled, filters, expected):
    project = filled.query(RUNS, filters=json.dumps(filters))["project"]
    assert "".join(edge["node"]["name"][1:] for edge in project["runs"]["edges"]) == expected
    assert project["runCount"] == len(expected)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("-created_at", "543210"),
        ("+summary_metrics.val/acc", "012345"),
        ("-summary_metrics.val/acc", "543210"),
        ("-config.lr.value", "543210"),
        ("+state,-name", "531420"),
    ],
)
def test_orders_and_pages(filled, order, expected):
    expected = {"+state,-name": "531420"}.get(order, expected)
    seen, after = "", None
    while True:
        listed = filled.query(RUNS, order=order, first=4, after=after)["project"]["runs"]
        seen += "".join(edge["node"]["name"][1:] for edge in listed["edges"])
        if not listed["pageInfo"]["hasNextPage"]:
            break
        after = listed["pageInfo"]["endCursor"]
    assert seen == expected


@pytest.mark.parametrize(
    "filters",
    [
        '{"nothing": 1}',
        '{"$where": "1"}',
        '{"name": {"$evil": 1}}',
        '{"$and": 3}',
        "[1]",
        "{",
        "{}x",
        '{"name": {"$in": 3}}',
        '{"created_at": "soon"}',
        '{"tags": {"$gt": 1}}',
    ],
)
def test_filters_that_make_no_sense_say_so(filled, filters):
    answer = filled.ask(RUNS, filters=filters)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


def test_names_never_become_sql(filled):
    name = "x') OR 1=1; DROP TABLE runs; --"
    for filters in ({"name": name}, {f"config.{name}": 1}, {f"summary_metrics.{name}": name}):
        assert filled.query(RUNS, filters=json.dumps(filters))["project"]["runCount"] == 0
    assert filled.query(RUNS, filters="{}")["project"]["runCount"] == 6


def test_a_sweep_and_its_best_run_are_read_as_the_client_reads_them(server):
    sweep = server.make_sweep(GRID)
    agent = server.make_agent(sweep)
    for loss in (3.0, 1.0):
        (command,) = server.beat(agent)
        server.start_run(command["run_id"], summaryMetrics=f'{{"loss": {loss}}}')
        server.finish(command["run_id"])
    text = next(text for text in DOCUMENTS["GetSweep"] if "SweepFragment" in text)
    found = server.query(text, name=sweep["name"], project="p", entity="bpsweep")["project"][
        "sweep"
    ]
    assert (found["bestLoss"], found["runCount"], found["runCountExpected"]) == (1.0, 2, 4)


def test_a_user_is_a_team_of_one(server):
    answer = server.query("""{ viewer { teams { edges { node { name } } } }
        entity(name: "bpsweep") { name storageBytes privateOnly members { username accountType } }
        other: entity(name: "elsewhere") { members { username } } }""")
    assert answer["viewer"]["teams"]["edges"] == [{"node": {"name": "bpsweep"}}]
    assert answer["entity"]["storageBytes"] == 0
    assert answer["entity"]["privateOnly"] is False
    assert answer["entity"]["members"] == [{"username": "bpsweep", "accountType": "USER"}]
    assert answer["other"]["members"] == []
    query = "query E($name: String) { entity(name: $name) { id name } }"
    half = json.dumps({"query": query, "variables": {"name": "\ud800"}})  # escaped, as clients do
    answer = server.http.post("/graphql", content=half, auth=("api", KEY))
    assert json.loads(answer.content)["data"]["entity"]["name"] == "\ud800"
