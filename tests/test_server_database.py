"""One writer for many threads: what commits together, what is undone alone."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from bpsweep.server.store import Database, database

N_THREADS = 20


@pytest.fixture
def store(tmp_path):
    store = Database(tmp_path / "db.sqlite3")
    yield store
    store.close()


def write_at_once(store, work):
    """Run `work(db, number)` in many writing threads that all come while one write is at work."""

    def write(number):
        with store.write() as db:
            work(db, number)
        with store.read() as db:  # what write() has returned from, everyone sees
            return list_keys(db)

    with ThreadPoolExecutor(N_THREADS) as pool:
        with store._write_lock:
            futures = [pool.submit(write, number) for number in range(N_THREADS)]
            while store._n_waiting < N_THREADS:
                assert not any(future.done() for future in futures)
        return futures


def add_row(db, number):
    database.insert(db, "meta", key=str(number), value="x")


def list_keys(db):
    return {row["key"] for row in database.rows(db, "SELECT key FROM meta")}


def test_writers_that_come_at_once_share_a_commit(store):
    said = []
    store._writer.set_trace_callback(said.append)
    futures = write_at_once(store, add_row)
    for number, future in enumerate(futures):
        assert str(number) in future.result()
    assert 1 <= said.count("COMMIT") <= 2


def test_a_writer_that_fails_undoes_its_own_rows_only(store):
    def work(db, number):
        add_row(db, number)
        if number % 3 == 0:
            raise ValueError(number)

    futures = write_at_once(store, work)
    assert [future.exception() is not None for future in futures] == [
        number % 3 == 0 for number in range(N_THREADS)
    ]
    with store.read() as db:
        assert list_keys(db) == {str(number) for number in range(N_THREADS) if number % 3}


def test_nobody_is_told_of_success_when_the_commit_fails(store):
    def work(db, number):
        db.execute("PRAGMA defer_foreign_keys = ON")  # refused by COMMIT, not by the statement
        add_row(db, number)
        db.execute("INSERT INTO prior_runs (sweep_id, run_id) VALUES (?, 99)", (number,))

    for future in write_at_once(store, work):
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            future.result()
    with store.write() as db:  # and the store goes on
        assert list_keys(db) == set()
        add_row(db, 1)


def test_nobody_is_told_of_success_when_a_transaction_is_lost(store):
    def work(db, number):
        add_row(db, number)
        if number == N_THREADS - 1:
            db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
            raise sqlite3.OperationalError("database or disk is full")

    futures = write_at_once(store, work)
    told = {str(n) for n, future in enumerate(futures) if future.exception() is None}
    with store.read() as db:
        assert list_keys(db) == told
    assert str(N_THREADS - 1) not in told


def test_a_write_within_a_write_is_one_transaction(store):
    with pytest.raises(ValueError, match="outer"), store.write() as outer:
        with store.write() as inner:
            assert inner is outer
            add_row(inner, 1)
        raise ValueError("outer")
    with store.read() as db:
        assert list_keys(db) == set()


def test_the_log_is_folded_beside_the_writer(store):
    with store.write() as db:
        for number in range(1_000):
            database.insert(db, "meta", key=str(number), value="x" * 1_000)
        store.fold_log()  # does not wait for the writer
    small = store.path.stat().st_size
    store.fold_log()
    assert store.path.stat().st_size > small + 1_000_000
