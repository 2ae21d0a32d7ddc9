"""Delivers the spools of dead trainers: the same protocol, from files.

Rules of this file: a segment is deleted only when the server acknowledged all of it; what is damaged is reported and
stays.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from lossguard.protocol.codec import decode_to_trainer, encode
from lossguard.protocol.errors import BadMessage, ProtocolError
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL
from lossguard.protocol.session import State, TrainerSession
from lossguard.protocol.spool_format import SUFFIX, SegmentContent, parse_segment

from .client import Refused

ANSWER_TIMEOUT_S = 20.0

Segment = tuple[Path, SegmentContent]


def deliver_spools(folder: Path, url: str, token: str) -> Iterator[str]:
    """Send every stream in `folder` to the server; yields a line a stream. Raises Refused when it cannot begin."""
    segments: list[Segment] = []
    living = {_stem(path) for path in folder.glob(f"*{SUFFIX}") if _is_written_to(path)}
    for stem in sorted(living):
        yield f"{stem}: left alone, its trainer is alive and delivers by itself"
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if _stem(path) in living:
            continue
        try:
            segments.append((path, parse_segment(path.read_bytes())))
        except (BadMessage, OSError) as error:
            yield f"{path.name}: skipped. {error}"
    if not segments and not living:
        yield f"Nothing to deliver in {folder}."
    for stem, group in groupby(segments, key=lambda segment: _stem(segment[0])):
        yield f"{stem}: {_deliver(list(group), url, token)}"


def _deliver(segments: list[Segment], url: str, token: str) -> str:
    payloads = {seq: payload for _, content in segments for seq, payload in content.records}
    last = max(payloads, default=0)
    session = TrainerSession()
    try:
        with _connect(url, token) as socket:
            socket.send(encode(session.connect(segments[0][1].hello)))
            while session.acked_seq < last or session.state is State.GREETING:
                while (seq := session.next_to_send(last)) is not None:
                    if seq not in payloads:
                        return f"stopped at message {seq}, which is not in the spool; {last - seq + 1} messages stay"
                    socket.send(payloads[seq])
                    session.sent(seq)
                answer = socket.recv(ANSWER_TIMEOUT_S)
                session.receive(decode_to_trainer(answer if isinstance(answer, bytes) else answer.encode()))
                if session.refusal is not None:
                    return f"refused: {session.refusal.message} {session.refusal.hint}"
    except InvalidStatus as error:
        raise Refused(
            f"{url} refuses the token (HTTP {error.response.status_code}).",
            "Set LOSSGUARD_TOKEN to one that may ingest.",
        ) from error
    except (OSError, WebSocketException, ProtocolError, TimeoutError) as error:
        raise Refused(f"The delivery to {url} broke off: {error}.", "Nothing is lost; run it again.") from error
    damaged = sum(content.damaged_bytes for _, content in segments)
    for path, content in segments:
        if content.damaged_bytes == 0:
            path.unlink(missing_ok=True)
    return f"{last} messages are at the server" + (f"; {damaged} damaged bytes stay in the spool" if damaged else "")


def _connect(url: str, token: str) -> ClientConnection:
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return connect(
        urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws/trainer", "", "")),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {token}"} if token else {},
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        proxy=None,
    )


def _stem(path: Path) -> str:
    """What the segments of one stream have in common."""
    return path.name.partition(".")[0]


def _is_written_to(path: Path) -> bool:
    """True when a trainer holds the segment: it locks the one that it writes."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
