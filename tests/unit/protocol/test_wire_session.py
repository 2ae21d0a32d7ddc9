"""Both ends of the conversation, walked state by state."""

from collections.abc import Callable

import pytest

from lossguard.protocol.errors import LocalProtocolError, RemoteProtocolError
from lossguard.protocol.messages import (
    Ack,
    Command,
    Declaration,
    Event,
    Frame,
    Heartbeat,
    Hello,
    Hold,
    Nack,
    Refusal,
    Schema,
    ToServer,
    ToTrainer,
    Welcome,
)
from lossguard.protocol.session import (
    SERVER_TABLE,
    TRAINER_TABLE,
    WINDOW_MESSAGES,
    Accepted,
    Beat,
    Opened,
    Reply,
    ServerSession,
    State,
    TrainerSession,
)

HELLO = Hello(run="r", project="p", name="n")
COMMAND = Command(id="c", number=1, kind="pause")
FROM_SERVER: list[ToTrainer] = [
    Welcome(last_seq=3), Ack(seq=3), Nack(expected=4), Refusal(error="e", message="m"), COMMAND,
    Hold(error="disk_full"),
]  # fmt: skip
FROM_TRAINER: list[ToServer] = [
    HELLO, Declaration(seq=1), Schema(seq=1, series=[]), Event(seq=1, kind="gap", step=0),
    Frame(seq=1, first_step=0, n=1, series=[0], values=b"", crc=0), Heartbeat(state="running", step=0),
]  # fmt: skip


def trainer_in(state: State) -> TrainerSession:
    """A trainer's end that has sent 1..5, of which 3 are acknowledged, where its state allows it."""
    session = TrainerSession()
    if state is State.IDLE:
        return session
    session.connect(HELLO)
    if state is State.STREAMING:
        session.receive(Welcome(last_seq=3))
        session.sent(4)
        session.sent(5)
    elif state is State.CLOSED:
        session.receive(Refusal(error="e", message="m"))
    return session


def server_in(state: State) -> ServerSession:
    session = ServerSession()
    if state in (State.OPENING, State.STREAMING):
        session.receive(HELLO)
    if state is State.STREAMING:
        session.welcome(0)
    elif state is State.CLOSED:
        session.refuse("e", "m")
    return session


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("state", [State.IDLE, State.GREETING, State.STREAMING, State.CLOSED])
def test_a_trainer_takes_what_its_table_lists_and_nothing_else(state: State, message: ToTrainer) -> None:
    session = trainer_in(state)
    assert session.state is state
    if (expected := TRAINER_TABLE.get((state, type(message)))) is None:
        with pytest.raises(RemoteProtocolError, match=f"A {type(message).__name__} cannot come while {state.value}"):
            session.receive(message)
        assert session.state is state
    else:
        assert session.receive(message) == (COMMAND if message is COMMAND else None)
        assert session.state is expected


@pytest.mark.parametrize("message", FROM_TRAINER, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("state", [State.LISTENING, State.OPENING, State.STREAMING, State.CLOSED])
def test_a_server_takes_what_its_table_lists_and_nothing_else(state: State, message: ToServer) -> None:
    session = server_in(state)
    assert session.state is state
    if (expected := SERVER_TABLE.get((state, type(message)))) is None:
        with pytest.raises(RemoteProtocolError, match=f"A {type(message).__name__} cannot come while {state.value}"):
            session.receive(message)
        assert session.accepted_seq == 0
    else:
        outcome = session.receive(message)
        assert session.state is expected
        wanted = {Hello: Opened(HELLO), Heartbeat: Beat(FROM_TRAINER[-1])}  # type: ignore[arg-type]
        assert outcome == wanted.get(type(message), Accepted(message))  # type: ignore[arg-type]


def test_the_tables_name_no_state_that_these_tests_do_not_walk() -> None:
    assert {state for state, _ in TRAINER_TABLE} <= {State.GREETING, State.STREAMING}
    assert {state for state, _ in SERVER_TABLE} <= {State.LISTENING, State.STREAMING}
    assert {kind for _, kind in TRAINER_TABLE} == {type(m) for m in FROM_SERVER}
    assert {kind for _, kind in SERVER_TABLE} == {type(m) for m in FROM_TRAINER}


def test_the_window_bounds_what_is_in_flight() -> None:
    session = TrainerSession(window_messages=3)
    assert session.next_to_send(10) is None
    session.connect(HELLO)
    assert session.next_to_send(10) is None
    session.receive(Welcome(last_seq=0))
    sent = []
    while (seq := session.next_to_send(10)) is not None:
        session.sent(seq)
        sent.append(seq)
    assert sent == [1, 2, 3]
    session.receive(Ack(seq=2))
    assert session.next_to_send(10) == 4
    assert session.next_to_send(3) is None
    assert WINDOW_MESSAGES == 64


def test_what_the_welcome_does_not_hold_is_sent_again() -> None:
    session = trainer_in(State.STREAMING)
    session.disconnect()
    session.connect(HELLO)
    session.receive(Welcome(last_seq=4))  # an acknowledgement was lost
    assert (session.acked_seq, session.next_to_send(5)) == (4, 5)
    session.disconnect()
    session.connect(HELLO)
    session.receive(Welcome(last_seq=1))  # the server was set back
    assert (session.acked_seq, session.next_to_send(5)) == (1, 2)


def test_a_hole_is_filled_from_where_it_begins() -> None:
    session = trainer_in(State.STREAMING)
    session.receive(Nack(expected=4))
    assert session.next_to_send(5) == 4


def test_an_acknowledgement_is_not_false_because_a_second_nack_of_one_hole_came_late() -> None:
    session = trainer_in(State.STREAMING)
    session.receive(Nack(expected=4))
    session.sent(4)
    session.sent(5)
    session.receive(Nack(expected=4))  # for the 5 that was under way when 4 was missed
    session.receive(Ack(seq=5))
    assert (session.acked_seq, session.next_to_send(6)) == (5, 6)


@pytest.mark.parametrize(
    "message", [Ack(seq=6), Nack(expected=3), Nack(expected=7), Nack(expected=0), Nack(expected=-1)], ids=repr
)
def test_a_claim_outside_of_what_was_sent_is_refused(message: ToTrainer) -> None:
    session = trainer_in(State.STREAMING)
    with pytest.raises(RemoteProtocolError):
        session.receive(message)
    assert session.acked_seq == 3


def test_a_welcome_below_zero_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="It welcomes with -1"):
        trainer_in(State.GREETING).receive(Welcome(last_seq=-1))


