"""What may not be opened is refused with a reason; readers cannot write and cannot stay."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from sqlalchemy import text

from lossguard_server.errors import (
    ForeignDatabase,
    NewerDatabase,
    OldSqlite,
    ReadTimeout,
    StorageError,
    UnsupportedDatabase,
)
from lossguard_server.store.database import Database, safe_driver
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def pretended(versions: dict[str, str]) -> object:
    def find(name: str) -> ModuleType:
        if name not in versions:
            raise ImportError(name)
        info = tuple(int(part) for part in versions[name].split("."))
        return SimpleNamespace(sqlite_version=versions[name], sqlite_version_info=info, name=name)  # type: ignore[return-value]

    return find


def test_an_unsafe_sqlite_is_refused_and_a_safe_one_found() -> None:
    with pytest.raises(
        OldSqlite, match=r"3\.51\.3 is needed; pysqlite3.dbapi2 brings 3\.51\.1, sqlite3 brings 3\.40\.1"
    ):
        safe_driver(pretended({"pysqlite3.dbapi2": "3.51.1", "sqlite3": "3.40.1"}))
    assert safe_driver(pretended({"sqlite3": "3.51.3"})).name == "sqlite3"
    assert safe_driver(pretended({"pysqlite3.dbapi2": "3.53.4", "sqlite3": "3.53.0"})).name == "pysqlite3.dbapi2"


@pytest.mark.parametrize(
    "url", ["postgresql://localhost/x", "sqlite://", "sqlite:///:memory:", "sqlite:////no/dir/x.db"]
)
def test_what_cannot_keep_a_promise_is_refused(url: str) -> None:
    with pytest.raises(UnsupportedDatabase):
        Database(url, lambda: 0.0)


def test_a_newer_and_a_foreign_file_are_left_alone(tmp_path: Path) -> None:
    for name, pragma, error in (
        ("newer.db", "PRAGMA user_version=99", NewerDatabase),
        ("foreign.db", "CREATE TABLE theirs (x)", ForeignDatabase),
    ):
        with sqlite3.connect(tmp_path / name) as other:
            other.execute(pragma)
        other.close()
        with pytest.raises(error):
            Database(f"sqlite:///{tmp_path / name}", lambda: 0.0)
    (tmp_path / "text.db").write_text("this is no database, and long enough to say so " * 50)
    with pytest.raises(UnsupportedDatabase):
        Database(f"sqlite:///{tmp_path / 'text.db'}", lambda: 0.0)


def test_the_file_is_its_owners_and_durable(store: Store) -> None:
    assert store.database.path.stat().st_mode & 0o777 == 0o600
    pragmas = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "mmap_size": 0, "wal_autocheckpoint": 2000}
    for pragma, wanted in pragmas.items():
        found = store.write(lambda s, p=pragma: s.connection().exec_driver_sql(f"PRAGMA {p}").scalar_one())
        assert found == wanted, pragma


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StorageError, match="readonly"):
        store.read(lambda session: session.connection().execute(text("DELETE FROM run")))


def test_a_reader_is_interrupted_at_its_limit(store: Store) -> None:
    # seconds of work: no signal could end it, so a limit that does not work must not hang the tests
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT count(*) FROM n"
    with pytest.raises(ReadTimeout), store.database.reading(limit_s=-1.0) as session:
        session.connection().execute(text(counting))
    assert store.read(lambda session: session.connection().execute(text("SELECT 1")).scalar_one()) == 1
