"""`python -m bpsweep.server --store DIR`: serve one store until told to stop."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from bpsweep.server import accounts, folder, maintenance
from bpsweep.server.app import create_app
from bpsweep.server.context import Context
from bpsweep.server.disk import Disk
from bpsweep.server.errors import NoRoomError, StoreError
from bpsweep.server.graphql.execute import build_schema
from bpsweep.server.hosts import is_loopback, known_names
from bpsweep.server.settings import DEFAULT_PROJECT, Settings
from bpsweep.server.store import users

EXIT_PROBLEMS, EXIT_STORE, EXIT_IN_USE = 1, 2, 3
# Open connections (a paused agent's, a browser's) get this long after SIGINT or SIGTERM.
SHUTDOWN_S = 1
# Agents speak every 5 s, runs every 15 s: closed in between, a connection may break as it is used.
KEEP_ALIVE_S = 60


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bpsweep.server",
        description="Serve W&B's sweeps, runs, files and artifacts to the stock wandb client.",
    )
    defaults = Settings(Path())
    parser.add_argument("--store", type=Path, required=True, help="folder of the database")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="port (default: the last one, or a free one)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="let --host be reachable from other machines: whoever has the key can then read and"
        " change everything here, and the key travels unencrypted, so use it inside a trusted"
        " network or behind a TLS proxy",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name at which clients reach this server, as that of a proxy before it; requests"
        " for other names are refused (may be given several times)",
    )
    parser.add_argument(
        "--lease-seconds",
        type=float,
        default=defaults.lease_seconds,
        help="a run silent for so long, its agent too, has crashed (default %(default)s)",
    )
    parser.add_argument(
        "--max-attempts",
        type=int,
        default=defaults.max_attempts,
        help="hand out a crashed configuration again by itself, up to so many attempts"
        " (default %(default)s: only when asked)",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end when no process is present in the store's folder users/ any more; for a server"
        " that a command starts for itself",
    )
    parser.add_argument(
        "--check", action="store_true", help="say what is wrong with the store, then end"
    )
    parser.add_argument(
        "--backup", type=Path, metavar="DIR", help="copy the store to a new folder, then end"
    )
    parser.add_argument(
        "--add-user",
        metavar="NAME",
        help="make a user and print their key, which is shown once, then end; users share all that"
        " is here, but a key of one's own can be taken away alone",
    )
    parser.add_argument("--remove-user", metavar="NAME", help="take a user's key away, then end")
    parser.add_argument("--list-users", action="store_true", help="say who has a key, then end")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning"])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and return the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if not is_loopback(options.host) and not options.allow_remote:
        parser.error(
            f"--host {options.host} can be reached from other machines. Add --allow-remote if you"
            " mean it: whoever has the key can then read and change everything here, and the key"
            " travels unencrypted"
        )
    if options.port is not None and not 0 <= options.port < 65536:
        parser.error(f"--port is 0 (any) to 65535, got {options.port}")
    if options.lease_seconds <= 0 or options.max_attempts < 1:
        parser.error("--lease-seconds is more than 0 and --max-attempts at least 1")
    logging.basicConfig(level=options.log_level.upper(), format="%(levelname)s %(message)s")
    store = options.store.expanduser().resolve()
    settings = Settings(
        store,
        lease_seconds=options.lease_seconds,
        max_attempts=options.max_attempts,
        while_used=options.while_used,
        hosts=known_names(options.host, options.allowed_host),
        any_address=not is_loopback(options.host),
    )
    try:
        if options.check or options.backup is not None:
            return maintain(settings, check=options.check, backup=options.backup)
        if options.add_user or options.remove_user or options.list_users:
            return keep_users(settings, add=options.add_user, remove=options.remove_user)
        folder.prepare_folder(store)
        with Disk(store).refusals(), folder.hold_lock(store):
            serve(settings, options.host, options.port, options.log_level)
    except folder.StoreInUseError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_IN_USE
    except (StoreError, NoRoomError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_STORE
    return 0


def maintain(settings: Settings, *, check: bool, backup: Path | None) -> int:
    """Check or copy a store, whether it is being served or not, and return the exit code.

    Raises:
        StoreError: There is no store, or the copy cannot be made.
    """
    problems = maintenance.check_store(settings) if check else []
    for problem in problems:
        print(problem)
    if check and not problems:
        print(f"{settings.database} and its uploads are in order")
    if backup is not None:
        copied = maintenance.back_up(settings, backup.expanduser().resolve())
        print(f"copied the database and {copied} uploaded files to {backup}")
    return EXIT_PROBLEMS if problems else 0


def keep_users(settings: Settings, *, add: str | None, remove: str | None) -> int:
    """Add or remove a user or both, say who has a key, and return the exit code.

    Raises:
        StoreError: The store or a name cannot be used.
    """
    if remove is not None:
        accounts.remove_user(settings, remove)
        print(f"{remove} has no key any more; their runs stay")
    if add is not None:
        key = accounts.add_user(settings, add)
        print(f"The key of {add}, shown only now:\n\nexport WANDB_API_KEY={key}\n")
    print("Users with a key:", ", ".join(accounts.list_users(settings)) or "none yet")
    return 0


def serve(settings: Settings, host: str, port: int | None, log_level: str) -> None:
    """Serve a store that this process has locked.

    Raises:
        StoreError: The store or the port cannot be used.
    """
    key = folder.ensure_key(settings.store)
    chosen = folder.choose_port(settings.store, host, port)
    app = create_app(settings)
    context: Context = app.state.context
    with context.database.write() as db:
        users.save_user(db, settings.entity, key)
    build_schema()
    # What is loaded by now stays: a search through it for garbage would hold up every answer for
    # a tenth of a second now and then.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        host=host,
        port=chosen,
        log_level=log_level,
        access_log=log_level == "debug",
        timeout_graceful_shutdown=SHUTDOWN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
    )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
    url = f"http://[{shown}]:{chosen}" if ":" in shown else f"http://{shown}:{chosen}"
    try:
        _Server(config, settings, url, key).run()
    finally:
        folder.remove_address(settings.store)


class _Server(uvicorn.Server):
    """Says where it serves as soon as it does."""

    def __init__(self, config: uvicorn.Config, settings: Settings, url: str, key: str) -> None:
        super().__init__(config)
        self._settings, self._url, self._key = settings, url, key

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            folder.write_address(self._settings, self._url)
            print(describe_start(self._settings, self._url, self._key), flush=True)


def describe_start(settings: Settings, url: str, key: str) -> str:
    """Return what the user needs: the address, the page, the lines to export."""
    serving = f"Serving {settings.store} at {url}"
    if settings.while_used:  # started by a command, whose log is no place for a key
        return serving
    return "\n".join(
        [
            serving,
            f"Page: {url}/ (log in with the API key)",
            "",
            f"export WANDB_BASE_URL={url}",
            f"export WANDB_API_KEY={key}",
            f"export WANDB_ENTITY={settings.entity}",
            f"export WANDB_PROJECT={DEFAULT_PROJECT}",
            *_list_exceptions(),
            "",
            "Stop it with Ctrl-C.",
        ]
    )


def _list_exceptions() -> list[str]:
    """List what the stock client needs where a proxy or its offline switch is set."""
    lines = []
    if {"http_proxy", "https_proxy", "all_proxy"} & {name.lower() for name in os.environ}:
        lines.append("export no_proxy=127.0.0.1,localhost,::1  # a proxy cannot reach this machine")
    if os.environ.get("WANDB_MODE", "online") != "online":
        lines.append("export WANDB_MODE=online  # this server needs no internet")
    return lines


if __name__ == "__main__":
    sys.exit(main())
