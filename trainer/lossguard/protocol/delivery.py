"""A dead trainer's stream, from its segments to a server: what goes next, what is missing.

Rules of this file:
- Pure: files are given as functions that read, connections are their caller's. The next trainer's link and `lossguard
  sync` differ in nothing but their sockets.
- What is damaged is never sent: a record goes out when its CRC holds and it decodes to a message with its own number.
- One segment is in memory at a time. Nothing in a name or in a file is believed beyond what can be checked; a number
  that is too far off ends the delivery, because filling up to it would never end.
- Nothing is sent before the spool says which stream of which server it is now (`claim`): a delivery that breaks off
  before that would begin anew as a later attempt, and double what it had sent.
- Declarations and schemas that are lost go out from their copies. Frames that the server cannot read for want of one
  end the delivery: replaced one by one, all of them would be.
- A server that is ahead of a spool which it never welcomed has another process's stream under that name; this one then
  goes out as a later attempt.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from .codec import decode_sequenced, decode_to_trainer, encode
from .errors import BadMessage, RemoteProtocolError
from .gaps import DAMAGED, Filling, Hole, Poison, filler, steps_of
from .messages import Declaration, Frame, Hello, Hold, Refusal, Schema, Welcome
from .session import State, TrainerSession
from .spool_format import HEAD, LEFTOVER, SUFFIX, Label, Read, Scan, about, pack_label, pack_record, skipped_to

HOLE_MAX = 10_000_000  # numbers: a week of full speed; a hole beyond it is a lie in a name
SEQ_MAX = (1 << 63) - 1
ATTEMPTS_MAX = 10
WINDOW = 16  # messages in flight: a quarter of a living stream's, which goes first
LOOK_AROUND = 64  # records beside a hole in which its steps are looked for
FRUITLESS_MAX = 6  # connections one after another that bring nothing; a message that is refused takes two
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 5.0
UNREADABLE = "unknown_series"  # the refusal of a frame whose schema the server does not have
BEGUN_S = 5.0  # a file is made, then locked, then written to: an empty one may be about to be locked
_NAME = re.compile(r"(?P<stem>.+)\.(?P<seq>[0-9]{20})" + re.escape(SUFFIX), re.DOTALL)


def parse_name(name: str) -> tuple[str, int] | None:
    """(stem, first number) of a segment's file name; None when it is none. Segments of one stream share their stem."""
    found = _NAME.fullmatch(name)
    return None if found is None or int(found["seq"]) > SEQ_MAX else (found["stem"], int(found["seq"]))


def by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """The segments among these files, by stem, in order."""
    streams: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if (parsed := parse_name(name)) is not None:
            streams.setdefault(parsed[0], []).append((parsed[1], name))
    return {stem: [name for _, name in sorted(found)] for stem, found in streams.items()}


def leftovers(names: Iterable[str], stem: str) -> list[str]:
    """The files among these that a killed thinning of the stream left."""
    found = [(name, parse_name(name.removesuffix(LEFTOVER))) for name in names if name.endswith(LEFTOVER)]
    return [name for name, parsed in found if parsed is not None and parsed[0] == stem]


@dataclass(frozen=True)
class SegmentFile:
    """A segment as a reader meets it. `read` raises FileTrouble."""

    name: str
    first_seq: int
    size: int
    read: Read


@dataclass
class _Content:
    """The good messages of one segment, as parallel lists; a payload of None stands for fillers seq..last."""

    hello: Hello | None = None
    label: Label | None = None
    definitions: dict[int, bytes] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)
    is_damaged: bool = False
    is_torn: bool = False  # something that was no header stood at its end and could not be read

    def add(self, seq: int, payload: bytes) -> None:
        last = skipped_to(payload)
        is_new = seq > (self.lasts[-1] if self.lasts else 0) and seq <= SEQ_MAX
        if not is_new or not (_is_message(seq, payload) if last is None else seq <= last < seq + HOLE_MAX):
            self.is_damaged = True
            return
        self.seqs.append(seq)
        self.lasts.append(seq if last is None else last)
        self.payloads.append(payload if last is None else None)

    def frame_beside(self, at: int, direction: int) -> Frame | None:
        """The first frame from the record `at` on, backwards or forwards."""
        for index in range(at, at + direction * LOOK_AROUND, direction):
            if not 0 <= index < len(self.seqs):
                return None
            payload = self.payloads[index]
            if payload is not None and isinstance(message := decode_sequenced(payload), Frame):
                return message
        return None


