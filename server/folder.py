"""The store's folder: the lock that keeps it to one server, the key, the address it serves at."""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bpsweep.report.disk import name_trouble
from bpsweep.server.errors import StoreError
from bpsweep.server.settings import Settings

KEY_FILE, ADDRESS_FILE, PORT_FILE, LOCK_FILE = "api_key", "server.json", "port", "lock"
USERS_FOLDER = "users"


class StoreInUseError(StoreError):
    """Another server serves this store."""


def prepare_folder(store: Path) -> None:
    """Make the store's folder, open to this user alone.

    Raises:
        StoreError: It cannot be made or written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = store / f".probe-{secrets.token_hex(8)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = name_trouble(error, store) or f"{error.strerror or error}."
        raise StoreError(
            f"cannot write to the store's folder {store}: {reason} Or choose another one with"
            " --store."
        ) from error


@contextmanager
def hold_lock(store: Path) -> Iterator[None]:
    """Keep other servers off this store until the end of the block.

    Raises:
        StoreInUseError: Another server holds it; the message says where it serves.
    """
    handle = os.open(store / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            address = read_address(store)
            where = address.get("url", "an address it has not written down yet")
            raise StoreInUseError(
                f"another server (process {address.get('pid', 'unknown')}) already serves"
                f" {store} at {where}"
            ) from error
        yield
    finally:
        os.close(handle)


def read_address(store: Path) -> dict[str, Any]:
    """Return what the running server wrote about itself, {} if there is nothing to read."""
    try:
        address = json.loads((store / ADDRESS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return address if isinstance(address, dict) else {}


def write_address(settings: Settings, url: str) -> None:
    """Say where this server serves; whoever reads the file sees all of it or none."""
    address = {
        "url": url,
        "pid": os.getpid(),
        "entity": settings.entity,
        "started_at": time.time(),
        "while_used": settings.while_used,
    }
    write_private(settings.store / ADDRESS_FILE, json.dumps(address))


def has_users(store: Path) -> bool:
    """Return whether a process holds the lock of its file in users/; the dead hold none."""
    for path in (store / USERS_FOLDER).glob("[0-9]*"):
        try:
            with path.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # ended this moment
            continue
    return False


def remove_address(store: Path) -> None:
    """Take the address away again."""
    with suppress(OSError):  # a disk that has become read-only: no other reads a dead one's
        (store / ADDRESS_FILE).unlink(missing_ok=True)


def ensure_key(store: Path) -> str:
    """Return the store's API key, made at the first start. The client wants 40 characters."""
    path = store / KEY_FILE
    try:
        key = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        key = secrets.token_hex(20)
        write_private(path, key + "\n")
    except OSError as error:
        raise StoreError(f"cannot read the API key in {path}: {error.strerror}") from error
    if len(key) < 40:
        raise StoreError(
            f"{path} holds no API key of 40 or more characters; delete it for a new one"
        )
    return key


def choose_port(store: Path, host: str, wanted: int | None) -> int:
    """Return the port to serve on: the wanted one, else the last one if free, else a free one.

    Raises:
        StoreError: The wanted port, or the address, cannot be had.
    """
    if wanted is not None:
        if not is_free(host, wanted) and wanted != 0:
            raise StoreError(f"port {wanted} of {host} is in use; choose another with --port")
        return wanted or _find_free_port(host)
    try:
        last = int((store / PORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = 0
    port = last if 0 < last < 65536 and is_free(host, last) else _find_free_port(host)
    if port != last:
        write_private(store / PORT_FILE, str(port))
    return port


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens at this address."""
    with _open_socket(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _find_free_port(host: str) -> int:
    with _open_socket(host) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise StoreError(f"cannot serve at {host}: {error.strerror}") from error
        return int(probe.getsockname()[1])


def _open_socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user reads, under a temporary name first."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
