"""Sends a finished stream to a server, as a trainer would, and waits until all of it is stored.

Rules of this file: the server's word says where to begin; what breaks off leaves a complete beginning there, and
sending the same stream again completes it.
"""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from lossguard.protocol.codec import decode_to_trainer, encode
from lossguard.protocol.errors import ProtocolError
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL, Hello, Hold
from lossguard.protocol.session import State, TrainerSession

from .client import Refused

ANSWER_TIMEOUT_S = 60.0  # the server judges what it stores; a full disk may be freed meanwhile
AGAIN = "What was sent is stored; send it again to complete it, nothing is doubled."


class Stream(Protocol):
    """Messages 1 to len."""

    hello: Hello

    def __len__(self) -> int: ...

    def payload(self, seq: int) -> bytes: ...


def send_stream(stream: Stream, url: str, token: str, told: Callable[[int], None]) -> int:
    """Returns how many messages the server did not have; `told` hears how many it has. Raises Refused."""
    session = TrainerSession()
    hold = ""
    try:
        with trainer_socket(url, token) as socket:
            socket.send(encode(session.connect(stream.hello)))
            _take(socket, session)
            had = session.acked_seq
            if had > len(stream):
                raise Refused(f"The server has another run {stream.hello.run!r}.", "Give the import another --name.")
            while session.acked_seq < len(stream):
                while (seq := session.next_to_send(len(stream))) is not None:
                    socket.send(stream.payload(seq))
                    session.sent(seq)
                hold = _take(socket, session, hold)
                told(session.acked_seq)
    except InvalidStatus as error:
        raise token_refused(url, error) from error
    except ConnectionRefusedError as error:
        what = f"No lossguard server answers at {url} ({error})."
        raise Refused(what, "Start one with `lossguard serve`.") from error
    except (OSError, WebSocketException, ProtocolError) as error:  # TimeoutError is an OSError
        raise Refused(f"Sending to {url} broke off: {hold or error or 'it does not answer'}.", AGAIN) from error
    return len(stream) - had


def _take(socket: ClientConnection, session: TrainerSession, hold: str = "") -> str:
    """Hear the server; returns why it stores nothing at present. Raises Refused, ProtocolError."""
    answer = socket.recv(ANSWER_TIMEOUT_S)
    message = decode_to_trainer(answer if isinstance(answer, bytes) else answer.encode())
    session.receive(message)
    if session.state is State.CLOSED and session.refusal is not None:
        raise Refused(session.refusal.message, session.refusal.hint)
    return message.message if isinstance(message, Hold) else hold


def trainer_socket(url: str, token: str) -> ClientConnection:
    """The trainer's socket of the server at `url`, connected."""
    return connect(
        trainer_address(url),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {token}"} if token else {},
        compression=None,
        close_timeout=1.0,
        max_size=MAX_MESSAGE_BYTES,
        proxy=None,
    )


def token_refused(url: str, error: InvalidStatus) -> Refused:
    """What is said when the trainer's socket stays shut."""
    status = error.response.status_code
    return Refused(f"{url} refuses the token (HTTP {status}).", "Set LOSSGUARD_TOKEN to one that may ingest.")


def trainer_address(url: str) -> str:
    """Where the trainer's socket of the server at `url` is."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws/trainer", "", ""))
