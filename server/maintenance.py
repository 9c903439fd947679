"""Looks after a store: checks it, and copies it while it is served."""

import os
import shutil
import sqlite3
from pathlib import Path

from bpsweep.server.errors import BadRequestError, StoreError
from bpsweep.server.settings import Settings
from bpsweep.server.store.database import MIGRATIONS, Connection, connect, rows
from bpsweep.server.uploads import digest_to_hex

_UPLOADS = ("runs", "blobs", "manifests")


def check_store(settings: Settings) -> list[str]:
    """Return what is wrong with a store, [] if nothing is. Reads only; a server may be running.

    Raises:
        StoreError: There is no database to check.
    """
    if not settings.database.is_file():
        raise StoreError(f"there is no database at {settings.database}")
    try:
        db = connect(settings.database)
    except sqlite3.Error as error:
        return [f"the database cannot be opened: {error}"]
    try:
        return _check_database(db) or _check_records(db, settings.uploads)
    except sqlite3.Error as error:
        return [f"the database cannot be read: {error}"]
    finally:
        db.close()


def _check_database(db: Connection) -> list[str]:
    verdicts = [row["integrity_check"] for row in rows(db, "PRAGMA integrity_check")]
    problems = [f"integrity: {verdict}" for verdict in verdicts if verdict != "ok"]
    for row in rows(db, "PRAGMA foreign_key_check"):
        problems.append(
            f"row {row['rowid']} of {row['table']} names a row that {row['parent']} lacks"
        )
    newest = max(int(path.name.split("_")[0]) for path in MIGRATIONS.glob("*.sql"))
    version = rows(db, "PRAGMA user_version")[0]["user_version"]
    if version > newest:
        problems.append(f"version {version} is newer than this program's {newest}")
    return problems


def _check_records(db: Connection, uploads: Path) -> list[str]:
    problems = []
    sql = """SELECT runs.name, runs.history_lines AS said, count(history.line) AS stored
        FROM runs LEFT JOIN history ON history.run_id = runs.id
        GROUP BY runs.id HAVING said != stored"""
    for row in rows(db, sql):
        problems.append(f"run {row['name']}: {row['stored']} of {row['said']} history lines stored")
    sql = """SELECT runs.sweep_id, trials.config_key, count(*) AS n FROM runs
        JOIN trials ON trials.run_id = runs.id WHERE runs.state = 'finished'
        GROUP BY runs.sweep_id, trials.config_key HAVING n > 1"""
    for row in rows(db, sql):
        problems.append(f"configuration {row['config_key']} has {row['n']} finished runs")
    for row in rows(db, "SELECT id, run_id, name, size FROM files WHERE size IS NOT NULL"):
        path = uploads / "runs" / str(row["run_id"]) / str(row["id"])
        if not path.is_file() or path.stat().st_size != row["size"]:
            problems.append(f"the bytes of file {row['name']!r} of run {row['run_id']} are missing")
    sql = "SELECT DISTINCT digest FROM artifact_files WHERE ref IS NULL"
    for row in rows(db, sql):
        try:
            digest = digest_to_hex(row["digest"])
        except BadRequestError as error:
            problems.append(str(error))
            continue
        if not (uploads / "blobs" / digest[:2] / digest).is_file():
            problems.append(f"the bytes of an artifact file with MD5 {digest} are missing")
    for row in rows(db, "SELECT id, artifact_id FROM manifests WHERE uploaded = 1"):
        if not (uploads / "manifests" / str(row["id"])).is_file():
            problems.append(f"manifest {row['id']} of artifact {row['artifact_id']} is missing")
    return problems


def back_up(settings: Settings, target: Path) -> int:
    """Copy a store, served or not, to a new folder, and return how many files were uploaded to it.

    The database comes first, as one snapshot: every upload that it knows was complete before. The
    key is not copied; a server on the copy makes its own.

    Raises:
        StoreError: The target exists, or something cannot be read or written.
    """
    if not settings.database.is_file():
        raise StoreError(f"there is no database at {settings.database}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        if target.exists():
            raise StoreError(f"{target} exists already; choose a new folder for the backup")
        partial.mkdir(mode=0o700, parents=True)
        copied = _copy(settings, partial)
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot back up to {target}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return copied


def _copy(settings: Settings, target: Path) -> int:
    source = sqlite3.connect(settings.database)
    copy = sqlite3.connect(target / settings.database.name)
    try:
        source.backup(copy)
    finally:
        source.close()
        copy.close()
    count = 0
    for part in _UPLOADS:
        for path in (settings.uploads / part).rglob("*"):
            if path.is_file():
                place = target / "uploads" / path.relative_to(settings.uploads)
                place.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(path, place)
                count += 1
    return count


def _link_or_copy(source: Path, target: Path) -> None:
    # An uploaded file is replaced as a whole and never changed in place, so a link is a copy.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
