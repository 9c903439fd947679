"""Fetching from an S3 over real HTTP, with a proxy between that does what networks do."""

import hashlib
import http.client
import json
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from bpsweep.data import fetch_plan
from bpsweep.data.bucket import BUCKET
from bpsweep.data.catalog import Subset
from bpsweep.data.errors import FetchError
from bpsweep.data.fetch import fetch_subset, plan_fetch
from bpsweep.data.fetcher import FetchSettings

HI = Subset.parse("hi-4h")
FAULTS = ("503", "short", "reset", "stall", "altered")


class Proxy(ThreadingHTTPServer):
    """Passes requests for objects on, and spoils some: the first of every file that `spoils`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, spoils: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.spoils = upstream, spoils
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def choose_fault(self, path: str) -> str | None:
        """Spoil the first request for some files, by a number that follows from the name."""
        number = int(hashlib.sha256(path.encode()).hexdigest(), 16)
        if not path.endswith(".tif"):
            number = 0
        with self.lock:
            self.requests[path] += 1
            if self.requests[path] > 1 or number % 100 >= self.spoils * 100:
                return None
            # Labels and listings are few: each begins with a refusal.
            fault = FAULTS[number // 100 % len(FAULTS)] if path.endswith(".tif") else "503"
            self.faults[fault] += 1
        return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error of the proxy."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.request("GET", self.path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        fault = self.server.choose_fault(self.path)
        if fault == "503":
            text = b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
            self.answer(503, {}, text, len(text))
            return
        headers = {
            name: answer.headers[name] for name in ("ETag", "Content-Type") if answer.headers[name]
        }
        if fault is None:
            self.answer(answer.status, headers, body, len(body))
            with self.server.lock:
                self.server.whole[self.path] += 1
            return
        if fault == "altered":
            self.answer(answer.status, headers, body[:-1] + bytes([body[-1] ^ 1]), len(body))
            return
        self.answer(answer.status, headers, body[: len(body) // 2], len(body))
        self.close_connection = True
        if fault == "stall":
            time.sleep(3)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes, n_bytes: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(n_bytes))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """An empty S3 with the bucket; its host and port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> object:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{moto}",
        region_name="us-west-2",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    connection = http.client.HTTPConnection(moto)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    client.put_bucket_policy(
        Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    )
    return client


@pytest.fixture
def start_proxy(moto: str) -> Iterator[object]:
    proxies = []

    def start(spoils: float = 0.0) -> Proxy:
        proxies.append(Proxy(moto, spoils))
        threading.Thread(target=proxies[-1].serve_forever, daemon=True).start()
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


def fill_bucket(s3: object, monkeypatch: pytest.MonkeyPatch, n_files: int) -> dict[str, bytes]:
    """Upload labels and noise under the names of the published layout; pin the labels."""
    rng = np.random.default_rng(0)
    names = [f"P{242 + 38 * (i % 2)}_7366-A6_001_{i:05d}_proj.tif" for i in range(n_files)]
    files = {name: rng.bytes(2000 + i % 500) for i, name in enumerate(names)}
    rows = [f"{name},{'0.82,Fe' if '242' in name else '1.0,X-ray'},4" for name in names]
    labels = "\n".join(["filename,dose_Gy,particle_type,hr_post_exposure", *rows]) + "\n"
    monkeypatch.setattr(fetch_plan, "LABELS_SHA256", hashlib.sha256(labels.encode()).hexdigest())
    s3.put_object(Bucket=BUCKET, Key="Microscopy/train/meta.csv", Body=labels.encode())
    for name, content in files.items():
        s3.put_object(Bucket=BUCKET, Key=f"Microscopy/train/{name}", Body=content)
    return files


def settings(proxy: Proxy, **changes: object) -> FetchSettings:
    return FetchSettings(**{"endpoint_url": proxy.url, "timeout_s": 1.0, "pause_s": 0.02} | changes)


