"""A database of any version becomes one of this version, with a backup before, or is refused and left as it was."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event
from sqlmodel import SQLModel

from lossguard_server.errors import BackupFailed, ForeignDatabase, NewerDatabase, UnsupportedDatabase
from lossguard_server.store import engines, journal, raw, runs, tables
from lossguard_server.store.database import Database, safe_driver
from lossguard_server.store.upkeep import backup, migrations, repair
from lossguard_server.store.upkeep.damage import Damage
from store_world import entry, frame, opened_store, schema

DRIVER = safe_driver()
SCHEMA_1 = Path(__file__).parents[2] / "golden" / "schema-1.sql"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A database as version 1 left it, with a run, its stream, a message and an event."""
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as made:
        made.execute("PRAGMA journal_mode=WAL").fetchall()
        made.executescript(SCHEMA_1.read_text())
        made.execute("INSERT INTO run VALUES ('r1', 'p', 'n', 1.0, 2.0, 1, 0, NULL)")
        made.execute("INSERT INTO stream VALUES (7, 'r1', 0, 0, 1, 1)")
        made.execute("INSERT INTO journal VALUES (7, 1, 'frame', 0, 9, x'00ff')")
        made.execute("INSERT INTO event VALUES (1, 'r1', 3, 'gap', 0.5, '{}')")
    return path


def opened(path: Path) -> Database:
    return Database(f"sqlite:///{path}", lambda: 0.0, wall_s=lambda: 1_700_000_000.0)


def asked(path: Path, question: str) -> list[Any]:
    with raw.reading(DRIVER, path) as connection:
        return list(connection.execute(question))


