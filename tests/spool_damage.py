"""Spools that are damaged in every way, and what must come of them at the server.

Rules of this file: no test of its own; a stream is delivered by `DeadStream`, as the next trainer and `lossguard sync`
do it. The oracle knows what was written: what arrives under a number is that, byte for byte, or the number is covered
by a gap event that does not lie.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.delivery import DeadStream, SegmentFile, parse_name
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.frames import pack_frame, unpack_frame
from lossguard.protocol.gaps import Filling
from lossguard.protocol.messages import Declaration, Event, Frame, Hello, Schema, Sequenced, SeriesSpec
from lossguard.spool import Spool

HELLO = Hello(run="r", project="p", name="n")
TAIL_BYTES = 4096


def stream(count: int, seed: int = 0) -> list[Sequenced]:
    """A declaration, a schema, then frames of 1 to 4 steps of 3 series, each tenth message an event."""
    rng = np.random.default_rng(seed)
    messages: list[Sequenced] = [
        Declaration(seq=1, components=["a"]),
        Schema(seq=2, series=[SeriesSpec(number, f"s{number}") for number in range(3)]),
    ]
    step = 0
    for seq in range(3, count + 1):
        if seq % 10 == 0:
            messages.append(Event(seq=seq, kind="nonfinite", step=step, data={"series": ["s1"]}))
            continue
        n = int(rng.integers(1, 5))
        messages.append(pack_frame(seq, np.arange(step, step + n), [0, 1, 2], rng.normal(size=(3, n)), float(seq)))
        step += n
    return messages


def write(folder: Path, messages: list[Sequenced], segment_bytes: int = 1 << 20) -> dict[str, bytes]:
    """The segments of a dead trainer that spooled these messages, by name."""
    spool = Spool(folder, HELLO, segment_bytes)
    for message in messages:
        spool.append(message)
    spool.close()
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tails(data: bytes, count: int = TAIL_BYTES) -> Iterator[tuple[str, bytes]]:
    """The segment truncated at each of its last bytes, and with each of them flipped."""
    for at in range(max(0, len(data) - count), len(data)):
        yield f"truncated at {at}", data[:at]
        yield f"flipped at {at}", data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def delivered(files: dict[str, bytes]) -> list[Sequenced]:
    """What a server gets of these segments, in order. Raises BadMessage where they are nobody's."""
    dead = DeadStream([_file(name, data) for name, data in files.items()])
    filling = Filling()
    return [decode_sequenced(dead.message(seq, filling)) for seq in range(1, dead.last_seq + 1)]


def check(written: list[Sequenced], got: list[Sequenced], where: str) -> int:
    """Fails when a wrong value arrived, or a gap lies; returns how many of the messages are missing."""
    assert [message.seq for message in got] == list(range(1, len(got) + 1)), where
    assert len(got) <= len(written), where
    gaps = [m for m, w in zip(got, written, strict=False) if isinstance(m, Event) and m.kind == "gap" and m != w]
    told = [seq for event in gaps for seq in range(event.data["seqs"][0], event.data["seqs"][1] + 1)]
    missing = [m.seq for m, w in zip(got, written, strict=False) if m != w]
    assert told == missing, f"{where}: gaps tell of {told}, missing are {missing}"
    for event in gaps:
        first, last = event.data["seqs"]
        assert event.seq == first, where
        is_followed = any(isinstance(message, Frame) for message in got[last:])  # else its last step is not known
        for lost in written[first - 1 : last]:
            if isinstance(lost, Frame) and is_followed:
                steps = unpack_frame(lost)[0]
                assert event.data["from"] <= steps[0], where
                assert steps[-1] <= event.data["to"], where
    for seq in set(missing) - {event.seq for event in gaps}:
        assert got[seq - 1] == Schema(seq=seq, series=[]), where
    return len(missing)


def survives(written: list[Sequenced], files: dict[str, bytes], where: str) -> int | None:
    """As `check`; None when nobody can tell whose the segments are."""
    try:
        got = delivered(files)
    except BadMessage:
        return None
    return check(written, got, where)


def _file(name: str, data: bytes) -> SegmentFile:
    parsed = parse_name(name)
    assert parsed is not None, name
    return SegmentFile(name, parsed[1], len(data), lambda at, count: data[at : at + count])
