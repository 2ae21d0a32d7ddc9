"""The conversation between a trainer and a server, without a socket.

Rules of this file:
- Everything that decides what may follow what is in the two tables below; a pair that is not listed raises.
- No clock, no I/O, no payloads: the trainer's session counts sequence numbers, the spool holds the bytes.
- Both ends are here so that tests can drive them against each other over a hostile wire.

The promise: everything up to the acknowledged seq is committed at the server, each seq once, in order.
"""

from dataclasses import dataclass
from enum import Enum

from .errors import LocalProtocolError, RemoteProtocolError
from .messages import (
    PROTOCOL_VERSION,
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
    Sequenced,
    ToServer,
    ToTrainer,
    Welcome,
)

FINAL = frozenset({"protocol_version", "bad_hello", "unauthorized"})  # refusals that no repair of a server heals
WINDOW_MESSAGES = 64  # un-acknowledged messages in flight; bounds what a reconnect sends again


class State(Enum):
    """Where a session stands. A trainer's begins IDLE, a server's begins LISTENING."""

    IDLE = "idle"
    GREETING = "greeting"
    LISTENING = "listening"
    OPENING = "opening"
    STREAMING = "streaming"
    CLOSED = "closed"


TRAINER_TABLE: dict[tuple[State, type], State] = {
    (State.GREETING, Welcome): State.STREAMING,
    (State.GREETING, Refusal): State.CLOSED,
    (State.STREAMING, Ack): State.STREAMING,
    (State.STREAMING, Nack): State.STREAMING,
    (State.STREAMING, Command): State.STREAMING,
    (State.STREAMING, Hold): State.STREAMING,
    (State.STREAMING, Refusal): State.CLOSED,
}

SERVER_TABLE: dict[tuple[State, type], State] = {
    (State.LISTENING, Hello): State.OPENING,
    (State.STREAMING, Declaration): State.STREAMING,
    (State.STREAMING, Schema): State.STREAMING,
    (State.STREAMING, Frame): State.STREAMING,
    (State.STREAMING, Event): State.STREAMING,
    (State.STREAMING, Heartbeat): State.STREAMING,
}


def _advance(table: dict[tuple[State, type], State], state: State, message: object) -> State:
    try:
        return table[state, type(message)]
    except KeyError:
        raise RemoteProtocolError(f"A {type(message).__name__} cannot come while {state.value}.") from None


class TrainerSession:
    """The trainer's end: which sequence number goes next, and what is safe to forget."""

    def __init__(self, window_messages: int = WINDOW_MESSAGES) -> None:
        self.state = State.IDLE
        self.acked_seq = 0
        self.refusal: Refusal | None = None
        self._next_seq = 1
        self._sent_seq = 0  # the highest sent on this connection; a Nack does not take it back
        self._window = window_messages

    def connect(self, hello: Hello) -> Hello:
        """The socket is open: send what this returns."""
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"connect() while {self.state.value}.")
        self.state = State.GREETING
        return hello

    def disconnect(self) -> None:
        """The socket is gone; what was sent and not acknowledged will be sent again.

        CLOSED opens again, save after a refusal that is the same for ever. One without retry may be an orphan's round
        (`replaced`) or damage that a person mends; one of a single message may be healed by what takes its place.
        """
        if self.state is State.CLOSED and self.refusal is not None and is_final(self.refusal):
            return
        self.state, self.refusal = State.IDLE, None

    def receive(self, message: ToTrainer) -> Command | None:
        """Take what the server sent; returns the command when it was one. Raises RemoteProtocolError."""
        self.state = _advance(TRAINER_TABLE, self.state, message)
        match message:
            case Welcome():
                # the server's word is the truth: it may be behind us (restored) or ahead (a lost acknowledgement)
                if message.last_seq < 0:
                    raise RemoteProtocolError(f"It welcomes with {message.last_seq}.")
                self.acked_seq = self._sent_seq = message.last_seq
                self._next_seq = message.last_seq + 1
            case Ack():
                if message.seq > self._sent_seq:
                    raise RemoteProtocolError(f"It acknowledges {message.seq}, only {self._sent_seq} were sent.")
                self.acked_seq = max(self.acked_seq, message.seq)
                self._next_seq = max(self._next_seq, self.acked_seq + 1)
            case Nack():
                if not self.acked_seq < message.expected <= self._next_seq:
                    raise RemoteProtocolError(f"It expects {message.expected}, outside the window.")
                self._next_seq = message.expected
            case Refusal():
                if message.seq and not self.acked_seq < message.seq <= self._sent_seq:
                    raise RemoteProtocolError(f"It refuses message {message.seq}, which is not under way.")
                self.refusal = message
            case Command():
                return message
        return None

    def next_to_send(self, last_seq: int) -> int | None:
        """The number to send now, given that 1..last_seq exist; None when there is nothing or the window is full."""
        if self.state is not State.STREAMING or self._next_seq > last_seq:
            return None
        return None if self._next_seq - self.acked_seq > self._window else self._next_seq

    def sent(self, seq: int) -> None:
        """The message with this number is on its way."""
        if seq != self._next_seq:
            raise LocalProtocolError(f"sent({seq}) where {self._next_seq} was due.")
        self._next_seq += 1
        self._sent_seq = max(self._sent_seq, seq)


