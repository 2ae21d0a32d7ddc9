"""A spool cut or flipped at every byte of its last 4 KiB: never a wrong value, and what is missing is owned up to."""

import contextlib
import random
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest

from faults.history import check_points, gaps_in, points_of
from faults.trainer_life import bits_at
from lossguard.protocol import frames, spool_format
from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.delivery import DeadStream, SegmentFile
from lossguard.protocol.errors import BadMessage, ProtocolError
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.gaps import Filling
from lossguard.protocol.messages import Event, Hello, Schema, SeriesSpec
from lossguard.protocol.spool_format import SUFFIX, Label, pack_header, pack_record

TAIL_BYTES = 4_096
STEPS_END = 1 << 40
HELLO = Hello(run="r", project="p", name="n")


def logged() -> list[bytes]:
    """A stream of which the last 4 KiB hold frames and events."""
    payloads = [encode(Schema(seq=1, series=[SeriesSpec(0, "x")]))]
    for seq in range(2, 40):
        if seq % 7 == 0:
            payloads.append(encode(Event(seq=seq, kind="error", step=4 * seq, data={"where": "w", "message": "m"})))
        else:
            steps = np.arange(4 * seq, 4 * seq + 4, dtype=np.int64)
            values = np.array([bits_at(int(step)) for step in steps], dtype="<u8").view("<f8")
            payloads.append(encode(pack_frame(seq, steps, [0], values[np.newaxis])))
    return payloads


def spool(payloads: list[bytes]) -> bytes:
    records = [pack_record(seq, payload) for seq, payload in enumerate(payloads, 1)]
    return pack_header(HELLO, Label(server="ws://s", is_known=True)) + b"".join(records)


def delivered(data: bytes) -> list[bytes]:
    """What a server would be sent of this segment, message by message. Raises BadMessage when it is nobody's."""
    file = SegmentFile(f"r-0-0.{1:020d}{SUFFIX}", 1, len(data), lambda at, count: data[at : at + count])
    stream, filling = DeadStream([file]), Filling()
    filling.begin(0)
    return [stream.message(seq, filling) for seq in range(1, stream.last_seq + 1)]


def faults_of(data: bytes, payloads: list[bytes]) -> list[str]:
    """Wrong values, and steps that are missing before the end without a gap that covers them."""
    sent = delivered(data)
    gaps = gaps_in(sent)
    told = [seq for first, last in gap_seqs(sent) for seq in range(first, last + 1)]
    lost = [seq for seq, (mine, true) in enumerate(zip(sent, payloads, strict=False), 1) if mine != true]
    faults = [f"message {seq} is missing, and no gap says so" for seq in lost if seq not in told]
    faults += [f"a gap says that message {seq} is missing" for seq in told if seq not in lost and seq <= len(payloads)]
    if len(sent) in told:
        # nothing follows that could tell up to which step the last message went: its number says enough
        gaps.append((gaps[-1][0], STEPS_END))
    faults += check_points([points_of(payloads[: len(sent)])], points_of(sent), gaps)
    present = {step for step, _ in points_of(sent).get("x", [])}
    for first, last in gaps_in(sent):
        # a gap's edges may be steps of its neighbours, of which it may have held other series
        faults += [f"a gap {first}..{last} covers step {step}" for step in present & {*range(first + 1, last)}]
    return faults


def gap_seqs(sent: list[bytes]) -> list[list[int]]:
    """The first and last message that each gap event stands for."""
    messages = [decode_sequenced(payload) for payload in sent]
    return [message.data["seqs"] for message in messages if isinstance(message, Event) and message.kind == "gap"]


def flips(data: bytes) -> list[bytes]:
    """One bit of each of the last bytes, flipped."""
    chance, found = random.Random(1), []
    for at in range(len(data) - TAIL_BYTES, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << chance.randrange(8)
        found.append(bytes(damaged))
    return found


def test_the_whole_spool_is_delivered_as_it_is() -> None:
    payloads = logged()
    assert len(spool(payloads)) > TAIL_BYTES + 200
    assert delivered(spool(payloads)) == payloads


def test_truncated_at_every_byte() -> None:
    payloads = logged()
    data = spool(payloads)
    ends = {len(spool(payloads[:count])): count for count in range(len(payloads) + 1)}
    for size in range(len(data) - TAIL_BYTES, len(data)):
        assert faults_of(data[:size], payloads) == [], size
        whole = max(count for end, count in ends.items() if end <= size)
        sent = delivered(data[:size])
        assert sent[:whole] == payloads[:whole], size
        if size not in ends:  # a torn record is a message that was there: its number is not given to another
            assert gap_seqs(sent) == [[whole + 1, whole + 1]], size


def test_a_bit_flipped_in_every_byte() -> None:
    payloads = logged()
    for number, damaged in enumerate(flips(spool(payloads))):
        assert faults_of(damaged, payloads) == [], number
        sent = delivered(damaged)
        wrong = [seq for seq, (a, b) in enumerate(zip(sent, payloads, strict=True), 1) if a != b]
        assert gap_seqs(sent) == [[wrong[0], wrong[0]]], number
        assert len(wrong) == 1, f"flip {number} takes the messages {wrong}"


def test_blocks_of_garbage() -> None:
    payloads, chance = logged(), random.Random(2)
    data = spool(payloads)
    named = len(spool(payloads[:1]))  # behind the schema: without it no frame can be read, here or at a server
    for number in range(200):
        at, size = chance.randrange(named, len(data)), chance.randrange(1, 600)
        damaged = data[:at] + chance.randbytes(size) + data[at + size :]
        assert faults_of(damaged, payloads) == [], number


def test_a_damaged_header_makes_a_spool_nobodys_or_costs_nothing_else() -> None:
    payloads, chance = logged(), random.Random(3)
    data = spool(payloads)
    head = len(spool([]))
    for number in range(200):
        at, size = chance.randrange(head), chance.randrange(1, 40)
        size = min(size, head - at)
        try:
            sent = delivered(data[:at] + chance.randbytes(size) + data[at + size :])
        except BadMessage:
            continue
        assert sent == payloads, number


# the sabotages that these tests must see
RECORD, FRAME = (spool_format, "_crc"), (frames, "checksum")


def faults_without(monkeypatch: pytest.MonkeyPatch, checksums: Sequence[tuple[ModuleType, str]]) -> list[str]:
    """What is found of flips when nobody looks at these checksums; damage that another check sees is not counted."""
    for holder, name in checksums:
        assert callable(getattr(holder, name))
        monkeypatch.setattr(holder, name, lambda *_: 0)
    payloads, found = logged(), []
    for damaged in flips(spool(payloads))[::16]:
        with contextlib.suppress(ProtocolError, KeyError):  # KeyError: of a series that nobody named
            found += faults_of(damaged, payloads)
    return found


def test_without_both_checksums_a_wrong_value_gets_through_and_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("altered: step" in fault for fault in faults_without(monkeypatch, [RECORD, FRAME]))


def test_without_the_record_s_checksum_another_message_gets_through_and_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The frame's own still holds: it is what else is in a message that is wrong, and no gap says so."""
    found = faults_without(monkeypatch, [RECORD])
    assert any("is missing, and no gap says so" in fault for fault in found)
    assert not any("altered" in fault for fault in found)


def test_without_the_frame_s_checksum_the_record_s_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults_without(monkeypatch, [FRAME]) == []
