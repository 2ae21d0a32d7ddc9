"""One trainer's connection: its messages in, acknowledgements and commands out.

Rules of this file:
- Reading goes on while commits are under way, up to QUEUE_MESSAGES; then it stops, and TCP tells the trainer to wait.
- An acknowledgement follows the commit, and one covers all that was committed together.
- However the connection ends, what was accepted is committed (and acknowledged, if there is still somebody) first.
- While the disk is full the connection stays, so that commands reach the trainer: it is told to hold on (wire 1.2), its
  window bounds what waits here, and the commit is tried again. A trainer that does not know Hold is refused for now.
- This is the socket handler's roof: a fault here ends this connection and no other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket

from lossguard.protocol import BadMessage, RemoteProtocolError
from lossguard.protocol.codec import decode_to_server, encode, seq_of
from lossguard.protocol.messages import SUBPROTOCOL, Hold, Sequenced, ToServer, ToTrainer
from lossguard.protocol.session import Accepted, Beat, Opened, Reply, ServerSession

from ..errors import BadHello, DiskFull, OutOfOrder, ReplacedConnection, ServerError, StreamError, WriterClosed
from ..services.commands import Commands
from ..services.ingest import Ingest, OpenStream
from ..services.stream import Checked
from ..store.columns import VIEW_RANK
from .wire import PeerGone, Wire

QUEUE_MESSAGES = 256
BATCH_BYTES = 1 << 20
HELLO_TIMEOUT_S = 5.0
HOLD_S = 1.0  # between two tries to commit while the disk is full
HOLD_SINCE = (1, 2)
POLICY, FAULT, RESTART, TRY_LATER = 1008, 1011, 1012, 1013

log = logging.getLogger(__name__)


class TrainerSocket:
    """Serves trainers' connections."""

    def __init__(self, ingest: Ingest, commands: Commands, stopping: asyncio.Event) -> None:
        self._ingest, self._commands, self._stopping = ingest, commands, stopping

    async def __call__(self, socket: WebSocket) -> None:
        """One connection, from the handshake to the close."""
        await socket.accept(subprotocol=SUBPROTOCOL)
        wire = Wire(socket)
        connection = _Connection(wire, self._ingest, self._commands, self._stopping)
        try:
            await connection.run()
        except PeerGone:
            pass
        except Exception:  # the socket handler's roof
            log.exception("a trainer's connection failed")
            await wire.close(FAULT)


