"""Random requests: no 500, no crash, nothing outside the store. FUZZ_SECONDS sets how long."""

import gzip
import json
import os
import random
import time

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)
from server_support import GRID, KEY, open_local_server
from test_server_files import COMMIT as COMMIT_ARTIFACT
from test_server_files import CREATE_FILES, create_artifact, upload_artifact

from bpsweep.server import maintenance
from bpsweep.server.graphql.execute import build_schema
from bpsweep.server.settings import Settings

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
HISTORY = "wandb-history.jsonl"
TEXTS = [
    "", "p", "bpsweep", "r", "weights", "weights:latest", "weights:v0", "model", "latest", "v0",
    "../../escape", "/etc/passwd", "a" * 5_000, "\x00", "\ud800", "💥", "' OR 1=1 --", "%", "null",
    "{}", "[]", "{", '{"a": NaN}', '{"$and": [{"$or": []}]}', '{"name": {"$regex": "(("}}',
    '{"config.a.b": {"$gt": 3}}', "+config.x", "-summary_metrics.loss", "-", ",", GRID, "RUNNING",
    "PAUSED", "CANCELED", "FINISHED", "pending", "1e999", "-1", "Q3Vyc29yOjE=", "UnVuOjE=",
    "U3dlZXA6MQ==", "QWdlbnQ6MQ==", "QXJ0aWZhY3Q6MQ==", "TWFuaWZlc3Q6MQ==", "RmlsZTox",
    "UnVuOjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "QXJ0aWZhY3RTZXF1ZW5jZTox", '{"r": true}', "_step",
    "kAFQmDzST7DWlj99KOF/cg==",
]  # fmt: skip
DEPTHS = [50, 99, 101, 400, 950, 50_000]
BOMB = b'{"files": "' + b"x" * 20_000_000 + b'"}'
NUMBERS = [0, 1, -1, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**80), 0.5, 1e308, 10**400]


