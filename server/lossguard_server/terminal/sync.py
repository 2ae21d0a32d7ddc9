"""Delivers the spools of dead trainers: the same protocol, from files.

Rules of this file: what goes next and what is missing is decided by `lossguard.protocol.delivery`, for the next trainer
as well. A segment is deleted only when the server acknowledged the whole stream; one with damage in it is kept in bad/,
and what it lacks is at the server as gaps. A stream that cannot be delivered stays, and the next one has its turn.
A person names the server here, so that spools for another address go there too, and belong to it from then on.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection

from lossguard.protocol.delivery import BEGUN_S, DeadStream, Delivery, SegmentFile, by_stem, leftovers, parse_name
from lossguard.protocol.errors import BadMessage, FileTrouble, ProtocolError, RemoteProtocolError
from lossguard.protocol.messages import Refusal
from lossguard.protocol.session import WINDOW_MESSAGES
from lossguard.protocol.spool_format import BAD, SUFFIX

from .client import Refused
from .sending import token_refused, trainer_address, trainer_socket

ANSWER_TIMEOUT_S = 20.0
CONNECTIONS_MAX = 1_000  # for one stream: three a message that is refused


def deliver_spools(folder: Path, url: str, token: str) -> Iterator[str]:
    """Send every stream in `folder` to the server; yields a line a stream. Raises Refused when it cannot begin."""
    names = _segments(folder)
    for name in names:
        if parse_name(name) is None:
            yield f"{_shown(name)}: skipped. It is not named as a spool segment."
    if not (streams := by_stem(names)):
        yield f"Nothing to deliver in {folder}."
    for stem in sorted(streams):
        yield f"{_shown(stem)}: {_deliver(stem, folder, url, token)}"


def _segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*{SUFFIX}"))


def _deliver(stem: str, folder: Path, url: str, token: str) -> str:
    with _held(folder, stem) as is_ours:
        if is_ours is None:
            return "left alone, its trainer is alive and delivers by itself, or another one does"
        try:
            files = [_file(folder / name) for name in by_stem(_segments(folder))[stem]]
            stream = DeadStream(files, is_known="+" not in stem)
            delivery = Delivery(stream, trainer_address(url), WINDOW_MESSAGES)
            return _converse_until_over(delivery, stem, folder, url, token, is_ours)
        except (BadMessage, RemoteProtocolError, FileTrouble) as error:
            return f"skipped. {error}"


def _converse_until_over(
    delivery: Delivery, stem: str, folder: Path, url: str, token: str, is_ours: Callable[[], bool]
) -> str:
    refused: list[int] = []
    for _ in range(CONNECTIONS_MAX):
        if not delivery.may_go_on:
            break
        time.sleep(delivery.pause_s)
        try:
            with trainer_socket(url, token) as socket:
                _converse(delivery, socket, stem, folder, refused)
            delivery.end()
        except InvalidStatus as error:
            raise token_refused(url, error) from error
        except RemoteProtocolError as error:
            delivery.end(error)
        except FileTrouble:
            raise
        except (OSError, WebSocketException, ProtocolError) as error:  # TimeoutError is an OSError
            raise Refused(
                f"The delivery to {url} broke off: {_why(delivery, error)}", "Nothing is lost; run it again."
            ) from error
    if delivery.later is not None:
        raise Refused(f"The delivery to {url} broke off: {delivery.why}", "Nothing is lost; run it again.")
    if not delivery.is_over:
        return f"{'skipped.' if delivery.refusal is None else 'refused:'} {delivery.why}"
    if not is_ours():
        return "left alone. It is at the server, but another process adds to it."
    return _clear(delivery, stem, folder, refused)


def _converse(delivery: Delivery, socket: ClientConnection, stem: str, folder: Path, refused: list[int]) -> None:
    socket.send(delivery.begin())
    while not delivery.is_over and not delivery.is_cut:
        answer = socket.recv(ANSWER_TIMEOUT_S)
        delivery.receive(answer if isinstance(answer, bytes) else answer.encode())
        if delivery.claim:
            _append(folder / delivery.stream.names[-1], delivery.claim)
            delivery.claimed()
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
    left = [name for name in delivery.finished() if not _is_put_away(folder / name, name in stream.damaged)]
    with contextlib.suppress(OSError):
        for name in leftovers(os.listdir(folder), stem):
            (folder / name).unlink(missing_ok=True)
    words = [f"{stream.last_seq} messages are at the server"]
    if stream.damaged:
        words.append(f"what was damaged is recorded as gaps, and {len(stream.damaged)} damaged files are in {BAD}/")
    if refused:
        words.append(f"{len(refused)} messages were refused and are in {BAD}/")
    if left:
        words.append(f"{len(left)} files could not be deleted")
    return "; ".join(words)


def _why(delivery: Delivery, error: Exception) -> str:
    if (hold := delivery.hold) is not None:
        return f"{hold.message} {hold.hint}"
    return f"{str(error) or type(error).__name__}."


def _file(path: Path) -> SegmentFile:
    parsed = parse_name(path.name)
    assert parsed is not None

    def read(at: int, count: int) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(at)
                return file.read(count)
        except OSError as error:
            raise FileTrouble(f"{_shown(path.name)}: {error}.") from error

    try:
        return SegmentFile(path.name, parsed[1], path.stat().st_size, read)
    except OSError as error:
        raise FileTrouble(f"{_shown(path.name)}: {error}.") from error


@contextlib.contextmanager
def _held(folder: Path, stem: str) -> Iterator[Callable[[], bool] | None]:
    """Hold the lock of a stream's last segment; None when its trainer or another process has it, or may have.

    What is given says whether it still is the last one: a trainer that lives begins another.
    """
    try:
        import fcntl

        path = folder / by_stem(_segments(folder))[stem][-1]
        about = path.stat()
        is_begun = about.st_size > 0 or time.time() - about.st_mtime >= BEGUN_S
        file = path.open("rb") if is_begun else None
    except (ImportError, KeyError, OSError):  # no such locks on this system, or no such file any more
        file = None
    if file is None:
        yield None
        return

    def is_ours() -> bool:
        try:
            is_there = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except OSError:
            return False
        return is_there and by_stem(_segments(folder)).get(stem, [])[-1:] == [path.name]

    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_taken = is_ours()
        except OSError:
            is_taken = False
        yield is_ours if is_taken else None


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if file.write(data) != len(data):
                file.truncate(size)
                raise OSError("the disk took only a part of a record")
    except OSError as error:
        raise FileTrouble(f"{_shown(path.name)}: {error}.") from error


def _keep_refused(folder: Path, name: str, payload: bytes, refusal: Refusal) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{name}.msgpack").write_bytes(payload)
    (folder / f"{name}.txt").write_text(f"{refusal.error}: {refusal.message}\n{refusal.hint}\n", errors="replace")


def _is_put_away(path: Path, is_damaged: bool) -> bool:
    try:
        if is_damaged:
            (path.parent / BAD).mkdir(mode=0o700, exist_ok=True)
            path.rename(path.parent / BAD / path.name)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _shown(name: str) -> str:
    """A name of a file as a person may read it: it is somebody else's text."""
    return name if name.isprintable() else ascii(name)
