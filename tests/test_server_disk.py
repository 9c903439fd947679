"""A store whose disk takes nothing more: real small filesystems; who asks is told, and waits."""

import errno
import logging
import os
import re
import subprocess
import sys
import time

import httpx
import pytest
from disk_support import fill, mount_ext4, mount_tmpfs, turn_read_only
from server_support import KEY, ROOT, open_local_server, open_server_process, wait_until

from bpsweep.report.disk import DiskTrouble, find_trouble, name_trouble


def test_a_full_store_says_so_everywhere_and_loses_nothing(tmp_path, caplog):
    with mount_tmpfs(tmp_path / "small", 24) as folder, open_local_server(folder / "store") as it:
        it.start_run("r", config="{}")
        it.log("r", {"loss": 1.0})
        filler = fill(folder)
        with caplog.at_level(logging.WARNING):
            answer = it.stream("r", files={"wandb-history.jsonl": history(1, 2_000)})
            again = it.stream("r", files={"wandb-history.jsonl": history(1, 2_000)})
        assert (answer.status_code, again.status_code) == (507, 507)
        assert str(folder / "store") in answer.json()["error"]
        assert "is full" in answer.json()["error"] and "Delete something" in answer.json()["error"]
        said = [record.message for record in caplog.records if "is full" in record.message]
        assert len(said) == 1 and str(folder / "store") in said[0], caplog.text
        assert it.http.get("/healthz").json() == {"status": "ok", "disk": "ENOSPC"}
        assert_page_says(it, "is full")
        refused = it.ask(UPSERT, input={"entityName": "bpsweep", "modelName": "p", "name": "s"})
        assert refused.status_code == 507, refused.text
        filler.unlink()
        wait_until(lambda: it.http.get("/healthz").json() == {"status": "ok"}, 10)
        assert_page_says(it, "")
        assert it.stream("r", files={"wandb-history.jsonl": history(1, 2_000)}).status_code == 200
        assert it.find_run("r")["historyLineCount"] == 2_001


CREATE_FILE = """mutation { createRunFiles(input: {entityName: "bpsweep", projectName: "p",
    runName: "r", files: ["big.bin"]}) { files { uploadUrl } } }"""
UPSERT = """mutation UpsertBucket($input: UpsertBucketInput!) {
    upsertBucket(input: $input) { bucket { id } inserted } }"""


def history(offset, n_lines):
    lines = [
        f'{{"_step": {offset + i}, "text": "{os.urandom(256).hex()}"}}' for i in range(n_lines)
    ]
    return {"offset": offset, "content": lines}


def assert_page_says(it, text):
    page = it.http.get("/", auth=("api", KEY)).text
    (note,) = re.findall(r'<p class="note" id="disk" role="alert" ([^>]*)>([^<]*)</p>', page)
    assert text in note[1] and (note[0] == "hidden") == (not text), note
    assert text in it.http.get("/disk.json", auth=("api", KEY)).json()["note"]


def test_a_full_disk_keeps_no_part_of_an_upload(tmp_path):
    with mount_tmpfs(tmp_path / "small", 24) as folder, open_local_server(folder / "store") as it:
        it.start_run("r", config="{}")
        (entry,) = it.query(CREATE_FILE)["createRunFiles"]["files"]
        url = entry["uploadUrl"]
        answer = it.http.put(url, content=bytes(40 << 20))
        assert answer.status_code == 507 and str(folder / "store") in answer.json()["error"]
        kept = [p for p in (folder / "store" / "uploads").rglob("*") if p.is_file()]
        assert not kept
        assert it.http.put(url, content=b"small").status_code == 200


def test_a_disk_that_turns_read_only_is_told_and_served(tmp_path):
    with mount_ext4(tmp_path / "disk") as folder, open_local_server(folder / "store") as it:
        it.start_run("r", config="{}")
        turn_read_only(folder)
        answer = it.stream("r", files={"wandb-history.jsonl": history(0, 2)})
        assert answer.status_code == 507 and "is read-only" in answer.json()["error"], answer.text
        assert_page_says(it, "is read-only")


@pytest.mark.slow
def test_a_run_is_not_silent_while_nothing_could_be_stored(tmp_path):
    """Its words were refused: its lease begins anew when the disk has room."""
    with (
        mount_tmpfs(tmp_path / "small", 24) as folder,
        open_local_server(folder / "store", lease_seconds=2.0) as it,
    ):
        it.start_run("r", config="{}")
        filler = fill(folder)
        wait_until(lambda: "disk" in it.http.get("/healthz").json(), 10)
        time.sleep(4)
        filler.unlink()
        wait_until(lambda: "disk" not in it.http.get("/healthz").json(), 10)
        assert it.find_run("r")["state"] == "running"
        wait_until(lambda: it.find_run("r")["state"] == "crashed", 10)


@pytest.mark.slow
def test_a_file_size_limit_is_named(tmp_path):
    with open_server_process(tmp_path / "store"):
        pass
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({20 << 20},) * 2)"
    program = f"{limited}; from bpsweep.server.__main__ import main; raise SystemExit(main())"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--store", str(tmp_path / "store")],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: "Serving" in (tmp_path / "log").read_text(), 30)
        url = re.search(r"at (http://\S+)", (tmp_path / "log").read_text()).group(1)
        key = (tmp_path / "store" / "api_key").read_text().strip()
        with httpx.Client(base_url=url, auth=("api", key), timeout=60) as client:
            values = {"entityName": "bpsweep", "modelName": "p", "name": "r"}
            query = {"query": UPSERT, "variables": {"input": values}}
            assert client.post("/graphql", json=query).status_code == 200
            chunk = {"files": {"wandb-history.jsonl": history(0, 50_000)}}
            answer = client.post("/files/bpsweep/p/r/file_stream", json=chunk)
        assert answer.status_code == 507 and "ulimit -f" in answer.json()["error"], answer.text
    finally:
        process.terminate()
        process.wait()
    assert "file-size limit" in (tmp_path / "log").read_text()


def test_a_server_that_cannot_start_on_a_full_disk_says_why(tmp_path):
    with mount_tmpfs(tmp_path / "small", 1) as folder:
        (folder / "store").mkdir()
        fill(folder)
        answer = subprocess.run(
            [sys.executable, "-m", "bpsweep.server", "--store", str(folder / "store")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 2 and "Traceback" not in answer.stderr, answer.stderr
    assert str(folder / "store") in answer.stderr and "is full" in answer.stderr


def test_each_kind_of_trouble_is_found_and_told_from_rights(tmp_path):
    assert find_trouble(tmp_path / "not" / "there" / "yet") is None
    assert find_trouble(tmp_path, needed_bytes=1 << 60).kind == errno.ENOSPC
    quota = OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / "a" / "file"))
    try:
        raise ValueError("in other words") from quota
    except ValueError as error:
        found = name_trouble(error, tmp_path)
    assert found == DiskTrouble(f"the folder {str(tmp_path)!r}", errno.EDQUOT)
    assert "quota" in str(found) and not found.is_final
    assert DiskTrouble("x", errno.EFBIG).is_final
    assert name_trouble(PermissionError(errno.EACCES, "no", "/a"), tmp_path) is None
    assert not list(tmp_path.glob(".bpsweep-room*"))
