"""What the link reads from its own spool is checked, and costs no memory."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import read
from lossguard.disk_sync import DiskSync
from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.messages import Event, Frame, Hello, Refusal
from lossguard.protocol.spool_format import Label
from lossguard.spool import FULL, Spool
from lossguard.spool_files import BAD_FILES_MAX
from lossguard.spool_segments import Missing
from lossguard.steps_reached import EVERY, MARKS_MAX, StepsReached
from segments import parse_segment
from spool_damage import stream

HELLO = Hello(run="r", project="p", name="n")


def spool_of(folder: Path, count: int, segment_bytes: int, memory_bytes: int = 1 << 20) -> Spool:
    spool = Spool(folder, HELLO, segment_bytes, memory_bytes, lambda: 0.0)
    for message in stream(count):
        spool.append(message)
    return spool


@pytest.mark.parametrize("segment_bytes", [1 << 20, 2000])
def test_each_flipped_byte_is_one_missing_number_or_none(tmp_path: Path, segment_bytes: int) -> None:
    """In the segment that is written to, and in closed ones, where a flip may also hide a record's place."""
    written = stream(40)
    spool = spool_of(tmp_path, 40, segment_bytes)
    for path in sorted(tmp_path.glob("*.lgs")):
        data = path.read_bytes()
        for at in range(0, len(data), 3):
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ (1 << at % 8)]))
            for segment in spool._segments:
                segment.forget_places()
            found = [spool.find(seq) for seq in range(1, 41)]
            missing = [each for each in found if isinstance(each, Missing)]
            assert missing in ([], [Missing(seq, seq) for seq in range(1, 41) if found[seq - 1] == Missing(seq, seq)])
            assert len(missing) <= 1
            assert all(each == encode(m) for each, m in zip(found, written, strict=True) if isinstance(each, bytes))
            with path.open("r+b") as file:
                file.seek(at)
                file.write(data[at : at + 1])
    spool.close()


def test_a_damaged_segment_is_kept_when_it_is_acknowledged(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, 60, 2000)
    path = sorted(tmp_path.glob("*.lgs"))[1]
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    seqs = range(1, 61)
    missing = [found for seq in seqs if isinstance(found := spool.find(seq), Missing)]
    assert len(missing) == 1
    spool.acknowledged(60)
    assert [kept.name for kept in (tmp_path / "bad").iterdir()] == [path.name]
    assert list(tmp_path.glob("*.lgs")) == []


def test_a_file_that_is_gone_is_missing_and_one_that_cannot_be_opened_now_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_of(tmp_path, 60, 2000)
    first, second = sorted(tmp_path.glob("*.lgs"))[:2]
    first.unlink()
    last = int(second.name.split(".")[1]) - 1
    assert spool.find(1) == Missing(1, last)

    def refuse(*args: object, **kwargs: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as few:
        few.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            spool.find(last + 1)
    assert isinstance(spool.find(last + 1), bytes)
    spool.close()


def test_places_are_held_for_two_segments_however_many_there_are(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, 1500, 2000)
    assert len(spool._segments) > 40
    for seq in (1, 700, 5, 1499, 40):
        assert isinstance(spool.find(seq), bytes)
        assert sum(segment.places is not None for segment in spool._segments) <= 2
    spool.close()


def test_a_week_of_outage_costs_a_few_bytes_a_segment(tmp_path: Path) -> None:
    """The rest of what is held: marks of steps, of which there are never more than so many."""
    reached = StepsReached()
    for seq in range(1, 40 * MARKS_MAX + 1):
        reached.note(seq, (3 * seq, 3 * seq))
    assert len(reached._lows) == len(reached._highs) < MARKS_MAX
    every = 2 * EVERY
    for first, last in ((1, 10), (5000, 5001), (39 * MARKS_MAX, 39 * MARKS_MAX + 7)):
        low, high = reached.between(first, last)
        assert low <= 3 * first <= 3 * last <= high
        assert high - low <= 3 * (last - first + 2 * every)


def test_the_steps_of_a_hole_are_known_across_a_rollback() -> None:
    """352..399, then back, 100..179: the last step is neither the lowest nor the highest."""
    reached = StepsReached()
    steps = [*range(400), *range(100, 260)]
    for seq, step in enumerate(steps, 1):
        reached.note(seq, (step, step))
    reached.note(len(steps) + 1, None)
    assert reached.between(353, 480) == (100, 399)
    assert reached.between(1, 32) == (0, 31)
    assert reached.between(33, 33) == (32, 63), "not the mark before it"
    assert reached.between(len(steps) + 1, len(steps) + 1)[1] == 259
    assert reached.between(10**6, 10**6) == (259, 259)


def test_marks_that_are_put_together_lose_no_step() -> None:
    reached = StepsReached()
    count = 3 * EVERY * MARKS_MAX
    for seq in range(1, count + 1):
        reached.note(seq, (seq, seq + 1) if seq != 5_000 else (0, 10**9))  # there and back in one message
    assert reached.between(1, count) == (0, 10**9)
    assert reached.between(4_999, 5_001) == (0, 10**9)
    low, high = reached.between(10_001, 10_010)
    assert 10_001 - 4 * EVERY <= low <= 10_001
    assert 10_011 <= high <= 10_011 + 4 * EVERY


def full_disk(folder: Path, size: str) -> None:
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    full_disk(tmp_path / "disk", "256k")
    yield tmp_path / "disk"
    subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)