def layout(path: Path) -> dict[str, Any]:
    """Columns, keys and indices of every table, as SQLite knows them; defaults of columns left out."""
    found: dict[str, Any] = {}
    with raw.reading(DRIVER, path) as connection:
        for (table,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")):
            columns = [row[1:4] + row[5:6] for row in connection.execute(f"PRAGMA table_info({table})")]
            keys = sorted(row[2:5] for row in connection.execute(f"PRAGMA foreign_key_list({table})"))
            indices = {}
            for _, name, unique, origin, partial in list(connection.execute(f"PRAGMA index_list({table})")):
                parts = tuple(row[2] for row in connection.execute(f"PRAGMA index_info('{name}')"))
                indices[parts, unique, origin, partial] = name if origin == "c" else ""
            found[table] = (columns, keys, indices)
    found.pop("alembic_version", None)
    return found


def test_the_steps_lead_to_the_tables_of_the_code(tmp_path: Path, path: Path) -> None:
    by_code = tmp_path / "code.db"
    engine = engines.writing(DRIVER, by_code)
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    (tmp_path / "fresh").mkdir()
    for made in (path, tmp_path / "fresh" / "lossguard.db"):
        database = opened(made)
        with database.writer_engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
        database.close()
        assert layout(made) == layout(by_code)
        assert asked(made, "PRAGMA user_version") == [(tables.SCHEMA_VERSION,)]
        assert asked(made, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]


def test_version_1_is_migrated_with_its_rows_and_a_backup(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with opened_store(path.parent) as store:
        assert [run.id for run in store.read(runs.newest_first)] == ["r1"]
        (head,) = store.read(lambda session: journal.streams(session, "r1"))
        assert (head.id, head.last_seq, head.folded_seq, head.begins_step) == (7, 1, 0, None)
        assert store.read(lambda session: journal.read(session, 7, 0, 9))[0].payload == b"\x00\xff"
    (copy,) = path.parent.glob(f"lossguard.db.before-{migrations.HEAD}-*Z")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert asked(copy, "PRAGMA user_version") == [(1,)]
    assert asked(copy, "SELECT payload FROM journal") == [(b"\x00\xff",)]
    assert f"migrated from 0001 to {migrations.HEAD}" in caplog.text
    assert copy.name in caplog.text
    opened(path).close()
    assert len(list(path.parent.glob("*.before-*"))) == 1, "there is nothing left to do"


def test_of_a_run_of_version_5_nobody_said_anything(tmp_path: Path) -> None:
    path = tmp_path / "lossguard.db"
    engine = engines.writing(DRIVER, path)
    with engine.begin() as connection:
        migrations.upgrade(connection, migrations.FRESH, "0005")
        connection.exec_driver_sql("INSERT INTO run VALUES ('r1', 'p', 'n', 1.0, 2.0, 1, 0, 'finished')")
    engine.dispose()
    assert asked(path, "PRAGMA user_version") == [(5,)]
    with opened_store(tmp_path) as store:
        assert store.read(runs.newest_first) == [runs.StoredRun("r1", "p", "n", 1.0, 2.0, 1, 0, "finished")]
        said = {"label": "best", "note": "a\nb", "tags": ("x", "y"), "archived_s": 3.0, "deleted_s": 4.0}
        store.write(lambda session: runs.say(session, "r1", **said))
        assert store.read(runs.newest_first) == []
        (run,) = store.read(lambda session: runs.newest_first(session, with_deleted=True))
        assert {name: getattr(run, name) for name in said} == said
    assert len(list(tmp_path.glob("lossguard.db.before-0006-*Z"))) == 1


def test_attempts_of_version_1_know_from_which_total_on_they_train(path: Path) -> None:
    with raw.writing(DRIVER, path) as made:
        for number, messages in {
            8: [schema(1, "a", "loss/total"), frame(2, [3], [1.0]), frame(3, [40, 41], [1.0, 2.0], [3.0, 4.0])],
            9: [schema(1, "loss/total"), frame(2, [3], [1.0])],
            10: [schema(1, "a"), frame(2, [3], [1.0])],
        }.items():
            made.execute("INSERT INTO stream VALUES (?, 'r1', 0, ?, 9, 9)", (number, number))
            rows = [(number, each.seq, each.kind, each.payload) for each in map(entry, messages)]
            made.executemany("INSERT INTO journal VALUES (?, ?, ?, NULL, NULL, ?)", rows)
        made.execute("UPDATE journal SET payload = x'00' WHERE stream_id = 9 AND seq = 2")
        later = entry(frame(3, [7], [1.0]))
        made.execute("INSERT INTO journal VALUES (9, 3, 'frame', NULL, NULL, ?)", (later.payload,))
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    opened(path).close()
    repair.repair(DRIVER, copy, Damage(copy), 0.0)
    for made_by_either in (path, copy):
        begins = dict(asked(made_by_either, "SELECT id, begins_step FROM stream"))
        assert begins == {7: None, 8: 40, 9: 7, 10: None}


def test_a_fresh_file_needs_no_backup_and_gives_pages_back(tmp_path: Path) -> None:
    opened(tmp_path / "lossguard.db").close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["lossguard.db"]
    assert asked(tmp_path / "lossguard.db", "PRAGMA auto_vacuum") == [(2,)]


def test_a_migration_that_is_cut_short_is_begun_again(path: Path) -> None:
    engine = engines.writing(DRIVER, path)
    before = layout(path)

    def cut(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "CREATE TABLE chunk" in statement:  # after columns and a table of the same step
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", cut)
    with pytest.raises(KeyboardInterrupt):
        migrations.prepare(engine, lambda revision: path)
    engine.dispose()
    assert layout(path) == before
    assert asked(path, "PRAGMA user_version") == [(1,)]
    opened(path).close()
    assert asked(path, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (f"PRAGMA user_version={tables.SCHEMA_VERSION + 1}", NewerDatabase),
        ("CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('0099')", NewerDatabase),
        ("PRAGMA application_id=7", ForeignDatabase),
        ("PRAGMA user_version=0", UnsupportedDatabase),
    ],
)
def test_what_is_not_known_is_refused_and_left_alone(path: Path, change: str, error: type[Exception]) -> None:
    with raw.writing(DRIVER, path) as made:
        made.executescript(change)
    before = layout(path)
    with pytest.raises(error):
        opened(path)
    assert layout(path) == before
    assert list(path.parent.glob("*.before-*")) == []


def test_without_a_backup_nothing_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup.raw, "sync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    (path.parent / "lossguard.db.before-0002-x.unfinished").write_text("left by a process that died")
    with pytest.raises(BackupFailed, match="No space left"):
        opened(path)
    assert asked(path, "PRAGMA user_version") == [(1,)]
    assert sorted(entry.name for entry in path.parent.glob("*.before-*")) == []
