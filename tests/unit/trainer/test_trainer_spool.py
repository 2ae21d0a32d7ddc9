"""The trainer's file of what is not acknowledged: segments, and a disk that refuses."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import read, spooled
from lossguard.disk_sync import DiskSync
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Event, Frame, Hello, Schema, SeriesSpec
from lossguard.protocol.spool_format import Label
from lossguard.spool import DISK_REST_S, Spool
from segments import parse_segment

HELLO = Hello(run="r/../1", project="p", name="n", rank=2, attempt=3)
MODE_MASK = 0o777


def event(seq: int) -> Event:
    return Event(seq=seq, kind="gap", step=seq)


def frame(seq: int) -> Frame:
    return Frame(seq=seq, first_step=10 * seq, n=10, series=[0, 1], values=b"\0" * 160, crc=0)


def filled(
    folder: Path,
    count: int,
    segment_bytes: int = 300,
    memory_bytes: int = 1 << 20,
    clock: Callable[[], float] | None = None,
) -> Spool:
    spool = Spool(folder, HELLO, segment_bytes, memory_bytes, clock or (lambda: 0.0))
    for seq in range(1, count + 1):
        spool.append(event(seq))
    return spool


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


Write = Callable[[int, bytes], int]


def refuse(monkeypatch: pytest.MonkeyPatch, when: Callable[[bytes], bool] = lambda data: True) -> list[int]:
    """Make the disk full for writes of which `when` is true; returns the sizes that it refused."""
    refused: list[int] = []
    real: Write = os.write

    def write(fd: int, data: bytes) -> int:
        if when(data):
            refused.append(len(data))
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    return refused


def test_what_is_appended_can_be_read_by_its_number_and_by_a_stranger(tmp_path: Path) -> None:
    spool = filled(tmp_path, 20)
    assert spool.last_seq == 20
    assert [decode_sequenced(read(spool, seq)) for seq in range(1, 21)] == [event(seq) for seq in range(1, 21)]
    assert spooled(tmp_path) == [event(seq) for seq in range(1, 21)]
    assert all(parse_segment(path.read_bytes()).hello == HELLO for path in tmp_path.iterdir())
    spool.close()
    assert spooled(tmp_path) == [event(seq) for seq in range(1, 21)]


def test_only_the_user_may_read_it_and_a_run_cannot_name_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "spool"
    filled(folder, 1).close()
    assert files(folder) == ["r____1-2-3.00000000000000000001.lgs"]
    assert (folder / files(folder)[0]).stat().st_mode & MODE_MASK == 0o600
    assert folder.stat().st_mode & MODE_MASK == 0o700


def test_segments_roll_and_go_when_all_of_them_is_acknowledged(tmp_path: Path) -> None:
    spool = filled(tmp_path, 12)
    starts = [int(name.split(".")[1]) for name in files(tmp_path)]
    assert len(starts) > 2
    spool.acknowledged(starts[1] - 2)
    assert len(files(tmp_path)) == len(starts)
    spool.acknowledged(starts[1] - 1)
    assert len(files(tmp_path)) == len(starts) - 1
    spool.acknowledged(11)
    assert len(files(tmp_path)) == 1
    spool.acknowledged(12)
    assert files(tmp_path) == []
    spool.append(event(13))
    assert spooled(tmp_path) == [event(13)]
    spool.close()


def test_a_number_that_is_forgotten_or_never_was_raises(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    spool.acknowledged(3)
    for seq in (0, 1, 3, 4, -1):
        with pytest.raises(KeyError):
            read(spool, seq)
    spool.close()


def test_a_full_disk_moves_the_stream_to_memory_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]
    spool = filled(tmp_path, 2, clock=lambda: now_s[0])
    with monkeypatch.context() as full:
        refuse(full)
        spool.append(event(3))
        spool.append(event(4))
    spool.append(event(5))  # the disk would take it, but is left alone for a while
    now_s[0] += DISK_REST_S
    for seq in (6, 7):
        spool.append(event(seq))
    assert [decode_sequenced(read(spool, seq)) for seq in range(1, 8)] == [event(seq) for seq in range(1, 8)]
    assert [message.seq for message in spooled(tmp_path)] == list(range(1, 8)), "what was in memory went to disk first"
    assert spool.points_lost == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "No space left on device" in caplog.text
    spool.acknowledged(7)
    assert files(tmp_path) == []
    for seq in (3, 4, 5):
        with pytest.raises(KeyError):
            read(spool, seq)
    spool.close()


def test_beyond_the_memory_bound_a_frame_becomes_a_gap_under_its_own_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path, 1, memory_bytes=600)
    refuse(monkeypatch)
    for seq in range(2, 8):
        spool.append(frame(seq))
    spool.append(event(8))  # an event is kept whatever the bound says
    kept = [decode_sequenced(read(spool, seq)) for seq in range(1, 9)]
    assert [message.seq for message in kept] == list(range(1, 9))
    assert kept[1:3] == [frame(2), frame(3)]
    data = {"from": 40, "to": 79, "reason": "the trainer's disk and memory were full", "seqs": [4, 7], "points": 80}
    assert kept[3] == Event(seq=4, kind="gap", step=79, data=data)
    assert kept[4:7] == [Schema(seq=seq, series=[]) for seq in (5, 6, 7)]
    assert kept[7] == event(8)
    assert spool.points_lost == 4 * 20
    spool.acknowledged(7)  # the memory is free again
    spool.append(frame(9))
    assert decode_sequenced(read(spool, 9)) == frame(9)
    spool.close()


def test_a_disk_with_room_for_headers_only_is_not_littered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refuse(monkeypatch, when=lambda data: not data.startswith(b"LGSPOOL1"))
    spool = filled(tmp_path, 50)
    assert len(refused) == 1  # the disk is left alone for a while
    assert (files(tmp_path), len(spool._segments)) == ([], 0)
    assert decode_sequenced(read(spool, 50)) == event(50)
    spool.close()


def test_a_record_that_was_written_in_part_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    spool = filled(tmp_path, 2, segment_bytes=1 << 20, clock=lambda: now_s[0])
    real = os.write
    with monkeypatch.context() as short:
        short.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
        spool.append(event(3))
    now_s[0] += DISK_REST_S
    spool.append(event(4))
    assert [decode_sequenced(read(spool, seq)) for seq in range(1, 5)] == [event(seq) for seq in range(1, 5)]
    assert [message.seq for message in spooled(tmp_path)] == [1, 2, 3, 4]
    spool.close()


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    spool = filled(tmp_path / "file" / "spool", 5)
    assert [decode_sequenced(read(spool, seq)) for seq in range(1, 6)] == [event(seq) for seq in range(1, 6)]
    assert len(caplog.records) == 1
    spool.close()


def test_a_stream_of_the_same_name_is_not_overwritten(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    second = Spool(tmp_path, HELLO)
    second.append(Event(seq=1, kind="finish", step=9))
    second.append(event(2))
    assert sorted(path.name.partition(".")[0] for path in tmp_path.iterdir()) == ["r____1-2-3", "r____1-2-3+"]
    assert decode_sequenced(read(second, 1)).kind == "finish"  # type: ignore[union-attr]
    second.close()


def test_one_file_is_open_however_many_segments_there_are(tmp_path: Path) -> None:
    spool = filled(tmp_path, 40)
    assert len(files(tmp_path)) > 5
    assert sum(segment.fd >= 0 for segment in spool._segments) == 1
    assert [decode_sequenced(read(spool, seq)) for seq in range(1, 41)] == [event(seq) for seq in range(1, 41)]
    spool.close()


def test_declarations_and_schemas_can_be_read_for_ever(tmp_path: Path) -> None:
    spool = Spool(tmp_path, HELLO)
    schema = Schema(seq=1, series=[SeriesSpec(0, "a")])
    spool.append(schema)
    spool.append(event(2))
    spool.acknowledged(2)
    assert decode_sequenced(read(spool, 1)) == schema
    with pytest.raises(KeyError):
        read(spool, 2)


def nested(depth: int) -> list[object]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"message": "\udcff"}, "could not be encoded: 'utf-8' codec"),
        ({"message": object()}, "could not be encoded"),
        ({"message": 1 << 70}, "could not be encoded"),
        ({"message": nested(900)}, ""),
        ({"message": "y" * (1 << 20)}, f"had {(1 << 20) + 69} bytes; at most {1 << 20} can be sent"),
    ],
)
def test_what_cannot_be_sent_is_a_gap_that_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_full: bool,
    data: dict[str, object],
    reason: str,
) -> None:
    spool = filled(tmp_path, 1)
    if is_full:
        refuse(monkeypatch)
    spool.append(Event(seq=2, kind="error", step=7, data=data))
    spool.append(event(3))
    found = decode_sequenced(read(spool, 2))
    assert isinstance(found, Event)
    if reason:
        assert (found.kind, found.step, found.data["seqs"]) == ("gap", 7, [2, 2])
        assert reason in found.data["reason"]
        assert sum("cannot send message 2" in record.getMessage() for record in caplog.records) == 1
    assert decode_sequenced(read(spool, 3)) == event(3)
    spool.close()


def test_a_frame_that_is_too_large_is_a_gap_that_counts_its_values(tmp_path: Path) -> None:
    """The encoder makes none; a bound of its own would not be noticed otherwise."""
    spool = filled(tmp_path, 0)
    spool.append(Frame(seq=1, first_step=5, n=70_000, series=[0, 1], values=b"\0" * 1_120_000, crc=0))
    found = decode_sequenced(read(spool, 1))
    assert isinstance(found, Event)
    data = {key: found.data[key] for key in ("from", "to", "points")}
    assert data == {"from": 5, "to": 70_004, "points": 140_000}
    spool.close()


def test_what_the_disk_did_not_take_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, 2)
    assert spool.unwritten == 0
    refuse(monkeypatch)
    for seq in range(3, 8):
        spool.append(event(seq))
    assert spool.unwritten == 5
    spool.acknowledged(4)
    assert spool.unwritten == 3
    spool.close()


def test_a_disk_that_refuses_to_be_told_whose_it_is_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    spool = filled(tmp_path, 2, 2000, clock=lambda: now_s[0])
    (path,) = tmp_path.iterdir()
    disk = DiskSync()
    with monkeypatch.context() as full:
        refused = refuse(full)
        spool.confirm(HELLO, "ws://s")
        spool.tend(disk, 0)
        assert len(refused) == 1
    assert parse_segment(path.read_bytes()).label == Label()
    now_s[0] += DISK_REST_S
    spool.tend(disk, 0)
    assert parse_segment(path.read_bytes()).label == Label(server="ws://s", is_known=True)
    size = path.stat().st_size
    spool.tend(disk, 0)
    assert path.stat().st_size == size
    spool.close()


def test_definitions_are_in_every_file_in_which_they_take_little_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, HELLO, 8000)
    schema = Schema(seq=1, series=[SeriesSpec(0, "a" * 300), SeriesSpec(1, "b")])
    spool.append(schema)
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"a" * 300) == 1
    for seq in range(2, 100):
        spool.append(frame(seq))
    assert len(files(tmp_path)) > 2
    assert [each.read_bytes().count(b"a" * 300) for each in sorted(tmp_path.iterdir())][:2] == [2, 1]
    for each in tmp_path.iterdir():
        assert parse_segment(each.read_bytes()).damaged_bytes == 0
    spool.append(Schema(seq=100, series=[SeriesSpec(2, "c" * 3000)]))
    for seq in range(101, 200):
        spool.append(frame(seq))
    assert b"a" * 300 not in sorted(tmp_path.iterdir())[-1].read_bytes()
    spool.close()
