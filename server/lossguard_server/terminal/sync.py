"""Delivers the spools of dead trainers: the same protocol, from files.

Rules of this file: what goes next and what is missing is decided by `lossguard.protocol.delivery`, for the next trainer
as well. A segment is deleted only when the server acknowledged all of it; one with damage in it is kept in bad/, and
what it lacks is at the server as gaps. A stream that cannot be delivered stays, and the next one has its turn.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection

from lossguard.protocol.delivery import ATTEMPTS_MAX, DeadStream, Delivery, SegmentFile, parse_name
from lossguard.protocol.errors import BadMessage, ProtocolError, RemoteProtocolError
from lossguard.protocol.messages import Refusal
from lossguard.protocol.session import WINDOW_MESSAGES
from lossguard.protocol.spool_format import SUFFIX

from .client import Refused
from .sending import trainer_socket

ANSWER_TIMEOUT_S = 20.0
CONNECTIONS_MAX = 1_000  # for one stream: three a message that is refused
TROUBLES_MAX = ATTEMPTS_MAX + 1  # connections that a server ends by nonsense; a later attempt's is one of them
BAD = "bad"
LEFTOVER = ".new"  # what a thinning that was killed leaves


def deliver_spools(folder: Path, url: str, token: str) -> Iterator[str]:
    """Send every stream in `folder` to the server; yields a line a stream. Raises Refused when it cannot begin."""
    streams: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if (parsed := parse_name(path.name)) is None:
            yield f"{_shown(path.name)}: skipped. It is not named as a spool segment."
        else:
            streams.setdefault(parsed[0], []).append((parsed[1], path))
    if not streams:
        yield f"Nothing to deliver in {folder}."
    for stem, found in sorted(streams.items()):
        yield f"{_shown(stem)}: {_deliver(stem, [path for _, path in sorted(found)], url, token)}"


def _deliver(stem: str, paths: list[Path], url: str, token: str) -> str:
    with _held(paths[-1]) as is_ours:
        if not is_ours:
            return "left alone, its trainer is alive and delivers by itself, or another one does"
        try:
            delivery = Delivery(DeadStream([_file(path) for path in paths], is_known="+" not in stem), WINDOW_MESSAGES)
            return _converse_until_over(delivery, stem, paths[0].parent, url, token)
        except (BadMessage, RemoteProtocolError) as error:
            return f"skipped. {error}"


def _converse_until_over(delivery: Delivery, stem: str, folder: Path, url: str, token: str) -> str:
    refused: list[int] = []
    troubles: list[RemoteProtocolError] = []
    for _ in range(CONNECTIONS_MAX):
        if delivery.is_over or delivery.refusal is not None or len(troubles) > TROUBLES_MAX:
            break
        try:
            with trainer_socket(url, token) as socket:
                _converse(delivery, socket, stem, folder, refused)
        except InvalidStatus as error:
            raise Refused(
                f"{url} refuses the token (HTTP {error.response.status_code}).",
                "Set LOSSGUARD_TOKEN to one that may ingest.",
            ) from error
        except RemoteProtocolError as error:
            troubles.append(error)
        except (OSError, WebSocketException, ProtocolError, TimeoutError) as error:
            raise Refused(
                f"The delivery to {url} broke off: {_why(delivery, error)}", "Nothing is lost; run it again."
            ) from error
        finally:
            delivery.end()
    if delivery.refusal is not None:
        return f"refused: {delivery.refusal.message} {delivery.refusal.hint}"
    if not delivery.is_over:
        return f"skipped. {troubles[-1] if troubles else 'The server did not take it.'}"
    return _clear(delivery, stem, folder, refused)


def _converse(delivery: Delivery, socket: ClientConnection, stem: str, folder: Path, refused: list[int]) -> None:
    socket.send(delivery.begin())
    while not delivery.is_over and not delivery.is_cut:
        answer = socket.recv(ANSWER_TIMEOUT_S)
        delivery.receive(answer if isinstance(answer, bytes) else answer.encode())
        if delivery.claim:
            with contextlib.suppress(OSError):
                _append(folder / delivery.stream.names[-1], delivery.claim)
            delivery.claim = b""
        for seq, payload, refusal in delivery.set_aside:
            refused.append(seq)
            with contextlib.suppress(OSError):
                _keep_refused(folder / BAD, f"{stem}.{seq:020d}", payload, refusal)
        delivery.set_aside.clear()
        with contextlib.suppress(ConnectionClosed):  # what it said before may still have to be read
            for payload in delivery.outgoing():
                socket.send(payload)


def _clear(delivery: Delivery, stem: str, folder: Path, refused: list[int]) -> str:
    stream = delivery.stream
    for name in stream.names:
        _put_away(folder / name, name in stream.damaged)
    for path in folder.glob(f"*{SUFFIX}{LEFTOVER}"):
        if (parsed := parse_name(path.name.removesuffix(LEFTOVER))) is not None and parsed[0] == stem:
            path.unlink(missing_ok=True)
    words = [f"{stream.last_seq} messages are at the server"]
    if stream.damaged:
        words.append(f"what was damaged is recorded as gaps, and {len(stream.damaged)} damaged files are in {BAD}/")
    if refused:
        words.append(f"{len(refused)} messages were refused and are in {BAD}/")
    return "; ".join(words)


def _why(delivery: Delivery, error: Exception) -> str:
    if (hold := delivery.hold) is not None:
        return f"{hold.message} {hold.hint}"
    return f"{str(error) or type(error).__name__}."


def _file(path: Path) -> SegmentFile:
    parsed = parse_name(path.name)
    assert parsed is not None

    def read(at: int, count: int) -> bytes:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(count)

    return SegmentFile(path.name, parsed[1], path.stat().st_size, read)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold the lock of a stream's last segment: a trainer locks the one that it writes, and so does who delivers."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield True
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except OSError:
            is_ours = False
        yield is_ours


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _keep_refused(folder: Path, name: str, payload: bytes, refusal: Refusal) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{name}.msgpack").write_bytes(payload)
    (folder / f"{name}.txt").write_text(f"{refusal.error}: {refusal.message}\n{refusal.hint}\n", errors="replace")


def _put_away(path: Path, is_damaged: bool) -> None:
    if is_damaged:
        (path.parent / BAD).mkdir(mode=0o700, exist_ok=True)
        path.rename(path.parent / BAD / path.name)
    else:
        path.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """A name of a file as a person may read it: it is somebody else's text."""
    return name if name.isprintable() else ascii(name)
