"""Delivers the spools of dead trainers that lie in a living one's folder.

Rules of this file:
- The living stream comes first: nothing is sent while it has a backlog, and an orphan has a small window.
- One stream at a time, over a connection of its own. A lock on its last segment says that it is being delivered; a
  trainer holds the same lock on the segment that it writes, so that no living stream is touched, not even our own.
  What the folder held before the lock was ours is not believed: its trainer may have begun a new segment meanwhile.
- Only what is addressed to this server, or to any. A segment is deleted when the server acknowledged all of it; one
  with damage in it is kept in bad/.
- What earlier lives of this very run left goes first, and at once: the run may wait for what the server makes of it.
- An orphan that the server refuses is left alone, and that is said once; `lossguard sync` may be asked about it.
- Trouble with a file concerns its orphan, trouble with the server ends the round; both are tried again in the next one.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from .dialling import dial
from .environment import Endpoint
from .protocol.delivery import BEGUN_S, DeadStream, Delivery, SegmentFile, by_stem, leftovers, parse_name
from .protocol.errors import BadMessage, FileTrouble, RemoteProtocolError
from .protocol.spool_format import BAD, SUFFIX
from .spool_files import keep_refused

log = logging.getLogger("lossguard")

FIRST_S, EVERY_S = 2.0, 60.0  # the first look after the start, and the pause between two
ANSWER_TIMEOUT_S = 20.0
PAUSE_S = 0.02  # between two windows, and while the living stream has a backlog


class _ServerTrouble(Exception):
    """The server is not to be had at present; the living stream's link speaks of it."""


class Orphans:
    """Looks after one folder. `may_go` is asked before each message."""

    def __init__(
        self,
        folder: Path,
        endpoint: Callable[[], Endpoint],
        may_go: Callable[[], bool],
        is_own: Callable[[str], bool] = lambda stem: False,
    ) -> None:
        """`is_own`: whether a stem is of an earlier life of the run that is being made."""
        self._folder, self._endpoint, self._may_go, self._is_own = folder, endpoint, may_go, is_own
        self._left: set[str] = set()
        self._told: set[str] = set()
        self._broken_off: Counter[str] = Counter()  # rounds that ended at this one: the others go first
        self._lock: StreamLock | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        first_s = asyncio.get_running_loop().time() + FIRST_S
        is_awaited = self.is_awaited()
        while (left_s := first_s - asyncio.get_running_loop().time()) > 0 and not (is_awaited and self._may_go()):
            await asyncio.sleep(PAUSE_S if is_awaited else left_s)
        while True:
            if self._may_go():
                await self.deliver_all()
            await asyncio.sleep(EVERY_S)

    def is_awaited(self) -> bool:
        """An earlier life of this run left something that may still be delivered. Asked by any thread."""
        with contextlib.suppress(OSError):
            return any(self._is_own(stem) and stem not in self._left for stem in dead_streams(self._folder))
        return False

    def disown(self) -> None:
        """In a forked child: let go of the lock that the parent holds."""
        if self._lock is not None:
            self._lock.disown()

    async def deliver_all(self) -> None:
        """One round over the folder."""
        streams = dead_streams(self._folder)
        for stem in sorted(streams, key=lambda stem: (self._broken_off[stem], not self._is_own(stem), stem)):
            if stem in self._left:
                continue
            with held(streams[stem][-1]) as self._lock:
                try:
                    if self._lock is not None:
                        await self._deliver(stem, self._lock)
                except _ServerTrouble:
                    self._broken_off[stem] += 1
                    return
                except FileTrouble as error:
                    self._tell(stem, f"{error} It is tried again now and then.")
                except (BadMessage, RemoteProtocolError) as error:
                    self._leave(stem, str(error))

    async def _deliver(self, stem: str, lock: "StreamLock") -> None:
        stream = DeadStream([_file(path) for path in segments(self._folder, stem)], is_known="+" not in stem)
        endpoint = self._endpoint()
        if stream.label.server not in ("", endpoint.url):
            self._left.add(stem)  # somebody else's; nothing is wrong with it
            return
        delivery = Delivery(stream, endpoint.url)
        while delivery.may_go_on:
            try:
                await self._converse(delivery, endpoint, stem, lock)
                delivery.end()
            except RemoteProtocolError as trouble:
                delivery.end(trouble)
            except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
                raise _ServerTrouble from error
            await asyncio.sleep(delivery.pause_s)
        if delivery.is_over:
            self._put_away(delivery, stem, lock)
            log.warning("lossguard: delivered the spool %s of a trainer that ended before.", stem[:200])
        elif delivery.later is not None:
            raise _ServerTrouble
        else:
            self._leave(stem, delivery.why)

    async def _converse(self, delivery: Delivery, endpoint: Endpoint, stem: str, lock: "StreamLock") -> None:
        async with dial(endpoint) as socket:
            try:
                await socket.send(delivery.begin())
                while not delivery.is_over and not delivery.is_cut:
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        data = await socket.recv()
                    if isinstance(data, bytes):
                        delivery.receive(data)
                    self._keep_books(delivery, stem, lock)
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

    def _keep_books(self, delivery: Delivery, stem: str, lock: "StreamLock") -> None:
        if delivery.claim:
            append(lock.path, delivery.claim)
            delivery.claimed()
        for seq, payload, refusal in delivery.set_aside:
            with contextlib.suppress(OSError):
                keep_refused(self._folder / BAD, f"{stem}.{seq:020d}", payload, refusal)
        delivery.set_aside.clear()
        if not delivery.is_over:
            self._put_away(delivery, stem, lock)

    def _put_away(self, delivery: Delivery, stem: str, lock: "StreamLock") -> None:
        names = delivery.finished()
        if names and not lock.is_ours:
            raise FileTrouble("Another process adds to it.")
        for name in names:
            put_away(self._folder / name, name in delivery.stream.damaged)
        if delivery.is_over:
            with contextlib.suppress(OSError):
                for name in leftovers(os.listdir(self._folder), stem):
                    (self._folder / name).unlink(missing_ok=True)

    def _leave(self, stem: str, why: str) -> None:
        self._left.add(stem)
        self._tell(stem, why)

    def _tell(self, stem: str, why: str) -> None:
        if stem not in self._told:
            self._told.add(stem)
            log.warning("lossguard: left the spool %s of a dead trainer alone: %s", stem[:200], why[:500])


