"""A key per user of a store, made and taken away while it is served or not."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from bpsweep.server import folder
from bpsweep.server.errors import StoreError
from bpsweep.server.settings import Settings
from bpsweep.server.store import Connection, Database, users

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def add_user(settings: Settings, name: str) -> str:
    """Let a user in and return their key, which is stored nowhere but as a hash.

    Raises:
        StoreError: The name cannot be one, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} cannot be a user: letters, digits, - and _, at most 64, a letter or digit"
            " first"
        )
    key = secrets.token_hex(20)
    with _open_store(settings) as db:
        if name == settings.entity or users.find_named_user(db, name) is not None:
            raise StoreError(
                f"there is a user {name!r} already; for a new key take theirs away first, with"
                f" --remove-user {name}"
            )
        users.save_user(db, name, key)
    return key


def remove_user(settings: Settings, name: str) -> None:
    """Take a user's key away; their runs stay. A server at work refuses the key from now on.

    Raises:
        StoreError: There is no such user, or it is the store's own.
    """
    with _open_store(settings) as db:
        if name == settings.entity:
            raise StoreError(
                f"{name!r} is the store's own user; for a new key delete the file"
                f" {settings.store / folder.KEY_FILE} and start the server again"
            )
        if users.find_named_user(db, name) is None:
            known = ", ".join(users.list_names(db)) or "nobody"
            raise StoreError(f"there is no user {name!r} to remove; those with a key: {known}")
        users.revoke_key(db, name)


def list_users(settings: Settings) -> list[str]:
    """Return the names of those who have a key.

    Raises:
        StoreError: The store cannot be opened.
    """
    with _open_store(settings) as db:
        return users.list_names(db)


@contextmanager
def _open_store(settings: Settings) -> Iterator[Connection]:
    folder.prepare_folder(settings.store)
    database = Database(settings.database)
    try:
        with database.write() as db:
            yield db
    finally:
        database.close()
