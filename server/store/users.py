"""Users and their keys, which are stored as hashes only, and the store's own secrets."""

import hashlib
import hmac
import secrets
import time

from bpsweep.server.store.database import Connection, Row, insert, one, rows

# Stands where a hash was, and is none.
_REVOKED = "revoked:"


def hash_key(key: str) -> str:
    """Return the stored form of an API key. Keys are long and random, so one SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def save_user(db: Connection, name: str, key: str) -> None:
    """Create a user with this key, or give an existing one the new key."""
    db.execute(
        "INSERT INTO users (name, key_hash, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET key_hash = excluded.key_hash",
        (name, hash_key(key), time.time()),
    )


def find_user(db: Connection, key: str) -> Row | None:
    """Return the user with this key; every hash is compared in constant time."""
    wanted = hash_key(key)
    found = None
    for user in rows(db, "SELECT id, name, key_hash, created_at FROM users"):
        if hmac.compare_digest(user["key_hash"], wanted):
            found = user
    return found


def find_named_user(db: Connection, name: str) -> Row | None:
    """Return the user of this name if they have a key."""
    sql = "SELECT id, name, created_at FROM users WHERE name = ? AND key_hash NOT LIKE ?"
    return one(db, sql, name, f"{_REVOKED}%")


def list_names(db: Connection) -> list[str]:
    """Return the names of the users who have a key."""
    sql = "SELECT name FROM users WHERE key_hash NOT LIKE ? ORDER BY name"
    return [row["name"] for row in rows(db, sql, f"{_REVOKED}%")]


def revoke_key(db: Connection, name: str) -> None:
    """Take a user's key away. The user stays, as whose runs are theirs."""
    revoked = _REVOKED + secrets.token_hex(16)
    db.execute("UPDATE users SET key_hash = ? WHERE name = ?", (revoked, name))


def get_user(db: Connection, number: int) -> Row | None:
    """Return the user with this number."""
    return one(db, "SELECT id, name, key_hash, created_at FROM users WHERE id = ?", number)


def get_secret(db: Connection, name: str) -> bytes:
    """Return a random secret of the store (it signs links and sessions), made at first use."""
    row = one(db, "SELECT value FROM meta WHERE key = ?", f"secret:{name}")
    if row is None:
        insert(db, "meta", key=f"secret:{name}", value=secrets.token_hex(32))
        return get_secret(db, name)
    return bytes.fromhex(row["value"])
