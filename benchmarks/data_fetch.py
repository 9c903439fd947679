"""Files a second of `bpsweep data fetch` and of `aws s3 cp --recursive`, from the same server.

    python benchmarks/data_fetch.py [AWS_COMMAND] [--n-files 2000] [--n-turns 3]

The server is moto's (of the extra `test`), a process of its own on this machine, with files of
30 kB of random bytes: the numbers compare the two clients, and say little about the real bucket.
AWS_COMMAND is the AWS command line interface (`pip install awscli`, best in an environment of its
own), `aws` by default. Each turn fetches everything into an empty folder, the order alternating.
Prints the machine and, for each turn and client, files, seconds and files a second.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import numpy as np
from machine import describe_machine

from bpsweep.data.bucket import BUCKET, REGION
from bpsweep.data.catalog import META_COLUMNS, META_NAME, Subset
from bpsweep.data.fetch import fetch_subset
from bpsweep.data.fetch_plan import IMAGES_PREFIX
from bpsweep.data.fetcher import FetchSettings

_FILE_BYTES = 30_000  # about the mean of the published images
_PLATES = ("P242", "0.82,Fe,4"), ("P280", "1.0,X-ray,4")  # what hi-4h selects
_START_TIMEOUT_S = 60


@contextmanager
def run_server() -> Iterator[str]:
    """An S3 server in a process of its own, as its address; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("moto_server")), "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port: int) -> None:
    """Return when somebody listens there; TimeoutError when nobody does."""
    end_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no server on port {port} after {_START_TIMEOUT_S} s")


def fill_bucket(url: str, n_files: int) -> None:
    """A public bucket with labels and `n_files` files that fit them."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 - the server takes whatever comes
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [everyone]}
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    rng = np.random.default_rng(0)
    lines = [",".join(META_COLUMNS)]
    for number in range(n_files):
        plate, condition = _PLATES[number % 2]
        name = f"{plate}_7366-A6_001_{number:05d}_proj.tif"
        lines.append(f"{name},{condition}")
        client.put_object(Bucket=BUCKET, Key=IMAGES_PREFIX + name, Body=rng.bytes(_FILE_BYTES))
    labels = "\n".join(lines) + "\n"
    client.put_object(Bucket=BUCKET, Key=IMAGES_PREFIX + META_NAME, Body=labels.encode())


def fetch_with_bpsweep(folder: Path, url: str) -> None:
    """What `bpsweep data fetch` calls; the made-up labels are not the published ones."""
    settings = FetchSettings(url, accept_changed_labels=True)
    fetch_subset(folder, Subset.parse("hi-4h"), settings)


def fetch_with_aws(folder: Path, url: str, aws_command: str) -> None:
    """The same files with Amazon's own program."""
    options = ["--recursive", "--no-sign-request", "--only-show-errors"]
    where = ["--endpoint-url", url, "--region", REGION]
    source = f"s3://{BUCKET}/{IMAGES_PREFIX}"
    subprocess.run(
        [aws_command, "s3", "cp", *options, *where, source, str(folder)],
        check=True,
    )


def main() -> None:
    """Start and fill the server, let both fetch in turns, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("aws_command", nargs="?", default="aws")
    parser.add_argument("--n-files", type=int, default=2000)
    parser.add_argument("--n-turns", type=int, default=3)
    arguments = parser.parse_args()
    aws_command = shutil.which(arguments.aws_command)
    if aws_command is None:
        parser.error(f"no program {arguments.aws_command!r}; `pip install awscli` gives one")
    fetchers = {
        "bpsweep": fetch_with_bpsweep,
        "aws s3 cp": lambda folder, url: fetch_with_aws(folder, url, aws_command),
    }
    print(describe_machine("boto3", "moto"), "\n")
    print("| turn | client | files | seconds | files/s |")
    print("|---|---|---|---|---|")
    with run_server() as url, tempfile.TemporaryDirectory() as name:
        fill_bucket(url, arguments.n_files)
        for turn in range(arguments.n_turns):
            for client in sorted(fetchers, reverse=turn % 2 == 0):
                folder = Path(name) / f"{turn} {client}"
                before_s = time.perf_counter()
                fetchers[client](folder, url)
                seconds = time.perf_counter() - before_s
                n_files = len(list(folder.glob("*.tif")))
                rate = f"{n_files:,} | {seconds:.1f} | {n_files / seconds:.0f}"
                print(f"| {turn + 1} | {client} | {rate} |", flush=True)
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
