"""The doctor says what a data folder holds, and names what is wrong with it, with or without a server."""

import json
from pathlib import Path

import pytest

from lossguard_server import datadir, doctor
from lossguard_server.errors import DataDirInUse, StartupError
from lossguard_server.store import events, journal, raw
from lossguard_server.store.database import safe_driver
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.folded import folding
from lossguard_server.store.upkeep import migrations
from store_world import frame, opened_store, schema

DRIVER = safe_driver()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with run r1: 40 folded points, 20 in the journal, one gap."""
    with opened_store(tmp_path) as store:
        stream = store.stream("r1")
        store.append(stream, schema(1, "loss/a"))
        for seq in range(2, 8):
            store.append(stream, frame(seq, range(seq * 10, seq * 10 + 10), range(10)))
        store.write(lambda session: journal.set_judged(session, stream.id, 5))
        plan = store.read(lambda session: folding.plan(session, stream.id))
        assert plan is not None
        store.write(lambda session: folding.store(session, folding.fold(plan)))
        store.write(lambda session: events.add(session, "r1", StoredEvent(1, "gap", 0.0, {})))
    return tmp_path


def change(data: Path, statement: str) -> None:
    with raw.writing(DRIVER, data / "lossguard.db") as connection:
        connection.execute(statement)


def test_a_sound_folder_is_healthy_and_described(data: Path) -> None:
    (data / "lossguard.db.before-0002-x").write_bytes(b"123")
    report = doctor.examine(data, is_full=True)
    of = report.contents
    assert (report.findings, of.runs, of.folded_points, of.backlog_frames, of.gaps) == ([], 1, 40, 2, {"r1": 1})
    assert (of.revision, report.put_aside) == (migrations.HEAD, {"lossguard.db.before-0002-x": 3})
    assert report.bytes_a_point is not None
    assert report.bytes_a_point > 1
    sizes = {table.name: table.rows for table in of.tables}
    assert (sizes["journal"], sizes["chunk"], sizes["event"]) == (3, 1, 1)


def test_it_asks_nothing_of_the_token_that_commands_show(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSGUARD_DATA", str(data))
    monkeypatch.setenv("LOSSGUARD_TOKEN", "short")
    assert doctor.doctor_command(None, as_json=True, full=False, repair=False) == 0


def test_it_changes_nothing_beside_a_server(data: Path) -> None:
    with opened_store(data) as store, datadir.locked(data):
        store.append(store.stream("r2"), schema(1, "loss/a"))
        before = {path.name: path.read_bytes() for path in data.iterdir() if not path.name.endswith("-shm")}
        assert doctor.examine(data).findings == []
        assert doctor.examine(data).contents.runs == 2
        after = {path.name: path.read_bytes() for path in data.iterdir() if not path.name.endswith("-shm")}
        assert after == before
        with pytest.raises(DataDirInUse):
            doctor.mend(data)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM journal WHERE seq = 6", "of run 'r1': 1 messages after 5"),
        ("DELETE FROM journal WHERE seq = 7", "up to 6, where 2 up to 7 are due"),
        ("UPDATE stream SET folded_seq = 9", "of run 'r1'"),
        ("UPDATE stream SET judged_seq = 9", "judged up to 9"),
        (
            "INSERT INTO journal SELECT stream_id, 3, 'frame', 1, 1, payload FROM journal WHERE seq = 6",
            "1 frames were folded and are still there",
        ),
        ("DELETE FROM chunk", "40 points, 0 chunks"),
        ("UPDATE part SET last_step = 1000", "steps that do not agree"),
        ("UPDATE part SET count = 41", "40 points, 41 are due"),
        ("UPDATE journal SET payload = x'00' WHERE seq = 1", "is not what was stored"),
        ("UPDATE chunk SET data = x'0102'", "chunk 0 of part 1 ('loss/a')"),
    ],
)
def test_what_does_not_agree_is_named(data: Path, statement: str, says: str) -> None:
    change(data, statement)
    report = doctor.examine(data, is_full=True)
    assert says in report.findings[0], report.findings


def test_a_damaged_file_is_named_and_repaired(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "lossguard.db"
    with raw.reading(DRIVER, path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert doctor.doctor_command(data, as_json=True, full=False, repair=False) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["healthy"] is False
    assert any("SQLite: " in finding for finding in said["findings"])
    assert doctor.doctor_command(data, as_json=False, full=True, repair=True) == 0
    printed = capsys.readouterr().out
    assert "table event: 1 rows lost" in printed
    assert "lossguard.db.damaged-" in printed
    assert doctor.mend(data) == ["Nothing is wrong; nothing was done."]


def test_a_database_of_version_1_is_sound_and_can_be_repaired(tmp_path: Path) -> None:
    with raw.writing(DRIVER, tmp_path / "lossguard.db") as made:
        made.executescript((Path(__file__).parents[2] / "golden" / "schema-1.sql").read_text())
        made.execute("INSERT INTO run VALUES ('r1', 'p', 'n', 1.0, 2.0, 1, 0, NULL)")
        made.execute("INSERT INTO stream VALUES (7, 'r1', 0, 0, 1, 1)")
        made.execute("INSERT INTO journal VALUES (7, 1, 'frame', 0, 9, x'00ff')")
    assert doctor.examine(tmp_path).findings == []
    assert "table journal: 1 rows lost, 0 kept" in doctor.mend(tmp_path)
    report = doctor.examine(tmp_path, is_full=True)
    assert (report.findings, report.contents.revision, report.contents.runs) == ([], migrations.HEAD, 1)


def test_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no database"):
        doctor.examine(tmp_path)
    (tmp_path / "lossguard.db").write_bytes(b"this is no database, and long enough to say so" * 50)
    assert doctor.examine(tmp_path).is_healthy is False


def test_names_from_the_wire_are_only_text(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_store(data) as store:
        name = "[red]r\x1b[2J"
        store.append(store.stream(name), schema(1, "loss/a"))
        store.write(lambda session: events.add(session, name, StoredEvent(1, "gap", 0.0, {})))
    assert doctor.doctor_command(data, as_json=False, full=False, repair=False) == 0
    printed = capsys.readouterr().out
    assert "[red]r" in printed
    assert "\x1b[2J" not in printed