class DeadStream:
    """The messages first_seq..last_seq of a stream that nobody adds to.

    Raises BadMessage when it is nobody's. Everything that reads raises FileTrouble.
    """

    def __init__(self, files: Sequence[SegmentFile], is_known: bool = True) -> None:
        """`is_known`: what is assumed of segments that have no label, as those of version 0.2."""
        self._files = sorted(files, key=lambda file: file.first_seq)
        self._firsts = [file.first_seq for file in self._files]
        self._loaded: tuple[int, _Content] | None = None
        self._last_step = 0
        self._definitions: dict[int, bytes] = {}
        self.damaged: set[str] = set()  # names of the files in which something could not be read
        if any(later - earlier > HOLE_MAX for earlier, later in zip(self._firsts, self._firsts[1:], strict=False)):
            raise BadMessage("The numbers in the names of its segments are too far apart.")
        hello, self.label = self._about(is_known)
        if hello is None:
            raise BadMessage("It is no spool segment, or its header is damaged.")
        self.hello = hello
        self.last_seq = self._find_end()

    def message(self, seq: int, filling: Filling) -> bytes:
        """What goes out under this number, 1 <= seq <= last_seq."""
        index = bisect_right(self._firsts, seq) - 1
        content = self._content(max(index, 0))
        at = bisect_right(content.seqs, seq) - 1
        if index >= 0 and at >= 0 and content.lasts[at] >= seq:
            payload = content.payloads[at]
            return filler(seq) if payload is None else payload
        if (copy := self._definitions.get(seq)) is not None:
            return copy
        if filling.is_told(seq):
            return filler(seq)
        return filling.tell(self._hole(seq, index, content, at))

    def through(self, name: str) -> int:
        """The last number that this file may hold."""
        index = next(index for index, file in enumerate(self._files) if file.name == name)
        return self._firsts[index + 1] - 1 if index + 1 < len(self._files) else self.last_seq

    @property
    def names(self) -> list[str]:
        """The files, in order."""
        return [file.name for file in self._files]

    def _hole(self, seq: int, index: int, content: _Content, at: int) -> Hole:
        if index < 0:  # before the first segment
            last = self._firsts[0] - 1
        elif at + 1 < len(content.seqs):
            last = content.seqs[at + 1] - 1
        else:
            last = self.through(self._files[index].name)
        last = min(last, min((number - 1 for number in self._definitions if number > seq), default=last))
        if last - seq >= HOLE_MAX:
            raise RemoteProtocolError(f"The messages {seq} to {last} are not in the spool: too many to fill.")
        if index >= 0 and (before := content.frame_beside(at, -1)) is not None:
            self._last_step = steps_of(before)[1]
        reason = DAMAGED if content.is_damaged else "these messages are not in the spool"
        after = content.frame_beside(at + 1, 1)
        if after is None and 0 <= index < len(self._files) - 1:
            after = _load(self._files[index + 1]).frame_beside(0, 1)
        return Hole(seq, last, self._last_step, self._last_step if after is None else steps_of(after)[0], reason)

    def _content(self, index: int) -> _Content:
        if self._loaded is None or self._loaded[0] != index:
            if self._loaded is not None and self._loaded[0] < index:
                left = self._loaded[1]
                if (frame := left.frame_beside(len(left.seqs) - 1, -1)) is not None:
                    self._last_step = steps_of(frame)[1]
            content = _load(self._files[index])
            if content.is_damaged:
                self.damaged.add(self._files[index].name)
            self._definitions |= content.definitions
            self._loaded = (index, content)
        return self._loaded[1]

    def _about(self, is_known: bool) -> tuple[Hello | None, Label]:
        """The newest Hello and Label: each segment has them, and the last one was written last."""
        for index in reversed(range(len(self._files))):
            content = self._content(index)
            if content.hello is not None:
                return content.hello, content.label or Label(is_known=is_known)
        return None, Label()

    def _find_end(self) -> int:
        content = self._content(len(self._files) - 1)
        last = max(content.lasts[-1] if content.lasts else 0, self._firsts[-1] - 1)
        return last + 1 if content.is_torn else last