def found(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


def test_everything_arrives_through_faults(s3, start_proxy, monkeypatch, tmp_path: Path) -> None:
    files = fill_bucket(s3, monkeypatch, 100)
    proxy = start_proxy(spoils=0.4)
    states = []
    fetch_subset(tmp_path / "set", HI, settings(proxy), states.append)
    assert found(tmp_path / "set") == files
    assert sum(proxy.faults.values()) > 20
    assert set(proxy.faults) == set(FAULTS)
    assert (states[-1].n_done, states[-1].n_files) == (100, 100)
    assert states[-1].bytes_done == states[-1].n_bytes == sum(map(len, files.values()))
    manifest = json.loads((tmp_path / "set" / "fetched.json").read_text())
    assert {name: about["sha256"] for name, about in manifest["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert not list((tmp_path / "set").glob(".*"))


def test_a_second_call_fetches_what_is_missing_or_spoilt(
    s3, start_proxy, monkeypatch, tmp_path: Path
) -> None:
    files = fill_bucket(s3, monkeypatch, 12)
    proxy = start_proxy()
    fetch_subset(tmp_path, HI, settings(proxy))
    names = sorted(files)
    (tmp_path / names[0]).unlink()
    (tmp_path / names[1]).write_bytes(files[names[1]][:-1])
    (tmp_path / names[2]).write_bytes(bytes(len(files[names[2]])))
    proxy.whole.clear()
    plan = plan_fetch(tmp_path, HI, settings(proxy))
    assert sorted(plan.missing) == names[:3]
    assert plan.bytes_missing == sum(len(files[name]) for name in names[:3])
    assert not [path for path in proxy.whole if path.endswith(".tif")]
    fetch_subset(tmp_path, HI, settings(proxy))
    assert found(tmp_path) == files
    assert [path.split("/")[-1] for path in sorted(proxy.whole) if path.endswith(".tif")] == names[
        :3
    ]


FETCH = """
import sys
from pathlib import Path
from bpsweep.data import fetch_plan
from bpsweep.data.catalog import Subset
from bpsweep.data.fetch import fetch_subset
from bpsweep.data.fetcher import FetchSettings
fetch_plan.LABELS_SHA256 = sys.argv[3]
settings = FetchSettings(sys.argv[2], timeout_s=1.0, pause_s=0.02)
fetch_subset(Path(sys.argv[1]), Subset.parse("hi-4h"), settings)
"""


def check_kill_and_resume(s3, start_proxy, monkeypatch, folder: Path, n_files: int) -> Proxy:
    """Kill a fetch when a third is there, fetch the rest; no file on disk is asked for again."""
    files = fill_bucket(s3, monkeypatch, n_files)
    proxy = start_proxy(spoils=0.3)
    command = [sys.executable, "-c", FETCH, str(folder), proxy.url, fetch_plan.LABELS_SHA256]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(root)}) as process:
        deadline = time.monotonic() + 120
        while len(found(folder)) < n_files // 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    time.sleep(0.5)
    there = found(folder)
    assert n_files // 3 <= len(there) < n_files
    assert all(files[name] == content for name, content in there.items())
    before = proxy.requests.copy()
    fetch_subset(folder, HI, settings(proxy))
    assert found(folder) == files
    assert not list(folder.glob(".*"))
    for name in there:
        path = f"/{BUCKET}/Microscopy/train/{name}"
        assert before[path]
        assert proxy.requests[path] == before[path]
    return proxy


def test_after_a_kill_nothing_is_fetched_twice(
    s3, start_proxy, monkeypatch, tmp_path: Path
) -> None:
    check_kill_and_resume(s3, start_proxy, monkeypatch, tmp_path / "set", 150)


@pytest.mark.slow
def test_two_thousand_files_through_faults_and_a_kill(
    s3, start_proxy, monkeypatch, tmp_path: Path
) -> None:
    proxy = check_kill_and_resume(s3, start_proxy, monkeypatch, tmp_path / "set", 2000)
    assert 5 * sum(proxy.faults.values()) >= sum(proxy.requests.values())


def test_changed_labels_are_explained_and_taken_only_with_the_flag(
    s3, start_proxy, monkeypatch, tmp_path: Path
) -> None:
    fill_bucket(s3, monkeypatch, 4)
    monkeypatch.setattr(fetch_plan, "LABELS_SHA256", "0" * 64)
    proxy = start_proxy()
    with pytest.raises(
        FetchError, match=r"meta\.csv has changed: it has 4 rows .* 77177 rows and 0000"
    ):
        fetch_subset(tmp_path / "set", HI, settings(proxy))
    assert not (tmp_path / "set").exists() or not list((tmp_path / "set").iterdir())
    fetch_subset(tmp_path / "set", HI, settings(proxy, accept_changed_labels=True))
    assert len(found(tmp_path / "set")) == 4


def test_masks_of_the_selected_cells_come_along(
    s3, start_proxy, monkeypatch, tmp_path: Path
) -> None:
    names = sorted(fill_bucket(s3, monkeypatch, 4))
    for cell in (names[0].removesuffix("_proj.tif"), "P242_7366-H9_001_00000"):
        for kind in ("DAPI_proj.tif", "mask.tif"):
            key = f"Microscopy/DAPI_MASK_images/{cell}_{kind}"
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"mask")
    s3.put_object(
        Bucket=BUCKET,
        Key=f"Microscopy/DAPI_MASK_images/{names[1].removesuffix('_proj.tif')}_/../../evil",
        Body=b"evil",
    )
    fetch_subset(tmp_path / "set", HI, settings(start_proxy(), with_masks=True))
    masks = sorted(path.name for path in (tmp_path / "set" / "DAPI_MASK_images").iterdir())
    cell = names[0].removesuffix("_proj.tif")
    assert masks == [f"{cell}_DAPI_proj.tif", f"{cell}_mask.tif"]
    assert not list(tmp_path.rglob("evil"))


def test_what_cannot_be_fetched_is_an_error(s3, start_proxy, monkeypatch, tmp_path: Path) -> None:
    files = fill_bucket(s3, monkeypatch, 6)
    proxy = start_proxy()
    s3.delete_object(Bucket=BUCKET, Key=f"Microscopy/train/{min(files)}")
    with pytest.raises(
        FetchError, match=f"1 of 6 images .* not in the bucket: {re.escape(min(files))}"
    ):
        fetch_subset(tmp_path / "a", HI, settings(proxy))
    s3.put_object(Bucket=BUCKET, Key=f"Microscopy/train/{min(files)}", Body=b"")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: os.terminal_size((0, 0)) and Disk())
    with pytest.raises(FetchError, match=r"6 files of 0 MB are to be fetched and 0 MB are free"):
        fetch_subset(tmp_path / "b", HI, settings(proxy))
    with pytest.raises(FetchError, match=r"meta\.csv: .*\(2 attempts\)"):
        plan_fetch(tmp_path, HI, FetchSettings("http://127.0.0.1:9", n_attempts=2, pause_s=0.01))
    with pytest.raises(FetchError, match=r"Invalid endpoint: nowhere; --endpoint-url is like"):
        plan_fetch(tmp_path, HI, FetchSettings("nowhere"))
    (tmp_path / "synthetic.json").write_text("{}")
    with pytest.raises(FetchError, match="holds a synthetic set"):
        fetch_subset(tmp_path, HI, settings(proxy))


class Disk:
    free = 1000