def test_a_disk_and_a_memory_that_are_full_leave_exact_gaps_and_recover_by_themselves(small_disk: Path) -> None:
    now_s = [0.0]
    spool = Spool(small_disk / "spool", HELLO, 64 << 10, 20_000, lambda: now_s[0])
    written = stream(3000)
    for message in written[:2500]:
        spool.append(message)
        now_s[0] += 0.1
    assert len(spool._memory) < 500, "what is lost one after another is held as one"
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    now_s[0] += 10.0
    spool.tend(DiskSync(), 0)
    assert len(spool._memory) == 0, "it recovers without being written to"
    for message in written[2500:]:
        spool.append(message)
    got = [decode_sequenced(read(spool, seq)) for seq in range(1, 3001)]
    gaps = [m for m, w in zip(got, written, strict=True) if isinstance(m, Event) and isinstance(w, Frame)]
    told = [seq for gap in gaps for seq in range(gap.data["seqs"][0], gap.data["seqs"][1] + 1)]
    lost = [w for m, w in zip(got, written, strict=True) if encode(m) != encode(w)]
    assert {gap.data["reason"] for gap in gaps} == {FULL}
    assert told == [message.seq for message in lost]
    assert 0 < len(lost) < 2500
    points = sum(3 * message.n for message in lost if isinstance(message, Frame))
    assert spool.points_lost == sum(gap.data["points"] for gap in gaps) == points
    assert got[2500:] == written[2500:]
    spool.close()


def test_the_disk_is_asked_once_a_second_while_there_is_something_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd))[1])
    now_s = [0.0]
    spool, disk = Spool(tmp_path, HELLO, clock=lambda: now_s[0]), DiskSync()
    for tick in range(100):
        now_s[0] = 0.05 * tick
        if tick < 60:
            spool.append(Event(seq=tick + 1, kind="gap", step=0))
        spool.tend(disk, 0)
    assert len(synced) == 3
    spool.close()


def test_a_disk_that_does_not_sync_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    now_s = [0.0]
    spool, disk = Spool(tmp_path, HELLO, clock=lambda: now_s[0]), DiskSync()
    for seq in range(1, 6):
        now_s[0] += 2.0
        spool.append(Event(seq=seq, kind="gap", step=0))
        spool.tend(disk, 0)
    assert ["cannot make the disk keep" in record.getMessage() for record in caplog.records] == [True]
    spool.close()


def test_a_refused_message_is_kept_with_what_the_server_said(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Hello(run="../../x\n", project="p", name="n"))
    spool.append(Event(seq=1, kind="gap", step=0))
    spool.quarantine(1, b"payload", Refusal(error="bad_name", message="A name.\udc80", hint="Mend it."))
    folder = tmp_path / "bad"
    assert sorted(path.name for path in folder.iterdir()) == [
        "______x_-0-0.00000000000000000001.msgpack", "______x_-0-0.00000000000000000001.txt",
    ]  # fmt: skip
    assert (folder / "______x_-0-0.00000000000000000001.msgpack").read_bytes() == b"payload"
    assert (folder / "______x_-0-0.00000000000000000001.txt").read_text() == "bad_name: A name.?\nMend it.\n"
    spool.close()


def test_a_server_that_refuses_everything_does_not_fill_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, HELLO)
    words = "y" * 100_000
    kept = [spool.quarantine(seq, b"p", Refusal(error=words, message=words, hint=words)) for seq in range(1, 300)]
    assert kept == [True] * (BAD_FILES_MAX // 2) + [False] * (299 - BAD_FILES_MAX // 2)
    files = list((tmp_path / "bad").iterdir())
    assert len(files) <= BAD_FILES_MAX + 1
    assert sum(path.stat().st_size for path in files) < BAD_FILES_MAX * 2_000
    assert ["is full" in record.getMessage() for record in caplog.records] == [True]
    spool.close()


def test_a_spool_says_under_which_hello_and_where_a_server_knows_it(tmp_path: Path) -> None:
    """In the segment that is open by then, and in each later one."""
    spool = Spool(tmp_path, HELLO, segment_bytes=300)
    later = Hello(run="r", project="p", name="n", attempt=1)
    for seq in range(1, 9):
        spool.append(Event(seq=seq, kind="gap", step=0))
        if seq == 1:
            spool.confirm(later, "ws://s")
    spool.close()
    contents = [parse_segment(path.read_bytes()) for path in sorted(tmp_path.glob("*.lgs"))]
    assert len(contents) > 1
    assert {content.hello for content in contents} == {later}
    assert {content.label for content in contents} == {Label(server="ws://s", is_known=True)}