def test_an_old_acknowledgement_takes_nothing_back() -> None:
    session = trainer_in(State.STREAMING)
    session.receive(Ack(seq=5))
    session.receive(Ack(seq=4))
    assert session.acked_seq == 5


@pytest.mark.parametrize(
    ("error", "retry", "after"),
    [
        ("protocol_version", True, State.IDLE),
        *((error, False, State.CLOSED) for error in ("protocol_version", "bad_hello", "unauthorized")),
        *((error, False, State.IDLE) for error in ("replaced", "journal_damaged", "database_damaged", "of the future")),
    ],
)
def test_a_refusal_ends_the_stream_only_where_nothing_can_heal_it(error: str, retry: bool, after: State) -> None:
    session = trainer_in(State.STREAMING)
    refusal = Refusal(error=error, message="m", retry=retry)
    session.receive(refusal)
    assert (session.state, session.refusal, session.next_to_send(9)) == (State.CLOSED, refusal, None)
    session.disconnect()
    assert session.state is after


def test_a_refusal_of_one_message_leaves_the_stream_open_for_what_takes_its_place() -> None:
    session = trainer_in(State.STREAMING)
    session.receive(Refusal(error="bad_name", message="m", seq=5))
    assert session.state is State.CLOSED
    session.disconnect()
    assert session.state is State.IDLE


@pytest.mark.parametrize("seq", [1, 3, 6, -1, 1 << 62])
def test_a_refusal_of_a_message_that_is_not_under_way_is_no_refusal(seq: int) -> None:
    session = trainer_in(State.STREAMING)
    with pytest.raises(RemoteProtocolError, match=f"It refuses message {seq}, which is not under way"):
        session.receive(Refusal(error="bad_name", message="m", seq=seq))
    session.disconnect()
    assert session.state is State.IDLE


def test_a_hold_leaves_the_window_as_it_is() -> None:
    session = trainer_in(State.STREAMING)
    for hold in (Hold(error="disk_full", message="m"), Hold(error="")):
        session.receive(hold)
        assert (session.acked_seq, session.next_to_send(9)) == (3, 6)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: trainer_in(State.STREAMING).connect(HELLO),
        lambda: trainer_in(State.CLOSED).connect(HELLO),
        lambda: trainer_in(State.STREAMING).sent(5),
        lambda: trainer_in(State.STREAMING).sent(7),
        lambda: server_in(State.LISTENING).welcome(0),
        lambda: server_in(State.STREAMING).welcome(0),
        lambda: server_in(State.STREAMING).committed(1),
    ],
)
def test_our_own_misuse_is_told_apart_from_the_peers(misuse: Callable[[], object]) -> None:
    with pytest.raises(LocalProtocolError):
        misuse()


def test_a_server_takes_each_number_once_and_in_order() -> None:
    session = ServerSession()
    session.receive(HELLO)
    assert session.welcome(2) == Welcome(last_seq=2)
    third = Event(seq=3, kind="gap", step=0)
    assert session.receive(third) == Accepted(third)
    assert session.receive(third) == Reply(Ack(seq=2))  # accepted, not committed: not claimed
    assert session.committed(3) == Ack(seq=3)
    assert session.receive(third) == Reply(Ack(seq=3))
    assert session.receive(Event(seq=1, kind="gap", step=0)) == Reply(Ack(seq=3))
    assert session.receive(Event(seq=-7, kind="gap", step=0)) == Reply(Ack(seq=3))
    assert session.receive(Event(seq=5, kind="gap", step=0)) == Reply(Nack(expected=4, reason="hole"))
    assert session.accepted_seq == 3
    assert session.committed(1) == Ack(seq=3)


@pytest.mark.parametrize(
    ("protocol", "is_spoken"), [("1.0", True), ("1.99", True), ("2.0", False), ("0.9", False), ("", False)]
)
def test_another_major_version_is_refused_with_a_hint(protocol: str, is_spoken: bool) -> None:
    session = ServerSession()
    hello = Hello(run="r", project="p", name="n", protocol=protocol)
    outcome = session.receive(hello)
    if is_spoken:
        assert outcome == Opened(hello)
        return
    assert isinstance(outcome, Reply)
    assert isinstance(outcome.message, Refusal)
    assert (outcome.message.error, outcome.message.retry, session.state) == ("protocol_version", False, State.CLOSED)
    assert outcome.message.hint == "Install the same major version of lossguard on both machines."
