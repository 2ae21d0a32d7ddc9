"""Damage is refused where it is met and repaired at the next start: what can be read is kept, what is lost is said."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import pack_frame
from lossguard_server import doctor
from lossguard_server.errors import ChunkDamaged, DatabaseDamaged, JournalDamaged, NewerDatabase, RepairFailed
from lossguard_server.store import decoding, events, journal, raw, runs
from lossguard_server.store.database import safe_driver
from lossguard_server.store.folded import folding
from lossguard_server.store.journal import StreamHead
from lossguard_server.store.points import Points
from lossguard_server.store.upkeep import repair
from lossguard_server.store.upkeep.damage import Damage
from lossguard_server.store.writer import Writer
from store_world import Store, frame, opened_store, schema

DRIVER = safe_driver()
PAGE = 4096
LEAF, FRAMES, ROWS = 13, 200, 50
R1 = "stream_id = (SELECT id FROM stream WHERE run_id = 'r1')"


def filled(folder: Path) -> None:
    """Run r1: a schema, FRAMES frames of 50 steps; run r2: one frame."""
    with opened_store(folder) as store:
        stream = store.stream("r1")
        store.append(stream, schema(1, "loss/a"))
        for number in range(FRAMES):
            steps = range(number * ROWS, (number + 1) * ROWS)
            store.append(stream, frame(number + 2, steps, np.array(steps) * 1.5))
        other = store.stream("r2")
        store.append(other, schema(1, "loss/b"), frame(2, [1], [2.0]))


def folded(folder: Path, points: int = 5_000) -> None:
    """Run r1: a series of `points` points at even steps, folded."""
    with opened_store(folder) as store:
        stream = store.stream("r1")
        store.append(stream, schema(1, "loss/a"))
        for seq, start in enumerate(range(0, points, 1_000), 2):
            steps = 2 * np.arange(start, start + 1_000, dtype=np.int64)
            store.append(stream, pack_frame(seq, steps, [0], np.sin(steps)[None, :]))
        last = 1 + points // 1_000
        store.write(lambda session: journal.set_judged(session, stream.id, last))
        fold_all(store, stream)


def fold_all(store: Store, stream: StreamHead) -> None:
    while (found := store.read(lambda session: folding.plan(session, stream.id))) is not None:
        done = folding.fold(found)
        assert store.write(lambda session, done=done: folding.store(session, done))


def pages_with(path: Path, word: bytes) -> list[int]:
    """Numbers, from 0, of the table leaves that hold `word`."""
    data = path.read_bytes()
    pages = range(len(data) // PAGE)
    return [n for n in pages if data[n * PAGE] == LEAF and word in data[n * PAGE : (n + 1) * PAGE]]


def overwrite(path: Path, page: int, filler: bytes = b"\xff" * PAGE) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(filler)


def table(store: Store, question: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.read(lambda session: session.connection().execute(text(question)).all())]


def whole(store: Store) -> list[tuple[Any, ...]]:
    return table(store, f"SELECT sum(length(payload)) FROM journal WHERE {R1}")


def test_damage_is_refused_for_the_question_that_meets_it_and_marked(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    overwrite(path, pages_with(path, b"frame")[5])
    with opened_store(tmp_path) as store:
        assert len(store.read(runs.newest_first)) == 2, "what is not damaged is answered"
        with pytest.raises(DatabaseDamaged, match="malformed"):
            whole(store)
        other = store.stream("r2")
        assert len(store.read(lambda session: journal.read(session, other.id, 0, 10))) == 2
        assert Damage(path).is_marked()


def test_the_writer_refuses_what_meets_damage_and_goes_on(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    overwrite(path, pages_with(path, b"frame")[5])
    with opened_store(tmp_path) as store:
        store.writer.close()
        monotonic_s = store.clock.of_services.monotonic_s
        engine, damage = store.database.writer_engine, store.database.damage
        store.writer = Writer(engine, monotonic_s, lambda: store.broken.append(True), damage=damage)
        with pytest.raises(DatabaseDamaged):
            store.write(lambda session: session.connection().execute(text("UPDATE journal SET payload = x'00'")))
        store.append(store.stream("r3"), schema(1, "loss/c"))
        assert store.writer.trouble is not None
        assert store.writer.trouble.startswith("The database is damaged")
        assert store.broken == []


@pytest.mark.parametrize("filler", [b"\xff" * PAGE, b"\0" * PAGE, bytes(range(256)) * 16])
def test_the_next_start_repairs_and_says_what_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, filler: bytes
) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    with opened_store(tmp_path) as store:
        before = table(
            store,
            f"SELECT seq, payload FROM journal WHERE {R1} ORDER BY seq",
        )
    hits = pages_with(path, b"frame")
    for page in (hits[8], hits[9], hits[20]):
        overwrite(path, page, filler)
    damaged = path.read_bytes()
    Damage(path).mark({"detail": "met"})
    with opened_store(tmp_path) as store:
        after = table(
            store,
            f"SELECT seq, payload FROM journal WHERE {R1} ORDER BY seq",
        )
        gaps = [event for event in store.read(lambda session: events.oldest_first(session, "r1"))]
        (head,) = store.read(lambda session: journal.streams(session, "r1"))
        kept = dict(before)
        lost = [seq for seq, payload in after if kept[seq] != payload]
        assert [seq for seq, _ in after] == [seq for seq, _ in before], "every number is filled"
        assert 0 < len(lost) < 40
        assert head.last_seq == FRAMES + 1
        kinds = [decode_sequenced(payload) for seq, payload in after if seq in lost]
        assert {type(message).__name__ for message in kinds} == {"Event", "Schema"}
        assert sorted(seq for gap in gaps for seq in range(gap.data["seqs"][0], gap.data["seqs"][1] + 1)) == lost
        first = gaps[0].data
        assert (first["from"], first["to"]) == ((lost[0] - 2) * ROWS - 1, (first["seqs"][1] - 1) * ROWS)
        assert len(store.read(runs.newest_first)) == 2
        assert table(store, "PRAGMA auto_vacuum") == [(2,)]
    (aside,) = [p for p in tmp_path.glob("lossguard.db.damaged-*") if not p.name.endswith("-wal")]
    assert aside.read_bytes() == damaged
    assert f"table journal: {len(lost)} rows lost" in caplog.text
    assert not Damage(path).is_marked()


def test_what_follows_nothing_is_asked_for_again(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    last = max(page for page in pages_with(path, b"frame"))
    overwrite(path, last)
    Damage(path).mark({"detail": "met"})
    with opened_store(tmp_path) as store:
        heads = dict(table(store, "SELECT run_id, last_seq FROM stream"))
        assert heads["r2"] == 0, "its only leaf was the last"
        assert FRAMES - 10 < heads["r1"] <= FRAMES + 1
        assert table(store, f"SELECT max(seq) FROM journal WHERE {R1}") == [(heads["r1"],)]
        store.append(store.stream("r2"), schema(1, "loss/b"))


def test_bytes_that_sqlite_does_not_doubt_are_found_by_what_they_mean(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as connection:
        (payload,) = connection.execute(f"SELECT payload FROM journal WHERE {R1} AND seq = 50").fetchone()
        flipped = payload[:9] + bytes([payload[9] ^ 1]) + payload[10:]
        connection.execute(
            f"UPDATE journal SET payload = ? WHERE {R1} AND seq = 50",
            (flipped,),
        )
        connection.execute(f"UPDATE journal SET kind = CAST(x'ff' AS TEXT) WHERE {R1} AND seq = 60")
    done = repair.repair(DRIVER, path, Damage(path), 0.0)
    assert done.losses == ["table journal: 2 rows lost, 201 kept"]
    assert "messages 50 to 50" in done.mended[0]
    assert "messages 60 to 60" in done.mended[1]


def test_a_series_that_lost_a_chunk_is_cut_there(tmp_path: Path) -> None:
    folded(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as connection:
        connection.execute("UPDATE chunk SET data = x'00' WHERE number = 1")
    repair.repair(DRIVER, path, Damage(path), 0.0)
    with opened_store(tmp_path) as store:
        parts = table(store, "SELECT first_step, last_step, count FROM part ORDER BY first_step")
        assert parts == [(0, 2 * 1_023, 1_024), (2 * 2_048, 2 * 4_999, 5_000 - 2_048)]
        (gap,) = store.read(lambda session: events.oldest_first(session, "r1"))
        assert (gap.data["from"], gap.data["to"], gap.data["series"]) == (2 * 1_023 + 1, 2 * 2_048 - 1, ["loss/a"])
        levels = table(store, "SELECT part_id, level, count(*) FROM summary GROUP BY part_id, level ORDER BY 1, 2")
        assert [row[1] for row in levels] == [1, 2, 1, 2]


def test_a_run_and_a_stream_whose_rows_are_gone_are_known_by_their_indices(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.reading(DRIVER, path) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))
    overwrite(path, roots["run"] - 1)
    overwrite(path, roots["stream"] - 1)
    Damage(path).mark({"detail": "met"})
    with opened_store(tmp_path) as store:
        assert {run.id: run.project for run in store.read(runs.newest_first)} == {"r1": "recovered", "r2": "recovered"}
        (head,) = store.read(lambda session: journal.streams(session, "r1"))
        assert (head.last_seq, head.judged_seq, head.folded_seq) == (FRAMES + 1, FRAMES + 1, 1)
        assert table(store, "SELECT count(*) FROM journal") == [(FRAMES + 3,)]


def test_an_unclean_end_is_checked_and_a_clean_one_is_not(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    overwrite(path, pages_with(path, b"frame")[5])
    mend = lambda: repair.mend(DRIVER, path, Damage(path), lambda: 0.0, lambda: 0.0)  # noqa: E731
    assert mend() is None
    with raw.writing(DRIVER, path) as connection:
        connection.execute("UPDATE run SET name = 'changed'")
        for end in ("", "-wal"):  # as a process that was killed leaves them
            shutil.copy(tmp_path / f"lossguard.db{end}", tmp_path / f"killed.db{end}")
    killed = tmp_path / "killed.db"
    done = repair.mend(DRIVER, killed, Damage(killed), lambda: 0.0, lambda: 0.0)
    assert done is not None
    with raw.reading(DRIVER, killed) as connection:
        assert {row[0] for row in connection.execute("SELECT name FROM run")} == {"changed"}, "the log counts"
    assert (tmp_path / f"{done.kept.name}-wal").exists()


@pytest.mark.parametrize("stop_at", range(11))
def test_a_repair_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    overwrite(path, pages_with(path, b"frame")[5])
    (tmp_path / "lossguard.db-wal").write_bytes(b"")
    Damage(path).mark({"detail": "met"})
    steps = 0

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > stop_at:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (repair.raw, "sync")):
            patched.setattr(owner, name, stopping(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            repair.mend(DRIVER, path, Damage(path), lambda: 0.0, lambda: 0.0)
    with opened_store(tmp_path) as store:
        assert table(store, "SELECT count(*) FROM journal") == [(FRAMES + 3,)]
        assert whole(store)
    assert list(tmp_path.glob("*.repaired*")) == []
    assert not Damage(path).is_marked()


def test_a_repair_that_finds_no_room_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    overwrite(path, pages_with(path, b"frame")[5])
    before = path.read_bytes()
    Damage(path).mark({"detail": "met"})

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(repair.raw, "sync", full)
    with pytest.raises(RepairFailed, match="No space"):
        repair.mend(DRIVER, path, Damage(path), lambda: 0.0, lambda: 0.0)
    assert path.read_bytes() == before
    assert Damage(path).is_marked()
    assert list(tmp_path.glob("*.repaired*")) == []


@pytest.mark.parametrize(
    ("change", "ask", "says"),
    [
        ("UPDATE chunk SET data = x'00' WHERE number = 1", "SELECT count(*) FROM part", "table chunk: 1 rows lost"),
        ("UPDATE summary SET data = x'00' WHERE level = 1", "SELECT 2", "table summary: 1 rows lost"),
        ("UPDATE journal SET payload = x'00' WHERE seq = 1", "SELECT count(*) FROM journal", "table journal: 1 rows"),
    ],
)
def test_damage_that_sqlite_cannot_see_is_marked_and_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, ask: str, says: str
) -> None:
    folded(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as connection:
        connection.execute(change)
    with opened_store(tmp_path) as store:
        points, (head,) = Points(store.reading), store.read(lambda session: journal.streams(session, "r1"))

        def read_everything() -> None:
            points.query("r1", ["loss/a"], None, None, 20)
            points.raw("r1", ["loss/a"], None, None)
            store.read(lambda session: decoding.names_of(session, head.id, 9))

        for _ in range(2):
            with pytest.raises(JournalDamaged):
                read_everything()
        assert Damage(path).is_marked()
        assert store.database.damage.found is not None
    assert caplog.text.count("the database is damaged") == 1, "told once"
    with opened_store(tmp_path) as store:
        assert says in caplog.text
        assert not Damage(path).is_marked()
        found = Points(store.reading)
        kept = len(found.raw("r1", ["loss/a"], None, None)["loss/a"][0])
        assert kept == (5_000 - 1_024 if "chunk" in change else 5_000)
        found.query("r1", ["loss/a"], None, None, 20)
        assert table(store, ask) == [(2 if "chunk" in change else 2 if "summary" in change else 1,)]
    assert doctor.examine(tmp_path, is_full=True).findings == []


def test_what_may_belong_to_a_run_that_is_being_deleted_is_not_called_damage(tmp_path: Path) -> None:
    folded(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as connection:
        connection.execute("DELETE FROM chunk WHERE number = 1")
    with opened_store(tmp_path) as store:
        with pytest.raises(ChunkDamaged, match="missing"):
            Points(store.reading).raw("r1", ["loss/a"], None, None)
        assert not Damage(path).is_marked()


def test_a_newer_database_is_not_repaired_by_a_version_that_cannot_read_it(tmp_path: Path) -> None:
    folded(tmp_path)
    path = tmp_path / "lossguard.db"
    with raw.writing(DRIVER, path) as connection:
        connection.execute("UPDATE chunk SET data = x'00'")
        connection.execute("PRAGMA user_version=99")
    Damage(path).mark({"detail": "met"})
    before = path.read_bytes()
    with pytest.raises(NewerDatabase):
        repair.mend(DRIVER, path, Damage(path), lambda: 0.0, lambda: 0.0)
    with pytest.raises(NewerDatabase):
        repair.repair(DRIVER, path, Damage(path), 0.0)
    assert path.read_bytes() == before


@pytest.mark.parametrize("backups", [[], ["before-0002-20250102T000000Z", "before-0002-20260101T000000Z"]])
def test_where_nothing_can_be_repaired_the_newest_backup_is_named(tmp_path: Path, backups: list[str]) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    for name in backups:
        path.with_name(f"{path.name}.{name}").write_bytes(b"")
    path.with_name(f"{path.name}.before-0003-x.unfinished").write_bytes(b"")
    with path.open("r+b") as file:  # the schema's own page, behind the file's head
        file.seek(100)
        file.write(b"\xff" * (PAGE - 100))
    Damage(path).mark({"detail": "met"})
    with pytest.raises(RepairFailed) as failed:
        repair.mend(DRIVER, path, Damage(path), lambda: 0.0, lambda: 0.0)
    wanted = f"copy {path.name}.{backups[-1]} to {path.name}." if backups else "choose another folder with --data."
    assert failed.value.hint.endswith(wanted)


def test_a_marker_without_damage_is_taken_away(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "lossguard.db"
    Damage(path).mark({"detail": "a bad cable"})
    with opened_store(tmp_path):
        assert not Damage(path).is_marked()
    assert list(tmp_path.glob("*.damaged-*")) == []
