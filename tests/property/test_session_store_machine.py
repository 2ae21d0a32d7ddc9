"""The session and the store, driven by whatever Hypothesis thinks of: each stream is a prefix of what was logged.

The wire between the ends repeats, swaps and loses; the server crashes and starts again; the trainer forgets what is
acknowledged; the store folds. The model is one list of payloads a stream. The sockets and services are left out: what
is in them is driven by tests/faults, with processes.
"""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faults.evidence import DATABASE
from faults.history import as_bits, check_points, points_of
from faults.power_fold import fold
from helpers import examples
from journal_reader import stored_points
from lossguard.protocol import RemoteProtocolError
from lossguard.protocol.codec import decode_sequenced, decode_to_server, decode_to_trainer, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Hello, Schema, SeriesSpec, ToTrainer
from lossguard.protocol.session import Accepted, Opened, Reply, ServerSession, State, TrainerSession
from lossguard_server.errors import OutOfOrder
from lossguard_server.store import journal
from lossguard_server.store.journal import Entry, StreamHead
from store_world import Store, entry, rollback

MAX_STREAMS = 3
bit_patterns = st.integers(0, (1 << 64) - 1) | st.sampled_from([0x7FF8000000000001, 1 << 63, 0x7FF0000000000000, 1])


@dataclass
class Stream:
    """One attempt: what was logged, both ends of its connection, and what is between them."""

    attempt: int
    logged: list[bytes] = field(default_factory=list)
    pruned_seq: int = 0  # the trainer has forgotten the messages up to here
    acked_seq: int = 0
    next_step: int = 0
    trainer: TrainerSession = field(default_factory=TrainerSession)
    server: ServerSession | None = None
    head: StreamHead | None = None
    to_server: list[bytes] = field(default_factory=list)
    to_trainer: list[bytes] = field(default_factory=list)
    accepted: list[Entry] = field(default_factory=list)
    is_swapped: bool = False  # something on this connection came in another order, which no TCP would do

    def cut(self) -> None:
        """The connection is gone, with all that was on it."""
        self.trainer.disconnect()
        self.server, self.head = None, None
        self.to_server, self.to_trainer, self.accepted, self.is_swapped = [], [], [], False

    def answer(self, message: ToTrainer) -> None:
        self.to_trainer.append(encode(message))