def dead_streams(folder: Path) -> dict[str, list[Path]]:
    """The segments in `folder` by stem, in order. Some of them may belong to the living: see `held`."""
    found = by_stem(path.name for path in folder.glob(f"*{SUFFIX}"))
    return {stem: [folder / name for name in names] for stem, names in found.items()}


def segments(folder: Path, stem: str) -> list[Path]:
    """What lies under this stem now, in order."""
    return [folder / name for name in by_stem(path.name for path in folder.glob(f"*{SUFFIX}")).get(stem, [])]


class StreamLock:
    """The lock on a stream's last segment: while it is ours, nobody else adds to the stream or delivers it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd, self._pid = path, fd, os.getpid()

    @property
    def is_ours(self) -> bool:
        """False where the file is deleted, or not the last one of its stream: whoever wrote a later one may live."""
        parsed = parse_name(self.path.name)
        try:
            is_there = os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False
        return is_there and parsed is not None and segments(self.path.parent, parsed[0])[-1:] == [self.path]

    def release(self) -> None:
        """Let go, also for children that have inherited the lock and live on."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if os.getpid() == self._pid:  # a forked child would unlock it for its parent
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)

    def disown(self) -> None:
        """In a forked child: the parent's death alone is to free it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@contextlib.contextmanager
def held(path: Path) -> Iterator[StreamLock | None]:
    """Hold the lock of a stream's last segment; None when somebody else has it, or may have."""
    try:
        import fcntl

        about = path.stat()
        if about.st_size == 0 and time.time() - about.st_mtime < BEGUN_S:
            fd = -1
        else:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        fd = -1
    if fd < 0:
        yield None
        return
    lock = StreamLock(path, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = lock.is_ours
    except OSError:
        is_ours = False
        lock.disown()  # it never was
    try:
        yield lock if is_ours else None
    finally:
        lock.release()


def append(path: Path, data: bytes) -> None:
    """Add to a segment, or leave it as it was. Raises FileTrouble."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if os.write(fd, data) != len(data):
                os.ftruncate(fd, size)
                raise OSError("the disk took only a part of a record")
        finally:
            os.close(fd)
    except OSError as error:
        raise FileTrouble(f"{path.name}: {error}.") from error


def put_away(path: Path, is_damaged: bool) -> None:
    """Delete a segment that is delivered; one with damage in it is kept in bad/."""
    with contextlib.suppress(OSError):  # it is found again, and the server has it already
        if is_damaged:
            (path.parent / BAD).mkdir(mode=0o700, exist_ok=True)
            path.rename(path.parent / BAD / path.name)
        else:
            path.unlink(missing_ok=True)


def _file(path: Path) -> SegmentFile:
    parsed = parse_name(path.name)
    assert parsed is not None

    def read(at: int, count: int) -> bytes:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # not held open: a week's spool has hundreds of segments
            try:
                return os.pread(fd, count, at)
            finally:
                os.close(fd)
        except OSError as error:
            raise FileTrouble(f"{path.name}: {error}.") from error

    try:
        return SegmentFile(path.name, parsed[1], path.stat().st_size, read)
    except OSError as error:
        raise FileTrouble(f"{path.name}: {error}.") from error