class Delivery:
    """Brings one dead stream to one server, over as many connections as that takes."""

    def __init__(self, stream: DeadStream, address: str, window: int = WINDOW) -> None:
        """`address`: the socket of the server, as a label names it."""
        self.stream, self.hello = stream, stream.hello
        self.refusal: Refusal | None = None  # of the whole stream: leave it
        self.later: Refusal | None = None  # of this connection: leave it for now
        self.hold: Hold | None = None
        self.set_aside: list[tuple[int, bytes, Refusal]] = []  # messages that go to bad/; whoever writes them clears it
        self.claim = b""  # to be appended to the last segment; nothing is sent before `claimed`
        self.pause_s = 0.0  # before the next connection
        self._address, self._is_known = address, stream.label.is_known
        self._said = (stream.hello, stream.label)
        self._session = TrainerSession(window)
        self._filling, self._poison = Filling(), Poison()
        self._furthest = self._replaced = self._fruitless = self._handed_out = 0
        self._before = self._progress()
        self._trouble = "the connections broke off"

    @property
    def acked_seq(self) -> int:
        """Everything up to it is at the server."""
        return self._session.acked_seq

    @property
    def is_over(self) -> bool:
        """True when the server has everything."""
        return self._session.acked_seq >= self.stream.last_seq

    @property
    def is_cut(self) -> bool:
        """True when this connection leads no further; `may_go_on` says whether another one would."""
        return self._session.state is State.CLOSED

    @property
    def may_go_on(self) -> bool:
        """True while another connection is worth it."""
        is_ended = self.is_over or self.refusal is not None or self.later is not None
        return not is_ended and self._fruitless < FRUITLESS_MAX

    @property
    def why(self) -> str:
        """Why it went no further."""
        if (said := self.refusal or self.later or self.hold) is not None:
            return f"{said.message} {said.hint}".strip()
        return self._trouble

    def begin(self) -> bytes:
        """A connection is open: send this."""
        self._before = self._progress()
        return encode(self._session.connect(self.hello))

    def end(self, trouble: RemoteProtocolError | None = None) -> None:
        """The connection is gone. `trouble`: what `receive` raised."""
        self._session.disconnect()
        if trouble is not None:
            self._trouble = str(trouble)
        self._fruitless = 0 if self._progress() != self._before else self._fruitless + 1
        self.pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._fruitless - 1)) if self._fruitless else 0.0

    def outgoing(self) -> Iterator[bytes]:
        """What may be sent now."""
        while not self.claim and (seq := self._session.next_to_send(self.stream.last_seq)) is not None:
            payload = self._message(seq)
            self._session.sent(seq)  # before it is: an answer may be quicker than our return from sending
            yield payload

    def claimed(self) -> None:
        """The claim is written."""
        self.claim = b""
        self._said = (self.hello, self._label())

    def finished(self) -> list[str]:
        """Files that the server has, each once; the last, whose lock is held, only when it has everything."""
        names = self.stream.names
        until = self._handed_out
        while until < len(names) - (not self.is_over) and self.stream.through(names[until]) <= self.acked_seq:
            until += 1
        found, self._handed_out = names[self._handed_out : until], until
        return found

    def receive(self, data: bytes) -> None:
        """Take what the server sent. Raises RemoteProtocolError when the connection is of no use, FileTrouble."""
        message = decode_to_trainer(data)
        if isinstance(message, Welcome):
            self._be_welcome(message)
        self._session.receive(message)
        self._furthest = max(self._furthest, self._session.acked_seq)
        match message:
            case Welcome():
                self._filling.begin(self._session.acked_seq)
            case Hold():
                self.hold = message if message.error else None
            case Refusal(seq=0, retry=True):
                self.later = message
            case Refusal() if message.seq == 0 or message.error == UNREADABLE:
                self.refusal = message
            case Refusal():
                self._take_refusal(message)
        self._poison.acknowledged(self._session.acked_seq)

    def _take_refusal(self, refusal: Refusal) -> None:
        payload = self.stream.message(refusal.seq, self._filling)
        if self._poison.refused(refusal, payload):
            self.set_aside.append((refusal.seq, payload, refusal))
            self._replaced += 1

    def _be_welcome(self, welcome: Welcome) -> None:
        if not self._is_known and welcome.last_seq > 0:
            if self.hello.attempt >= self.stream.hello.attempt + ATTEMPTS_MAX:
                raise RemoteProtocolError(f"It has {ATTEMPTS_MAX} other streams under this name.")
            self.hello = msgspec.structs.replace(self.hello, attempt=self.hello.attempt + 1)
            raise RemoteProtocolError("It has another process's stream under this name; this one is a later attempt.")
        self._is_known = True
        if self._said != (self.hello, self._label()):
            self.claim = pack_record(0, encode(self.hello)) + pack_label(self._label())

    def _label(self) -> Label:
        return Label(server=self._address, is_known=True)

    def _progress(self) -> tuple[int, int, int]:
        return self._furthest, self._replaced, self.hello.attempt

    def _message(self, seq: int) -> bytes:
        return self._poison.outgoing(seq, self.stream.message(seq, self._filling))


def _load(file: SegmentFile) -> _Content:
    scan = Scan(file.read, file.size)
    content = _Content()
    end = 0
    for record in scan:
        if record.is_after_damage:
            content.is_torn = _was_message(file, end)
        end = record.at + HEAD.size + len(record.payload)
        if record.seq > 0:
            content.is_torn = False
            content.add(record.seq, record.payload)
            continue
        match about(record.payload):
            case Hello() as said:
                content.hello = said
            case Label() as said:
                content.label = said
            case Declaration() | Schema() as said:
                if 0 < said.seq <= SEQ_MAX:
                    content.definitions[said.seq] = record.payload
    content.is_damaged = content.is_damaged or scan.damaged_bytes > 0
    if scan.tail_at is not None:
        content.is_torn = _was_message(file, scan.tail_at)
    return content


def _was_message(file: SegmentFile, at: int) -> bool:
    """False when what could not be read there only said whose the segment is."""
    head = file.read(at, HEAD.size)
    return len(head) < HEAD.size or HEAD.unpack(head)[2] != 0


def _is_message(seq: int, payload: bytes) -> bool:
    try:
        return decode_sequenced(payload).seq == seq
    except BadMessage:
        return False