class _Connection:
    def __init__(self, wire: Wire, ingest: Ingest, commands: Commands, stopping: asyncio.Event) -> None:
        self._wire, self._ingest, self._commands, self._stopping = wire, ingest, commands, stopping
        self._session = ServerSession()
        self._queue: asyncio.Queue[Checked | None] = asyncio.Queue(QUEUE_MESSAGES)
        self._ending = asyncio.Event()
        self._knows_hold = False

    async def run(self) -> None:
        try:
            stream = await self._open()
        except TimeoutError:
            await self._refuse(BadHello(f"No Hello came within {HELLO_TIMEOUT_S:g} s."))
            return
        except (RemoteProtocolError, ServerError) as error:
            await self._refuse(error)
            return
        if stream is None:
            return
        try:
            await self._send(self._session.welcome(stream.last_seq))
            await self._serve(stream)
        finally:
            self._ingest.close(stream)

    async def _open(self) -> OpenStream | None:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            payload = await self._receive()
        outcome = self._session.receive(decode_to_server(payload))
        if isinstance(outcome, Reply):  # a protocol version that we do not speak
            await self._send(outcome.message)
            await self._wire.close(POLICY)
            return None
        assert isinstance(outcome, Opened)
        self._knows_hold = speaks(outcome.hello.protocol, HOLD_SINCE)
        return await self._ingest.open(outcome.hello)

    async def _serve(self, stream: OpenStream) -> None:
        """Run until one of the parts ends; then commit what was accepted, and say why."""
        reading = asyncio.create_task(self._read(stream))
        committing = asyncio.create_task(self._commit(stream))
        others: list[Coroutine[Any, Any, object]] = [stream.replaced.wait(), self._stopping.wait()]
        # an older attempt may still bring its data; commands are for the newest
        if stream.state.key.rank == VIEW_RANK and stream.state.key.attempt == stream.run.stored.attempt:
            others.append(self._commands.deliver(stream.run, stream.state.key.attempt, self._send))
        waiting = [asyncio.create_task(other) for other in others]
        await asyncio.wait([reading, committing, *waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in [reading, *waiting]:
            task.cancel()
        self._ending.set()
        results = await asyncio.gather(reading, *waiting, return_exceptions=True)
        last = asyncio.create_task(self._queue.put(None))  # a full queue takes it when what is under way is committed
        await asyncio.wait([committing])
        last.cancel()
        results += await asyncio.gather(committing, return_exceptions=True)
        await self._end(stream, [result for result in results if isinstance(result, Exception)])

    async def _end(self, stream: OpenStream, errors: list[Exception]) -> None:
        for error in errors:
            if isinstance(error, RemoteProtocolError | ServerError):
                await self._refuse(error)
                return
            raise error
        if stream.replaced.is_set():
            await self._refuse(ReplacedConnection())
        elif self._stopping.is_set():
            await self._wire.close(RESTART)

    async def _read(self, stream: OpenStream) -> None:
        while True:
            payload = await self._receive()
            outcome = self._session.receive(_decoded(payload))
            match outcome:
                case Accepted():
                    await self._queue.put(_checked(stream, outcome.message, payload))
                case Reply():
                    await self._send(outcome.message)
                case Beat():
                    self._ingest.beat(stream, outcome.heartbeat)
                case Opened():
                    raise AssertionError("the session's table allows one Hello")

    async def _commit(self, stream: OpenStream) -> None:
        is_open = True
        while is_open:
            batch, is_open = await self._gather()
            if batch:
                seq = await self._committed(stream, batch)
                await self._say(self._session.committed(seq))

    async def _committed(self, stream: OpenStream, batch: list[Checked]) -> int:
        """The seq to acknowledge, however long the disk is full."""
        is_holding = False
        while True:
            try:
                seq = await self._ingest.commit(stream, batch)
            except DiskFull as error:
                if self._ending.is_set() or not self._knows_hold:
                    raise
                if not is_holding:
                    await self._say(Hold(error=error.code, message=error.message, hint=error.hint))
                is_holding = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), HOLD_S)
            else:
                if is_holding:
                    await self._say(Hold(error=""))
                return seq

    async def _gather(self) -> tuple[list[Checked], bool]:
        """All that waits, at least one message; False when it was the last."""
        batch: list[Checked] = []
        size_bytes = 0
        checked = await self._queue.get()
        while checked is not None:
            batch.append(checked)
            size_bytes += len(checked.entry.payload)
            if self._queue.empty() or size_bytes >= BATCH_BYTES:
                return batch, True
            checked = self._queue.get_nowait()
        return batch, False

    async def _receive(self) -> bytes:
        data = await self._wire.receive()
        if data is None:
            raise StreamError("It is text; messages are binary.")
        return data

    async def _send(self, message: ToTrainer) -> None:
        await self._wire.send(encode(message))

    async def _say(self, message: ToTrainer) -> None:
        """For the committing task: when nobody is left to hear it, the rest is committed all the same."""
        with contextlib.suppress(PeerGone):
            await self._send(message)

    async def _refuse(self, error: RemoteProtocolError | ServerError) -> None:
        """Say why, then close. Whatever was accepted is committed by now."""
        if isinstance(error, OutOfOrder):
            error = ReplacedConnection(error.message)
        if isinstance(error, ServerError):
            words = (error.code, error.message, error.hint, error.retry)
        else:
            words = (StreamError.code, str(error), StreamError.hint, False)
        seq = error.seq if isinstance(error, StreamError) else 0
        later = TRY_LATER if words[3] else POLICY
        with contextlib.suppress(PeerGone):
            await self._send(self._session.refuse(*words, seq))
        await self._wire.close(RESTART if isinstance(error, WriterClosed) else later)


def speaks(version: str, since: tuple[int, int]) -> bool:
    """Whether a trainer of that protocol version knows what came with `since`."""
    major, _, minor = version.partition(".")
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= since


def _decoded(payload: bytes) -> ToServer:
    try:
        return decode_to_server(payload)
    except BadMessage as error:
        refused = StreamError(str(error))
        refused.seq = seq_of(payload)
        raise refused from error


def _checked(stream: OpenStream, message: Sequenced, payload: bytes) -> Checked:
    try:
        return stream.state.check(message, payload)
    except StreamError as error:
        error.seq = message.seq
        raise