class SessionAndStore(RuleBasedStateMachine):
    """A run with up to three attempts, which may all be alive."""

    def __init__(self) -> None:
        super().__init__()
        self.homes = [Path(tempfile.mkdtemp())]
        self.store = Store(self.homes[-1])
        self.streams: list[Stream] = []

    def teardown(self) -> None:
        self.store.writer.close()
        self.store.database.close()
        for home in self.homes:
            shutil.rmtree(home)

    @initialize()
    def begin(self) -> None:
        self.new_attempt()

    @precondition(lambda self: len(self.streams) < MAX_STREAMS)
    @rule()
    def new_attempt(self) -> None:
        stream = Stream(len(self.streams))
        self.streams.append(stream)
        stream.logged.append(encode(Schema(seq=1, series=[SeriesSpec(0, "loss/total"), SeriesSpec(1, "x")])))

    # -- the trainer --------------------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 2), bits=st.lists(bit_patterns, min_size=2, max_size=8), skip=st.integers(0, 3))
    def log(self, pick: int, bits: list[int], skip: int) -> None:
        stream = self._pick(pick)
        count = len(bits) // 2
        steps = np.arange(stream.next_step + skip, stream.next_step + skip + count, dtype=np.int64)
        columns = np.array(bits[: 2 * count], dtype="<u8").reshape(2, count).view("<f8")
        stream.logged.append(encode(pack_frame(len(stream.logged) + 1, steps, [0, 1], columns)))
        stream.next_step = int(steps[-1]) + 1

    @rule(pick=st.integers(0, 2), back=st.integers(0, 6))
    def roll_back(self, pick: int, back: int) -> None:
        stream = self._pick(pick)
        to_step = max(0, stream.next_step - back)
        stream.logged.append(encode(rollback(len(stream.logged) + 1, stream.next_step, to_step)))
        stream.next_step = to_step

    @rule(pick=st.integers(0, 2))
    def connect(self, pick: int) -> None:
        stream = self._pick(pick)
        stream.cut()
        stream.server = ServerSession()
        hello = stream.trainer.connect(Hello(run="r1", project="p", name="n", attempt=stream.attempt))
        outcome = stream.server.receive(decode_to_server(encode(hello)))
        assert isinstance(outcome, Opened)
        stream.head = self.store.stream("r1", 0, stream.attempt)
        stream.answer(stream.server.welcome(stream.head.last_seq))

    @rule(pick=st.integers(0, 2), count=st.integers(1, 6))
    def send(self, pick: int, count: int) -> None:
        stream = self._pick(pick)
        for _ in range(count):
            if (seq := stream.trainer.next_to_send(len(stream.logged))) is None:
                return
            assert seq > stream.pruned_seq, "it asks for what it had acknowledged"
            stream.to_server.append(stream.logged[seq - 1])
            stream.trainer.sent(seq)

    @rule(pick=st.integers(0, 2))
    def prune(self, pick: int) -> None:
        stream = self._pick(pick)
        stream.pruned_seq = max(stream.pruned_seq, stream.trainer.acked_seq)

    @rule(pick=st.integers(0, 2))
    def hear(self, pick: int) -> None:
        stream = self._pick(pick)
        try:
            for data in stream.to_trainer:
                stream.trainer.receive(decode_to_trainer(data))
                stream.acked_seq = max(stream.acked_seq, stream.trainer.acked_seq)
        except RemoteProtocolError:
            assert stream.is_swapped
            stream.cut()
        stream.to_trainer = []

    @rule(pick=st.integers(0, 2), count=st.integers(1, 6), mischief=st.sampled_from(["", "repeat", "swap", "lose"]))
    def converse(self, pick: int, count: int, mischief: str) -> None:
        """A whole exchange, which the small rules alone would rarely hit upon."""
        stream = self._pick(pick)
        if stream.trainer.state is not State.STREAMING:
            self.connect(pick)
            self.hear(pick)
        for _ in range(count):
            self.log(pick, [count, len(stream.logged)], 0)
        self.send(pick, count)
        if mischief:
            getattr(self, mischief)(pick, count - 1)
        self.receive(pick, count + 1)
        self.commit(pick)

    # -- the wire -----------------------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 2), at=st.integers(0, 5))
    def repeat(self, pick: int, at: int) -> None:
        wire = self._pick(pick).to_server
        if wire:
            wire.append(wire[at % len(wire)])

    @rule(pick=st.integers(0, 2), at=st.integers(0, 5))
    def swap(self, pick: int, at: int) -> None:
        wire = self._pick(pick).to_server
        if len(wire) > 1:
            at %= len(wire) - 1
            wire[at], wire[at + 1] = wire[at + 1], wire[at]
            self._pick(pick).is_swapped = True

    @rule(pick=st.integers(0, 2), at=st.integers(0, 5))
    def lose(self, pick: int, at: int) -> None:
        wire = self._pick(pick).to_server
        if wire:
            del wire[at % len(wire)]

    # -- the server ---------------------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 2), count=st.integers(1, 8))
    def receive(self, pick: int, count: int) -> None:
        stream = self._pick(pick)
        for payload in stream.to_server[:count]:
            assert stream.server is not None
            match stream.server.receive(decode_to_server(payload)):
                case Accepted(message):
                    stream.accepted.append(entry(message))
                case Reply(answer):
                    stream.answer(answer)
        del stream.to_server[:count]

    @rule(pick=st.integers(0, 2))
    def commit(self, pick: int) -> None:
        stream = self._pick(pick)
        if not stream.accepted or stream.head is None or stream.server is None:
            return
        batch, stream.accepted, number = stream.accepted, [], stream.head.id
        self.store.write(lambda session: journal.append(session, number, batch))
        stream.answer(stream.server.committed(batch[-1].seq))

    @rule(pick=st.integers(0, 2), seq=st.integers(1, 30))
    def force(self, pick: int, seq: int) -> None:
        """The fence alone, without a session: only what is due gets past it."""
        stream = self._pick(pick)
        if stream.head is None or seq > len(stream.logged) or stream.trainer.state is State.STREAMING:
            return
        row, number = entry(decode_sequenced(stream.logged[seq - 1])), stream.head.id
        with contextlib.suppress(OutOfOrder):
            self.store.write(lambda session: journal.append(session, number, [row]))
        stream.cut()  # a rival's connection takes the stream over

    @rule()
    def judge_and_fold(self) -> None:
        heads = self.store.read(lambda session: journal.streams(session, "r1"))
        for head in heads:
            self.store.write(lambda session, h=head: journal.set_judged(session, h.id, h.last_seq))
        fold(self.store.writer, self.store.database)

    @rule(is_orderly=st.booleans())
    def end_and_begin_again(self, is_orderly: bool) -> None:
        home = Path(tempfile.mkdtemp())
        if is_orderly:
            self._close()
        for path in self.homes[-1].glob(f"{DATABASE}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, home)
        if not is_orderly:
            self._close()
        self.homes.append(home)
        self.store = Store(home)

    # -- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def acknowledged_within_stored_within_logged(self) -> None:
        heads = {head.key.attempt: head for head in self.store.read(lambda session: journal.streams(session, "r1"))}
        for stream in self.streams:
            stored = heads[stream.attempt].last_seq if stream.attempt in heads else 0
            assert stream.acked_seq <= stored <= len(stream.logged)
        logged = [points_of(self.streams[head.key.attempt].logged[: head.last_seq]) for head in heads.values()]
        assert check_points(logged, as_bits(stored_points(self.homes[-1], "r1"))) == []

    def _pick(self, number: int) -> Stream:
        return self.streams[number % len(self.streams)]

    def _close(self) -> None:
        for stream in self.streams:
            stream.cut()
        self.store.writer.close()
        self.store.database.close()


TestSessionAndStore = SessionAndStore.TestCase
TestSessionAndStore.settings = examples(40)
