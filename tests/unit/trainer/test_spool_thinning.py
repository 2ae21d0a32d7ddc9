"""A spool at its limit: what is thinned, what never is, and what a kill leaves."""

import errno
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import read
from lossguard import thinning
from lossguard.disk_sync import DiskSync
from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Event, Frame, Hello, Schema, Sequenced, SeriesSpec
from lossguard.protocol.spool_format import LEFTOVER
from lossguard.spool import CAPPED, Spool
from lossguard.thinner import SLICE_S
from lossguard.thinning import REASON, Thinning
from segments import parse_segment
from spool_damage import delivered

HELLO = Hello(run="r", project="p", name="n")
SEGMENT_BYTES = 4_000
VALUES = 10


def frame(seq: int, bad: float | None = None, ids: tuple[int, ...] = (0, 1)) -> Frame:
    columns = np.full((len(ids), VALUES // len(ids)), float(seq))
    if bad is not None:
        columns[0, 1] = bad
    steps = np.arange(seq * 10, seq * 10 + columns.shape[1])
    return pack_frame(seq, steps, ids, columns, float(seq))


def event(seq: int) -> Event:
    return Event(seq=seq, kind="nonfinite", step=seq * 10, data={"series": ["a"]})


class World:
    """A spool with a limit, a clock that stands still, and everything that was put into it."""

    def __init__(self, folder: Path, cap_bytes: int) -> None:
        self.folder, self.now_s = folder, 0.0
        self.spool = Spool(folder, HELLO, SEGMENT_BYTES, 1 << 20, lambda: self.now_s, cap_bytes)
        self.disk = DiskSync()  # not started: it does its work at once
        self.written: list[Sequenced] = []
        self.add(Schema(seq=1, series=[SeriesSpec(number, f"s{number}") for number in range(4)]))

    def add(self, message: Sequenced) -> None:
        assert message.seq == len(self.written) + 1
        self.written.append(message)
        self.spool.append(message)

    def fill(self, count: int, tended: bool = True) -> None:
        """So many messages: frames, each 10th an event, each 25th a frame with a NaN."""
        for seq in range(len(self.written) + 1, len(self.written) + count + 1):
            self.add(event(seq) if seq % 10 == 0 else frame(seq, np.nan if seq % 25 == 1 else None))
            if tended:
                self.spool.tend(self.disk, 0)

    def fill_to_the_brim(self) -> None:
        """So much that thinning would begin, while it was not looked after."""
        while self.spool.bytes_on_disk < 32_000:
            self.fill(1, tended=False)

    def tend_for_long(self) -> None:
        for _ in range(1000):
            self.spool.tend(self.disk, 0)

    def read(self) -> list[Sequenced]:
        return [decode_sequenced(read(self.spool, seq)) for seq in range(1, self.spool.last_seq + 1)]

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*.lgs"))}


def must_stay(message: Sequenced) -> bool:
    return not isinstance(message, Frame) or not np.isfinite(np.frombuffer(message.values)).all()


def numbers_of(gap: Event) -> range:
    first, last = gap.data["seqs"]
    return range(first, last + 1)


def check(written: list[Sequenced], got: list[Sequenced]) -> list[Event]:
    """Each number is its message, or belongs to a gap that says what it held; returns the gaps."""
    assert [message.seq for message in got] == list(range(1, len(written) + 1))
    capped = {seq for m in got if isinstance(m, Event) and m.data.get("reason") == CAPPED for seq in numbers_of(m)}
    for message, original in zip(got, written, strict=True):
        if isinstance(message, Frame) or not isinstance(original, Frame):
            assert encode(message) == encode(original)
        elif must_stay(original):
            assert original.seq in capped
    gaps = [m for m, w in zip(got, written, strict=True) if isinstance(m, Event) and isinstance(w, Frame)]
    lost = {w.seq: w for m, w in zip(got, written, strict=True) if isinstance(w, Frame) and not isinstance(m, Frame)}
    covers = [(numbers_of(gap), gap) for gap in gaps]
    for seq, original in lost.items():
        within = [gap for numbers, gap in covers if seq in numbers]
        assert len(within) == 1, seq
        assert within[0].data["from"] <= original.first_step
        assert original.first_step + original.n - 1 <= within[0].data["to"]
    assert sum(gap.data["points"] for gap in gaps) == sum(w.n * len(w.series) for w in lost.values())
    return gaps


def test_at_the_limit_one_finite_frame_of_four_is_kept_and_everything_else(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill(200)
    got = world.read()
    gaps = check(world.written, got)
    assert gaps
    assert {gap.data["reason"] for gap in gaps} == {REASON}
    frames = [m for m, w in zip(got, world.written, strict=True) if not must_stay(w) and isinstance(m, Frame)]
    finite = [w for w in world.written if not must_stay(w)]
    assert len(finite) / 4 <= len(frames) < len(finite)
    assert world.spool.bytes_on_disk <= 40_000
    assert sum(len(data) for data in world.files().values()) == world.spool.bytes_on_disk
    assert world.spool.points_lost == VALUES * (len(finite) - len(frames))
    assert len(gaps) <= len(world.files()), "one gap a segment"


def test_a_stranger_reads_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill(300)
    got = world.read()
    world.spool.close()
    assert list(map(encode, delivered(world.files()))) == list(map(encode, got))


def test_again_and_again_until_nothing_but_events_is_left_then_frames_are_lost_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, cap_bytes=60_000)
    world.fill(4_000)
    got = world.read()
    gaps = check(world.written, got)
    assert {gap.data["reason"] for gap in gaps} == {REASON, CAPPED}
    assert [message for message in got[:200] if isinstance(message, Frame) and not must_stay(message)] == []
    events = [message for message in world.written if isinstance(message, Event)]
    assert world.spool.bytes_on_disk < 61_000 + len(events) * 350, "an event, and what says that frames are lost"
    assert len(caplog.records) <= 2


def test_where_nothing_can_be_thinned_frames_are_lost_and_events_kept(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=20_000)
    for seq in range(2, 400):
        world.add(event(seq) if seq % 3 == 0 else frame(seq, np.inf))
        world.spool.tend(world.disk, 0)
    got = world.read()
    for message, original in zip(got, world.written, strict=True):
        if isinstance(original, Event):
            assert message == original
    lost = [w for m, w in zip(got, world.written, strict=True) if isinstance(w, Frame) and encode(m) != encode(w)]
    assert lost
    assert world.spool.points_lost == VALUES * len(lost)


def test_what_was_sent_is_never_changed(tmp_path: Path) -> None:
    """A gap tells of numbers of which the server may have taken some already: it would never hear of the others."""
    world = World(tmp_path, cap_bytes=40_000)
    world.fill(60, tended=False)
    for _ in range(400):
        seq = len(world.written) + 1
        world.add(frame(seq))
        world.spool.tend(world.disk, 55)
    got = world.read()
    assert got[:55] == world.written[:55]
    assert any(not isinstance(message, Frame) for message in got[80:])


def test_a_segment_that_is_being_read_stays_readable_while_it_is_thinned(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    before = [encode(world.written[seq - 1]) for seq in range(2, 12)]
    world.now_s = 1e9
    changed = 0
    for _ in range(200):
        world.spool.tend(world.disk, 0)
        now = [read(world.spool, seq) for seq in range(2, 12)]
        if now != before:
            changed += 1
            check(world.written, world.read())
    assert changed


def test_rare_series_are_the_last_to_go(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=30_000)
    for seq in range(2, 150):
        world.add(frame(seq, ids=(2, 3)) if seq == 5 else frame(seq))
        world.spool.tend(world.disk, 0)
    got = world.read()
    check(world.written, got)
    assert got[4] == world.written[4]
    assert not all(isinstance(message, Frame) for message in got[1:30])


class SlowDisk(DiskSync):
    """Takes what it is asked for, and says so later."""

    answers = False

    def is_done(self, number: int) -> bool:
        return self.answers and super().is_done(number)


def under_way(folder: Path) -> World:
    """A segment's thinning has begun, and waits for the disk, which answers from now on."""
    world = World(folder, cap_bytes=40_000)
    world.fill_to_the_brim()
    world.disk = slow = SlowDisk()
    world.spool.tend(world.disk, 0)
    assert list(folder.glob(f"*{LEFTOVER}"))
    slow.answers = True
    return world


class Killed(BaseException):
    """The process dies here."""


def cuts() -> Iterator[tuple[str, str]]:
    yield "os", "write"
    yield "os", "fdatasync"
    yield "Path", "replace"


@pytest.mark.parametrize(("holder", "name"), list(cuts()))
def test_a_kill_in_the_middle_of_thinning_leaves_the_segment_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str, name: str
) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    before = world.files()
    world.now_s = 0.5  # no other sync is due

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    monkeypatch.setattr(os if holder == "os" else Path, name, die)
    with pytest.raises(Killed):
        world.tend_for_long()
    assert world.files() == before
    assert list(tmp_path.glob(f"*{LEFTOVER}"))
    assert list(map(encode, delivered(before))) == list(map(encode, world.written))


def test_a_disk_that_is_full_leaves_the_segments_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    before = world.files()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        real(fd, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        for _ in range(100):
            world.spool.tend(world.disk, 0)
    assert world.files() == before
    assert list(tmp_path.glob(f"*{LEFTOVER}")) == []
    world.now_s += 100.0
    for _ in range(2000):
        world.spool.tend(world.disk, 0)
    assert world.files() != before, "it goes on when there is room again"
    check(world.written, world.read())


def test_what_was_damaged_before_is_a_gap_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    path = sorted(tmp_path.glob("*.lgs"))[0]
    first = int(path.name.split(".")[1])
    data = bytearray(path.read_bytes())
    at = data.index(encode(world.written[first + 1])) + 30
    data[at] ^= 1
    path.write_bytes(bytes(data))
    for _ in range(2000):
        world.spool.tend(world.disk, 0)
    message = decode_sequenced(read(world.spool, first + 2))
    assert isinstance(message, Event)
    assert (message.data["reason"], message.data["seqs"]) == ("the trainer's spool is damaged", [first + 2, first + 2])
    lost = world.written[first + 1]
    assert isinstance(lost, Frame)
    assert message.data["from"] <= lost.first_step
    assert lost.first_step + lost.n - 1 <= message.data["to"]
    assert [kept.name for kept in (tmp_path / "bad").iterdir()] == [path.name]
    assert parse_segment(path.read_bytes()).damaged_bytes == 0


def test_acknowledged_segments_go_while_one_is_being_thinned(tmp_path: Path) -> None:
    world = under_way(tmp_path)
    last = world.spool.last_seq
    world.spool.acknowledged(last - 1)
    for _ in range(200):
        world.spool.tend(world.disk, last - 1)
    world.spool.acknowledged(last)
    assert sorted(tmp_path.iterdir()) == []


def test_a_segment_that_begins_to_be_sent_while_it_is_thinned_is_left_as_it_is(tmp_path: Path) -> None:
    world = under_way(tmp_path)
    for _ in range(50):
        world.spool.tend(world.disk, world.spool.last_seq)
    assert world.read() == world.written
    assert list(tmp_path.glob(f"*{LEFTOVER}")) == []


def test_damage_that_comes_between_reading_and_writing_is_not_made_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    before = world.files()
    real = Thinning._records

    def flip(self: Thinning, verdicts: thinning._Verdicts, fd: int) -> Iterator[bytes]:
        path = sorted(tmp_path.glob("*.lgs"))[0]
        data = bytearray(path.read_bytes())
        data[verdicts.places[0] + 20] ^= 1
        path.write_bytes(bytes(data))
        return real(self, verdicts, fd)

    with monkeypatch.context() as damaged:
        damaged.setattr(Thinning, "_records", flip)
        world.spool.tend(world.disk, 0)
    assert [name for name, data in world.files().items() if data != before[name]] == [next(iter(before))]
    assert len(world.files()[next(iter(before))]) == len(before[next(iter(before))]), "it was not thinned"


def test_segments_that_were_sent_from_do_not_keep_the_others_from_being_thinned(tmp_path: Path) -> None:
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    sent_seq = world.spool._segments[1].last_seq
    for _ in range(50):
        world.spool.tend(world.disk, sent_seq)
    assert [segment.thinned > 0 for segment in world.spool._segments][:4] == [False, False, True, True]
    assert world.read()[:sent_seq] == world.written[:sent_seq]


def test_a_slice_ends_between_two_records_of_either_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the records are: the heartbeats wait for the slice."""
    world = World(tmp_path, cap_bytes=40_000)
    world.fill_to_the_brim()
    now_s, steps = [0.0], [0]
    real = Thinning.step

    def step(self: Thinning) -> None:
        now_s[0] += SLICE_S
        steps[0] += 1
        real(self)

    monkeypatch.setattr(Thinning, "step", step)
    monkeypatch.setattr(world.spool._thinner, "_clock", lambda: now_s[0])
    records = world.spool._segments[0].last_seq
    ticks = 0
    while not world.spool._segments[0].thinned:
        world.spool.tend(world.disk, 0)
        ticks += 1
    assert ticks == steps[0] >= 2 * records


def test_what_is_held_meanwhile_is_bounded_by_the_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, HELLO, 1 << 20, cap_bytes=4 << 20)
    seq = 0
    while len(spool._segments) < 3:
        seq += 1
        spool.append(pack_frame(seq, np.array([seq]), [0], np.array([[1.0]])))
    path, first, last = spool._segments[0].path, 1, spool._segments[0].last_seq
    assert last > 8_000
    pass_over = Thinning(path, first, last, b"", DiskSync(), tmp_path)
    tracemalloc.start()
    while not pass_over.is_over:
        pass_over.step()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pass_over.has_replaced
    assert peak_bytes < 3 << 20, "what is read, what is written, and the verdicts"
    spool.close()
