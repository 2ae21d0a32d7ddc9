"""The history checker: what was logged, acknowledged and stored, and whether the three agree.

Rules of this file: pure. Values are compared by their 64 bits, so that a NaN's payload and the sign of a zero count.
Everything wrong is returned as a sentence; an empty list is the only good answer. The checker has no tolerance: what a
fault may cost (a tail that a killed trainer had not written yet) is the caller's to leave out of what it calls logged.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Event, Frame, Schema

Points = dict[str, list[tuple[int, int]]]  # by series: (step, the value's 64 bits), in the order of arrival
Steps = tuple[int, int]  # first and last, both included


@dataclass
class Logged:
    """One stream as its trainer saw it: its messages 1, 2, 3..., and how far it was told that they are stored."""

    payloads: list[bytes] = field(default_factory=list)
    acked_seq: int = 0


@dataclass(frozen=True)
class Stored:
    """One stream as the database holds it. `journal`: (seq, payload) in the order of the table."""

    last_seq: int
    journal: list[tuple[int, bytes]]
    folded_seq: int = 0  # the frames up to here are found among the run's points only


def bits_of(value: float) -> int:
    """The value's 64 bits."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def points_of(payloads: Iterable[bytes]) -> Points:
    """The points in a stream's messages."""
    names: dict[int, str] = {}
    points: Points = {}
    for payload in payloads:
        message = decode_sequenced(payload)
        if isinstance(message, Schema):
            names |= {spec.id: spec.name for spec in message.series}
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for number, column in zip(message.series, columns, strict=True):
                bits = np.ascontiguousarray(column).view("<u8").tolist()
                points.setdefault(names[number], []).extend(zip(steps.tolist(), bits, strict=True))
    return points


def check_stream(logged: Logged, stored: Stored, name: str = "the stream") -> list[str]:
    """Acknowledged within stored, stored within logged, prefix-closed, in order, nothing twice, as it was sent."""
    faults = []
    if stored.last_seq < logged.acked_seq:
        faults.append(f"{name}: lost: {logged.acked_seq} was acknowledged, {stored.last_seq} is stored")
    if stored.last_seq > len(logged.payloads):
        faults.append(f"{name}: invented: {stored.last_seq} is stored, {len(logged.payloads)} were logged")
    seqs = [seq for seq, _ in stored.journal]
    faults += [f"{name}: doubled: message {seq}" for seq, count in Counter(seqs).items() if count > 1]
    if seqs != sorted(seqs):
        faults.append(f"{name}: out of order")
    present = set(seqs)
    for seq, payload in enumerate(logged.payloads[: stored.last_seq], 1):
        # a folded frame has left the journal; nothing else ever does
        if seq not in present and (seq > stored.folded_seq or not isinstance(decode_sequenced(payload), Frame)):
            faults.append(f"{name}: hole: message {seq} of {stored.last_seq}")
    faults += [f"{name}: beyond its end: message {seq}" for seq in present if not 0 < seq <= stored.last_seq]
    for seq, payload in stored.journal:
        if 0 < seq <= len(logged.payloads) and payload != logged.payloads[seq - 1]:
            faults.append(f"{name}: altered: message {seq}")
    return faults


def check_run(logged: Sequence[Logged], stored: Sequence[Stored], points: Points, name: str = "the run") -> list[str]:
    """Each stream by itself, and the points of the run, folded or not. Streams in the order of their making."""
    faults = []
    streams = []
    for number, (said, found) in enumerate(zip(logged, stored, strict=True)):
        faults += check_stream(said, found, f"{name}/{number}")
        streams.append(points_of(said.payloads[: found.last_seq]))
    return faults + check_points(streams, points, name=name)


def check_points(
    logged: Sequence[Points], stored: Points, gaps: Sequence[Steps] = (), name: str = "the run"
) -> list[str]:
    """Every logged point is stored once, with its bits, in its stream's order; what is not, a gap event covers.

    `logged`: the points of each stream. Those of different streams may be stored in any order.
    """
    known = {series for stream in logged for series in stream}
    faults = [f"{name}: invented: series {series}" for series in stored.keys() - known]
    for series in sorted(known):
        streams, found = [stream.get(series, []) for stream in logged], stored.get(series, [])
        if found != [point for stream in streams for point in stream]:
            faults += _disagreements(f"{name}: {series}", streams, found, gaps)
    return faults


def _disagreements(
    name: str, streams: Sequence[Sequence[tuple[int, int]]], found: Sequence[tuple[int, int]], gaps: Sequence[Steps]
) -> list[str]:
    faults: list[str] = []
    said = [point for stream in streams for point in stream]
    left, right = Counter(said), Counter(found)
    said_steps, found_steps = Counter(step for step, _ in said), Counter(step for step, _ in found)
    for step, bits in right - left:
        if found_steps[step] > said_steps[step]:
            faults.append(f"{name}: doubled or invented: step {step}")
        else:
            faults.append(f"{name}: altered: step {step} holds {bits:016x}")
    lost = [step for step, _ in (left - right).elements() if found_steps[step] < said_steps[step]]
    faults += [f"{name}: lost: step {step}, and no gap says so" for step in lost if not _covered(step, gaps)]
    kept = ([point for point in stream if point in right] for stream in streams)
    if not faults and not all(_is_subsequence(stream, found) for stream in kept):
        faults.append(f"{name}: out of order")
    return faults


def gaps_in(payloads: Iterable[bytes]) -> list[Steps]:
    """The steps that a stream's gap events own up to."""
    messages = [decode_sequenced(payload) for payload in payloads]
    return [
        (int(message.data["from"]), int(message.data["to"]))
        for message in messages
        if isinstance(message, Event) and message.kind == "gap"
    ]


def as_bits(points: Mapping[str, Sequence[tuple[int, float]]]) -> Points:
    """Points with their values as bits."""
    return {series: [(step, bits_of(value)) for step, value in column] for series, column in points.items()}


def _covered(step: int, gaps: Sequence[Steps]) -> bool:
    return any(first <= step <= last for first, last in gaps)


def _is_subsequence(part: Sequence[tuple[int, int]], whole: Sequence[tuple[int, int]]) -> bool:
    rest = iter(whole)
    return all(point in rest for point in part)
