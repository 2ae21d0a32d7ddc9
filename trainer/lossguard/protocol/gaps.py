"""What goes out under a number whose message is not there, and what to do about a message that is refused.

Rules of this file:
- Every number of a stream is filled: the first missing one by a gap event that says which numbers, which steps and why,
  the others by a schema that names nothing. Nothing is lost silently, and nothing blocks the stream.
- A message that was refused REFUSALS_MAX times is replaced by a gap; what cannot be read without it goes with it.
- Pure: used by a living trainer's link, by the next trainer for a dead one's spool, and by `lossguard sync`.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from .codec import decode_sequenced, encode
from .errors import BadFrame, BadMessage
from .frames import MAX_STEP, pack_frame, unpack_frame
from .messages import MAX_MESSAGE_BYTES, Event, Frame, Refusal, Schema, Sequenced

REFUSALS_MAX = 3
DAMAGED = "the trainer's spool is damaged"
REASON_MAX = 500  # characters of a server's own words that are kept


@dataclass(frozen=True)
class Hole:
    """The messages first_seq..last_seq are not there; they may have held steps from_step..to_step."""

    first_seq: int
    last_seq: int
    from_step: int
    to_step: int
    reason: str
    points: int | None = None  # how many values it held; None: not known
    time_s: float = 0.0


def gap(hole: Hole) -> bytes:
    """The event that goes out under the hole's first number."""
    first, last = _within(hole.from_step), _within(hole.to_step)
    data: dict[str, Any] = {
        "from": first,
        "to": max(first, last),
        "reason": hole.reason,
        "seqs": [hole.first_seq, hole.last_seq],
    }
    if hole.points is not None:
        data["points"] = hole.points
    return encode(Event(seq=hole.first_seq, kind="gap", step=max(first, last), time_s=hole.time_s, data=data))


def sendable(message: Sequenced) -> tuple[bytes, str]:
    """The message as bytes, and "". One that cannot be encoded or is too large: a gap, and why it is one."""
    try:
        payload = encode(message)
    # ValueError holds lone surrogates; the others are what msgspec raises for objects that are no data
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"this message could not be encoded: {error}"[:REASON_MAX].encode(errors="replace").decode()
    else:
        if len(payload) <= MAX_MESSAGE_BYTES:
            return payload, ""
        reason = f"this message had {len(payload)} bytes; at most {MAX_MESSAGE_BYTES} can be sent"
    (first, last), points = _content_of(message)
    return gap(Hole(message.seq, message.seq, first, last, reason, points)), reason


def filler(seq: int) -> bytes:
    """What goes out under the hole's other numbers."""
    return encode(Schema(seq=seq, series=[]))


def steps_of(frame: Frame) -> tuple[int, int]:
    """The first and the last step of a frame that need not be a good one."""
    last = frame.first_step + frame.n - 1
    if len(frame.steps) >= 8:
        last = int.from_bytes(frame.steps[-8:], "little", signed=True)
    first = _within(frame.first_step)
    return first, max(first, _within(last))


class Filling:
    """Which hole has been told of, over the connections of one stream."""

    def __init__(self) -> None:
        self._told = range(0)

    def begin(self, acked_seq: int) -> None:
        """A new connection: a gap that was not acknowledged may not have been committed, and is told again."""
        if acked_seq < self._told.start:
            self._told = range(0)

    def is_told(self, seq: int) -> bool:
        """True where a gap event under an earlier number covers this one."""
        return seq in self._told[1:]

    def tell(self, hole: Hole) -> bytes:
        """The gap event for the hole; its other numbers are fillers from now on."""
        self._told = range(hole.first_seq, hole.last_seq + 1)
        return gap(hole)


class Poison:
    """Counts the refusals of single messages, and holds what goes out in place of those that were refused too often."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._instead: dict[int, bytes] = {}
        self._lost_ids: set[int] = set()  # of schemas that were refused: no frame may use them

    def refused(self, refusal: Refusal, payload: bytes) -> bool:
        """Take note of a refusal of the message `payload`; True when it is replaced from now on."""
        seq = refusal.seq
        self._counts[seq] = self._counts.get(seq, 0) + 1
        if self._counts[seq] % REFUSALS_MAX:
            return False
        if seq in self._instead:  # not even its gap is taken; a number that says nothing keeps the stream going
            self._instead[seq] = filler(seq)
            return False
        self._instead[seq] = self._gap(refusal, payload)
        return True

    def outgoing(self, seq: int, payload: bytes) -> bytes:
        """`payload`, or what goes out in its place."""
        if (instead := self._instead.get(seq)) is not None:
            return instead
        return self._without_lost(seq, payload) if self._lost_ids else payload

    def acknowledged(self, seq: int) -> None:
        """Nothing up to `seq` is refused any more."""
        for number in [number for number in self._counts if number <= seq]:
            del self._counts[number]
            self._instead.pop(number, None)

    def _gap(self, refusal: Refusal, payload: bytes) -> bytes:
        words = f"{refusal.message} ({refusal.error})"[:REASON_MAX]
        reason = f"the server refused this message {REFUSALS_MAX} times: {words}"
        message = decode_sequenced(payload)
        if isinstance(message, Schema):
            self._lost_ids |= {series.id for series in message.series}
        (first, last), points = _content_of(message)
        return gap(Hole(refusal.seq, refusal.seq, first, last, reason, points))

    def _without_lost(self, seq: int, payload: bytes) -> bytes:
        """The frame without the series that no accepted schema names; a gap when nothing else is in it."""
        try:
            frame = decode_sequenced(payload)
            if not isinstance(frame, Frame) or self._lost_ids.isdisjoint(frame.series):
                return payload
            steps, columns = unpack_frame(frame)
        except (BadMessage, BadFrame):
            return payload
        kept = [at for at, number in enumerate(frame.series) if number not in self._lost_ids]
        if kept:
            ids = [frame.series[at] for at in kept]
            return encode(pack_frame(frame.seq, steps, ids, columns[kept], frame.time_s))
        reason = "the server refused the names of these series"
        return gap(Hole(seq, seq, *steps_of(frame), reason, frame.n * len(frame.series), frame.time_s))


def _content_of(message: Sequenced) -> tuple[tuple[int, int], int]:
    """The first and the last step of a message, and how many values it holds."""
    if isinstance(message, Frame):
        return steps_of(message), message.n * len(message.series)
    return (message.step, message.step) if isinstance(message, Event) else (0, 0), 0


def _within(step: int) -> int:
    return max(0, min(step, MAX_STEP))
