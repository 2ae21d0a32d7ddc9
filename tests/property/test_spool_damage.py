"""A dead trainer's spool with damage anywhere: no wrong value, and each missing number is in a gap that is true."""

import random
from pathlib import Path

import pytest

from lossguard.protocol.codec import encode
from lossguard.protocol.messages import Event
from lossguard.protocol.spool_format import HEAD, pack_record
from spool_damage import check, delivered, stream, survives, tails, write


def test_each_of_the_last_bytes_truncated_and_flipped(tmp_path: Path) -> None:
    written = stream(40)
    ((name, data),) = write(tmp_path, written).items()
    assert check(written, delivered({name: data}), "whole") == 0
    ends = [len(data)]
    for message in reversed(written):
        ends.insert(0, ends[0] - HEAD.size - len(encode(message)))
    for where, damaged in tails(data):
        at = int(where.rpartition(" ")[2])
        if at < ends[0]:
            continue  # the header, below
        hit = sum(end <= at for end in ends)  # the number of the message that the damage is in
        got = delivered({name: damaged})
        missing = check(written, got, where)
        if where.startswith("flipped"):
            assert (len(got), missing) == (40, 1), where
        else:
            is_torn = at not in ends
            assert (len(got), missing) == (hit if is_torn else hit - 1, int(is_torn)), where


def test_a_flip_anywhere_in_a_header_costs_nothing(tmp_path: Path) -> None:
    written = stream(5)
    ((name, data),) = write(tmp_path, written).items()
    begin = data.index(HEAD.pack(0, 0, 1)[8:]) - 8  # of the first record with the number 1
    for where, damaged in tails(data[:begin], begin):
        if where.startswith("flipped"):
            assert survives(written, {name: damaged + data[begin:]}, where) == 0, where


def test_damage_in_the_middle_of_several_segments(tmp_path: Path) -> None:
    written = stream(120)
    files = write(tmp_path, written, segment_bytes=3000)
    names = list(files)
    assert len(names) > 4
    rng = random.Random(7)
    for _ in range(150):
        name = rng.choice(names)
        data = bytearray(files[name])
        at = rng.randrange(len(data))
        length = rng.choice([1, 5, 200, 2000])
        data[at : at + length] = rng.randbytes(min(length, len(data) - at))
        missing = survives(written, files | {name: bytes(data)}, f"{name} at {at}, {length} bytes")
        assert missing is not None
        assert missing <= 40


@pytest.mark.parametrize("lost", [1, 3])
def test_a_segment_that_is_gone_is_one_gap(tmp_path: Path, lost: int) -> None:
    written = stream(120)
    files = write(tmp_path, written, segment_bytes=3000)
    names = list(files)
    firsts = [int(name.split(".")[1]) for name in names]
    for name in names[2 : 2 + lost]:
        del files[name]
    got = delivered(files)
    assert check(written, got, "gone") == firsts[2 + lost] - firsts[2]
    assert sum(got[seq - 1] != written[seq - 1] and hasattr(got[seq - 1], "kind") for seq in range(1, 121)) == 1


def test_a_thousand_bad_files_are_a_result_or_a_bad_message(tmp_path: Path) -> None:
    written = stream(30)
    ((name, data),) = write(tmp_path, written).items()
    rng = random.Random(3)
    for count in range(1000):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 30)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        missing = survives(written, {name: bytes(damaged)}, str(count))
        assert missing is None or missing <= 30


def test_a_record_with_another_message_s_payload_is_not_sent(tmp_path: Path) -> None:
    written = stream(10)
    ((name, data),) = write(tmp_path, written).items()
    true, false = pack_record(7, encode(written[6])), pack_record(7, encode(Event(seq=9, kind="finish", step=0)))
    assert check(written, delivered({name: data.replace(true, false)}), "another number") == 1


def test_what_looks_like_a_record_inside_a_damaged_one_is_not_sent(tmp_path: Path) -> None:
    """Where the length is right, the reader goes by it, and does not look into the payload."""
    lie = pack_record(6, encode(Event(seq=6, kind="finish", step=0)))
    written = [*stream(4), Event(seq=5, kind="error", step=0, data={"raw": lie}), *stream(8)[5:]]
    ((name, data),) = write(tmp_path, written).items()
    at = data.index(encode(written[4])) + 3
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert check(written, delivered({name: damaged}), "a lie inside") == 1