class Fuzzer:
    """Makes up operations that fit the schema, with values that fit nothing."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def make_operation(self):
        schema = build_schema()
        kind = self.rng.choice(["query", "mutation"])
        root = schema.query_type if kind == "query" else schema.mutation_type
        variables, declared = {}, []
        name, field = self.rng.choice(sorted(root.fields.items()))
        body = self.make_field(name, field, 0, variables, declared)
        head = f"{kind} F({', '.join(declared)})" if declared else f"{kind} F"
        return f"{head} {{ {body} }}", variables

    def make_field(self, name, field, depth, variables, declared):
        arguments = []
        for key, argument in field.args.items():
            required = isinstance(argument.type, GraphQLNonNull)
            if required or self.rng.random() < 0.5:
                label = f"v{len(variables)}"
                variables[label] = self.make_value(argument.type)
                declared.append(f"${label}: {argument.type}")
                arguments.append(f"{key}: ${label}")
        called = f"{name}({', '.join(arguments)})" if arguments else name
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            return f"a{self.rng.randrange(10**9)}: {called}"
        selected = self.select(inner, depth, variables, declared)
        return f"a{self.rng.randrange(10**9)}: {called} {{ {selected} }}"

    def select(self, kind, depth, variables, declared):
        if not isinstance(kind, GraphQLObjectType) and not hasattr(kind, "fields"):
            return "__typename"
        fields = sorted(kind.fields.items())
        if depth > 5:
            fields = [pair for pair in fields if is_leaf_type(get_named_type(pair[1].type))]
        chosen = self.rng.sample(fields, min(len(fields), self.rng.randint(1, 6)))
        parts = ["__typename"] if is_abstract_type(kind) else []
        parts += [self.make_field(n, f, depth + 1, variables, declared) for n, f in chosen]
        return " ".join(parts) or "__typename"

    def make_value(self, kind):
        if isinstance(kind, GraphQLNonNull):
            return self.make_value(kind.of_type)
        if self.rng.random() < 0.1:
            return None
        if isinstance(kind, GraphQLList):
            return [self.make_value(kind.of_type) for _ in range(self.rng.randint(0, 3))]
        if isinstance(kind, GraphQLInputObjectType):
            return {
                name: self.make_value(field.type)
                for name, field in kind.fields.items()
                if isinstance(field.type, GraphQLNonNull) or self.rng.random() < 0.7
            }
        if isinstance(kind, GraphQLEnumType):
            return self.rng.choice([*kind.values, "NOTHING"])
        if kind.name == "Boolean":
            return self.rng.choice([True, False])
        if kind.name in ("Int", "Int64", "Float"):
            return self.rng.choice(NUMBERS)
        return self.rng.choice(TEXTS) if self.rng.random() < 0.95 else self.rng.choice(NUMBERS)

    def make_line(self):
        depth = self.rng.choice(DEPTHS)
        lines = ['{"_step": 1e300}', '{"loss": 1}', '{"a\\u0000": "\\u0000"}', 3, "[" * depth]
        lines += ['{"x": ' + "[" * depth + "]" * depth + "}", '{"x":' * depth + "1" + "}" * depth]
        lines.append(f'{{"_step": {"9" * depth}, "loss": -Infinity}}')
        return self.rng.choice([*TEXTS, *lines])

    def make_stream(self):
        names = [HISTORY, "wandb-events.jsonl", "wandb-summary.json", "output.log", "other"]
        chunk = {
            "files": {
                self.rng.choice(names): {
                    "offset": self.rng.choice([0, 1, 5, *NUMBERS, "0", None]),
                    "content": [self.make_line() for _ in range(self.rng.choice([0, 1, 1, 3]))],
                }
            },
            "complete": self.rng.choice([True, False, None, "yes", 0]),
            "exitcode": self.rng.choice([0, 1, 255, None, "x", *NUMBERS]),
            "preempting": self.rng.choice([True, None, 3]),
        }
        kept = {key: value for key, value in chunk.items() if self.rng.random() < 0.6}
        body = bytearray(json.dumps(kept).encode())
        for _ in range(self.rng.choice([0, 0, 0, 1, 3])):
            body[self.rng.randrange(len(body))] = self.rng.randrange(256)
        if self.rng.random() < 0.1:
            del body[self.rng.randrange(len(body)) :]
        return bytes(body)

    def pack(self, content):
        """Return a body as it may be sent: plain, packed, packed twice, cut short, or a bomb."""
        how = self.rng.random()
        if how < 0.7:
            return content, {}
        packed = gzip.compress(BOMB if how < 0.75 else content)
        if 0.75 <= how < 0.8:
            packed = gzip.compress(packed)
        elif how < 0.85:
            packed = packed[: self.rng.randrange(len(packed))]
        return packed, {"content-encoding": self.rng.choice(["gzip", "gzip", "deflate", "GZIP"])}


def list_outside(tmp_path):
    return sorted(path for path in tmp_path.iterdir() if path.name != "store")


@pytest.mark.timeout(SECONDS + 120)
def test_random_requests_never_break_the_server(tmp_path):
    fuzzer = Fuzzer(SEED)
    before = list_outside(tmp_path)
    statuses = {}
    with open_local_server(tmp_path / "store", max_body_bytes=1_000_000) as server:
        server.start_run("r")
        server.make_agent(server.make_sweep())
        server.query(CREATE_FILES, files=["f"])
        artifact, manifest = create_artifact(server, b"weights")
        upload_artifact(server, artifact, manifest, b"weights")
        server.query(COMMIT_ARTIFACT, id=artifact["id"])
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if fuzzer.rng.random() < 0.7:
                query, variables = fuzzer.make_operation()
                content = json.dumps({"query": query, "variables": variables})
                answer = server.http.post("/graphql", content=content, auth=("api", KEY))
                sent = content
            else:
                content, headers = fuzzer.pack(fuzzer.make_stream())
                path = (
                    f"/files/bpsweep/p/{fuzzer.rng.choice(['r', 'new', '%00', '..'])}/file_stream"
                )
                answer = server.http.post(path, content=content, headers=headers, auth=("api", KEY))
                sent = content
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, sent
            assert "its log says more" not in answer.text, (sent, answer.text)
        assert server.http.get("/healthz").status_code == 200
        assert server.http.get("/", auth=("api", KEY)).status_code == 200
        assert server.http.get("/bpsweep/p", auth=("api", KEY)).status_code in (200, 404)
    print(f"answers by status after {SECONDS:.0f} s, seed {SEED}: {dict(sorted(statuses.items()))}")
    assert list_outside(tmp_path) == before
    problems = maintenance.check_store(Settings(tmp_path / "store"))
    assert [p for p in problems if "integrity" in p or "names a row" in p] == []
