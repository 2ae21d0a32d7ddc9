"""Delivers the spools of dead trainers that lie in a living one's folder.

Rules of this file:
- The living stream comes first: nothing is sent while it has a backlog, and an orphan has a small window.
- One stream at a time, over a connection of its own. A lock on its last segment says that it is being delivered; a
  trainer holds the same lock on the segment that it writes, so that no living stream is touched, not even our own.
- Only what is addressed to this server, or to any. A segment is deleted when the server acknowledged all of it; one
  with damage in it is kept in bad/.
- An orphan that the server refuses is left alone, and that is said once; `lossguard sync` may be asked about it.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .dialling import dial
from .environment import Endpoint
from .protocol.delivery import DeadStream, Delivery, SegmentFile, parse_name
from .protocol.errors import BadMessage, RemoteProtocolError
from .protocol.spool_format import SUFFIX
from .spool import BAD, keep_refused
from .thinning import ENDING

log = logging.getLogger("lossguard")

FIRST_S, EVERY_S = 2.0, 60.0  # the first look after the start, and the pause between two
ANSWER_TIMEOUT_S = 20.0
CONNECTIONS_MAX = 30  # for one orphan: three a message that is refused, one a later attempt
PAUSE_S = 0.02  # between two windows, and while the living stream has a backlog


class Orphans:
    """Looks after one folder. `may_go` is asked before each message."""

    def __init__(self, folder: Path, endpoint: Callable[[], Endpoint], may_go: Callable[[], bool]) -> None:
        self._folder, self._endpoint, self._may_go = folder, endpoint, may_go
        self._left: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            if self._may_go():
                await self.deliver_all()
            await asyncio.sleep(EVERY_S)

    async def deliver_all(self) -> None:
        """One round over the folder."""
        for stem, paths in sorted(dead_streams(self._folder).items()):
            if stem in self._left:
                continue
            with held(paths[-1]) as is_ours:
                if not is_ours:
                    continue
                try:
                    await self._deliver(stem, paths)
                except (InvalidStatus, OSError, TimeoutError, WebSocketException):
                    return  # the server's trouble, and the living stream's link speaks of it
                except (BadMessage, RemoteProtocolError) as error:
                    self._leave(stem, str(error))

    async def _deliver(self, stem: str, paths: list[Path]) -> None:
        stream = DeadStream([_file(path) for path in paths], is_known="+" not in stem)
        endpoint = self._endpoint()
        if stream.label.server not in ("", endpoint.url):
            self._left.add(stem)  # somebody else's; nothing is wrong with it
            return
        delivery = Delivery(stream)
        error: RemoteProtocolError | None = None
        for _ in range(CONNECTIONS_MAX):
            if delivery.is_over or delivery.refusal is not None:
                break
            try:
                await self._converse(delivery, endpoint, stem)
            except RemoteProtocolError as trouble:
                error = trouble
            finally:
                delivery.end()
            await asyncio.sleep(PAUSE_S)
        if delivery.is_over:
            self._clear(delivery, stem)
            log.warning("lossguard: delivered the spool %s of a trainer that ended before.", stem)
        elif (refusal := delivery.refusal) is not None:
            self._leave(stem, f"{refusal.message} {refusal.hint}")
        else:
            self._leave(stem, str(error or "the connections broke off"))

    async def _converse(self, delivery: Delivery, endpoint: Endpoint, stem: str) -> None:
        async with dial(endpoint) as socket:
            try:
                await socket.send(delivery.begin())
                while not delivery.is_over and not delivery.is_cut:
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        data = await socket.recv()
                    if isinstance(data, bytes):
                        delivery.receive(data)
                    self._keep_books(delivery, stem)
                    await self._send(delivery, socket)
            except asyncio.CancelledError:
                socket.transport.abort()  # the process ends: no time for a good-bye
                raise

    async def _send(self, delivery: Delivery, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # what it said before may still have to be read
            for payload in delivery.outgoing():
                while not self._may_go():
                    await asyncio.sleep(PAUSE_S)
                await socket.send(payload)
        await asyncio.sleep(PAUSE_S)

    def _keep_books(self, delivery: Delivery, stem: str) -> None:
        stream, names = delivery.stream, delivery.stream.names
        if delivery.claim:
            with contextlib.suppress(OSError):
                append(self._folder / names[-1], delivery.claim)
            delivery.claim = b""
        for seq, payload, refusal in delivery.set_aside:
            with contextlib.suppress(OSError):
                keep_refused(self._folder / BAD, f"{stem}.{seq:020d}", payload, refusal)
        delivery.set_aside.clear()
        for name in names[:-1]:  # the last one holds the lock until the end
            if stream.through(name) <= delivery.acked_seq:
                put_away(self._folder / name, name in stream.damaged)

    def _clear(self, delivery: Delivery, stem: str) -> None:
        for name in delivery.stream.names:
            put_away(self._folder / name, name in delivery.stream.damaged)
        for path in self._folder.glob(f"*{SUFFIX}{ENDING}"):
            if (parsed := parse_name(path.name.removesuffix(ENDING))) is not None and parsed[0] == stem:
                path.unlink(missing_ok=True)  # a thinning that was killed

    def _leave(self, stem: str, why: str) -> None:
        self._left.add(stem)
        log.warning("lossguard: left the spool %s of a dead trainer alone: %s", stem[:200], why[:500])


def dead_streams(folder: Path) -> dict[str, list[Path]]:
    """The segments in `folder` by stem, in order. Some of them may belong to the living: see `held`."""
    streams: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob(f"*{SUFFIX}"):
        if (parsed := parse_name(path.name)) is not None:
            streams.setdefault(parsed[0], []).append((parsed[1], path))
    return {stem: [path for _, path in sorted(found)] for stem, found in streams.items()}


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock of a stream's last segment; False when somebody else has it, or may have."""
    try:
        import fcntl

        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.path.samestat(os.fstat(fd), os.stat(path))  # else it was delivered and deleted meanwhile
    except OSError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(fd)


def append(path: Path, data: bytes) -> None:
    """Add to a segment. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def put_away(path: Path, is_damaged: bool) -> None:
    """Delete a segment that is delivered; one with damage in it is kept in bad/."""
    with contextlib.suppress(OSError):
        if is_damaged:
            (path.parent / BAD).mkdir(mode=0o700, exist_ok=True)
            path.rename(path.parent / BAD / path.name)
        else:
            path.unlink(missing_ok=True)


def _file(path: Path) -> SegmentFile:
    parsed = parse_name(path.name)
    assert parsed is not None

    def read(at: int, count: int) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # not held open: a week's spool has hundreds of segments
        try:
            return os.pread(fd, count, at)
        finally:
            os.close(fd)

    return SegmentFile(path.name, parsed[1], path.stat().st_size, read)
