"""Both ends of the conversation over a hostile wire: it breaks, loses, repeats; the server dies before a commit.

The promise: acknowledged lies within committed within sent; each number is committed once and in order; and once the
wire behaves, everything is delivered.
"""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from helpers import examples
from lossguard.protocol.errors import RemoteProtocolError
from lossguard.protocol.messages import Event, Hello, ToServer, ToTrainer
from lossguard.protocol.session import Accepted, Opened, Reply, ServerSession, State, TrainerSession

HELLO = Hello(run="r", project="p", name="n")
WINDOW = 5

fates = st.lists(
    st.sampled_from(["arrives"] * 4 + ["comes twice", "comes again later", "is lost"]), min_size=1, max_size=6
)


class World:
    """A trainer with its spool, a server with its journal, and what is under way between them."""

    def __init__(self) -> None:
        self.trainer, self.server = TrainerSession(WINDOW), ServerSession()
        self.spooled = 0
        self.sent = 0
        self.pending: list[int] = []  # accepted, not committed
        self.journal: list[int] = []
        self.up: deque[ToServer] = deque()
        self.down: deque[ToTrainer] = deque()
        self.is_connected = False
        self.was_touched = False  # this connection lost or repeated something, which TCP would not do

    def connect(self) -> None:
        self.server = ServerSession()
        self.is_connected, self.was_touched = True, False
        self.up.append(self.trainer.connect(HELLO))

    def cut(self) -> None:
        self.up.clear()
        self.down.clear()
        self.pending.clear()
        self.trainer.disconnect()
        self.is_connected = False

    def send(self) -> bool:
        if (seq := self.trainer.next_to_send(self.spooled)) is None:
            return False
        self.up.append(Event(seq=seq, kind="gap", step=0))
        self.trainer.sent(seq)
        self.sent = max(self.sent, seq)
        return True

    def arrive_at_server(self) -> None:
        try:
            outcome = self.server.receive(self.up.popleft())
        except RemoteProtocolError:
            assert self.was_touched, "an honest wire led to an error"
            self.cut()
            return
        match outcome:
            case Opened():
                self.down.append(self.server.welcome(len(self.journal)))
            case Accepted(message):
                self.pending.append(message.seq)
            case Reply(message):
                self.down.append(message)

    def arrive_at_trainer(self) -> None:
        try:
            self.trainer.receive(self.down.popleft())
        except RemoteProtocolError:
            assert self.was_touched, "an honest wire led to an error"
            self.cut()

    def befall(self, wire: "deque[ToServer] | deque[ToTrainer]", fate: str) -> None:
        """What happens to the first message on the wire before it arrives."""
        if fate == "comes twice":
            wire.appendleft(wire[0])  # type: ignore[arg-type]
        elif fate == "comes again later":
            wire.append(wire[0])  # type: ignore[arg-type]
        elif fate == "is lost":
            wire.popleft()
        self.was_touched = self.was_touched or fate != "arrives"

    def commit(self, count: int) -> None:
        done, self.pending = self.pending[:count], self.pending[count:]
        self.journal += done
        self.down.append(self.server.committed(done[-1]))


class HostileWire(RuleBasedStateMachine):
    """Few rules with many fates: what matters is a fault right beside an accept, a commit or an acknowledgement."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @precondition(lambda self: not self.world.is_connected)
    @rule(at_once=st.booleans())
    def connect(self, at_once: bool) -> None:
        self.world.connect()
        if at_once:
            self.world.arrive_at_server()
            self.world.arrive_at_trainer()

    @rule(new=st.integers(0, 3), count=st.integers(1, WINDOW))
    def record_and_send(self, new: int, count: int) -> None:
        self.world.spooled += new
        for _ in range(count):
            self.world.send()

    @precondition(lambda self: self.world.up)
    @rule(fates=fates)
    def to_the_server(self, fates: list[str]) -> None:
        for fate in fates:
            if self.world.up:
                self.world.befall(self.world.up, fate)
            if self.world.up and fate != "is lost":
                self.world.arrive_at_server()

    @precondition(lambda self: self.world.down)
    @rule(fates=fates)
    def to_the_trainer(self, fates: list[str]) -> None:
        for fate in fates:
            if self.world.down:
                self.world.befall(self.world.down, fate)
            if self.world.down and fate != "is lost":
                self.world.arrive_at_trainer()

    @precondition(lambda self: self.world.pending)
    @rule(count=st.integers(1, WINDOW))
    def commit(self, count: int) -> None:
        self.world.commit(count)

    @precondition(lambda self: self.world.is_connected)
    @rule(arrived=st.integers(0, WINDOW), commits=st.integers(0, WINDOW))
    def break_off(self, arrived: int, commits: int) -> None:
        """Some of what was under way still reaches the server; some of what it accepted is committed, the rest dies."""
        for _ in range(arrived):
            if self.world.up:
                self.world.arrive_at_server()
        if self.world.pending and commits:
            self.world.commit(commits)
        self.world.cut()

    # -- the promise --------------------------------------------------------------------------------------------

    @invariant()
    def each_number_is_committed_once_and_in_order(self) -> None:
        assert self.world.journal == list(range(1, len(self.world.journal) + 1))

    @invariant()
    def acknowledged_within_committed_within_sent(self) -> None:
        assert self.world.trainer.acked_seq <= len(self.world.journal) <= self.world.sent <= self.world.spooled

    @invariant()
    def what_is_in_flight_is_bounded(self) -> None:
        next_seq = self.world.trainer.next_to_send(self.world.spooled)
        assert next_seq is None or next_seq <= self.world.trainer.acked_seq + WINDOW

    def teardown(self) -> None:
        """The wire behaves from now on: everything is delivered, without one error."""
        world = self.world
        world.cut()
        world.connect()
        for _ in range(20 * (world.spooled + 2)):
            world.send()
            if world.up:
                world.arrive_at_server()
            if world.pending:
                world.commit(1)
            if world.down:
                world.arrive_at_trainer()
        assert world.trainer.state is State.STREAMING
        assert world.trainer.acked_seq == world.spooled
        self.each_number_is_committed_once_and_in_order()
        assert len(world.journal) == world.spooled


HostileWire.TestCase.settings = settings(examples(120), stateful_step_count=60)
test_a_hostile_wire = HostileWire.TestCase