def is_final(refusal: Refusal) -> bool:
    """True when every later connection of this stream would be refused, too."""
    return not refusal.retry and not refusal.seq and refusal.error in FINAL


@dataclass(frozen=True)
class Opened:
    """A stream is asked for: look up its last seq and call `welcome`, or `refuse`."""

    hello: Hello


@dataclass(frozen=True)
class Accepted:
    """The next message of the stream: commit it, then call `committed`."""

    message: Sequenced


@dataclass(frozen=True)
class Reply:
    """Send this."""

    message: ToTrainer


@dataclass(frozen=True)
class Beat:
    """A sign of life."""

    heartbeat: Heartbeat


Outcome = Opened | Accepted | Reply | Beat


class ServerSession:
    """The server's end: accepts each sequence number once and in order, acknowledges what is committed."""

    def __init__(self) -> None:
        self.state = State.LISTENING
        self.accepted_seq = 0
        self.committed_seq = 0

    def receive(self, message: ToServer) -> Outcome:
        """Take what the trainer sent and say what to do about it. Raises RemoteProtocolError."""
        self.state = _advance(SERVER_TABLE, self.state, message)
        match message:
            case Hello():
                return self._greet(message)
            case Heartbeat():
                return Beat(message)
            case _:
                return self._order(message)

    def welcome(self, last_seq: int) -> Welcome:
        """The stream is open; the store holds everything up to `last_seq`."""
        if self.state is not State.OPENING:
            raise LocalProtocolError(f"welcome() while {self.state.value}.")
        self.state = State.STREAMING
        self.accepted_seq = self.committed_seq = last_seq
        return Welcome(last_seq=last_seq)

    def refuse(self, error: str, message: str, hint: str = "", retry: bool = False, seq: int = 0) -> Refusal:
        """Nothing more is taken on this connection: send what this returns, then close. `seq`: the message at fault."""
        self.state = State.CLOSED
        return Refusal(error=error, message=message, hint=hint, retry=retry, seq=seq)

    def committed(self, seq: int) -> Ack:
        """Everything up to `seq` is on disk; send what this returns. Never call it before the commit returned."""
        if seq > self.accepted_seq:
            raise LocalProtocolError(f"committed({seq}) where only {self.accepted_seq} were accepted.")
        self.committed_seq = max(self.committed_seq, seq)
        return Ack(seq=self.committed_seq)

    def _greet(self, hello: Hello) -> Outcome:
        if hello.protocol.partition(".")[0] != PROTOCOL_VERSION.partition(".")[0]:
            return Reply(
                self.refuse(
                    "protocol_version",
                    f"The trainer speaks protocol {hello.protocol}, this server {PROTOCOL_VERSION}.",
                    "Install the same major version of lossguard on both machines.",
                )
            )
        return Opened(hello)

    def _order(self, message: Sequenced) -> Outcome:
        if message.seq <= self.accepted_seq:
            # a repeat is no error: its acknowledgement was lost. What is accepted and not yet committed is not claimed.
            return Reply(Ack(seq=self.committed_seq))
        if message.seq > self.accepted_seq + 1:
            return Reply(Nack(expected=self.accepted_seq + 1, reason="hole"))
        self.accepted_seq = message.seq
        return Accepted(message)
