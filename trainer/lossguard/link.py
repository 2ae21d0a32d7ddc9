"""The one thread that talks: drains the buffer into the spool, and the spool into a websocket.

Rules of this file:
- Training waits for nothing here but the journal: that what it did at an operator's word is on the disk.
- The server may be absent, come later, go away, refuse.
- What is sent is read from the spool, so memory stays bounded and a kill loses at most PUMP_S of steps.
- Every number goes out: what is damaged, forgotten or refused for good is replaced by a gap that says so.
- The global random state belongs to the training: back-off and pings draw from this thread's own.
- One asyncio loop in one daemon thread, started at init (Python 3.12 forbids new threads at shutdown).
- This is one of the four roofs: whatever else fails here is logged once, and the pump goes on.
"""

import asyncio
import contextlib
import logging
import os
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .buffer import Row, SampleBuffer
from .complaints import Complaints
from .dialling import dial, said
from .disk_sync import DiskSync
from .encoder import Encoder
from .environment import Endpoint
from .journal import Journal
from .orphans import Orphans
from .outgoing import Outgoing
from .protocol.codec import decode_to_trainer, encode
from .protocol.errors import ProtocolError, RemoteProtocolError
from .protocol.messages import Command, Heartbeat, Hello, Hold, Refusal, ToTrainer, Welcome
from .protocol.session import WINDOW_MESSAGES, State, TrainerSession
from .spool import Spool

log = logging.getLogger("lossguard")

PUMP_S = 0.05  # polling faster than 10 ms costs the training thread the GIL; 50 ms keeps a step on the page within 150
HEARTBEAT_S = 1.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.2, 10.0
PING_S = 10.0


@dataclass(frozen=True)
class Status:
    """What the training thread looks like from here."""

    state: str
    step: int
    boundary_age_s: float
    snapshot_step: int = -1
    detail_until: int = -1


class Link(Protocol):
    """Something that carries a buffer's content away."""

    def finish(self, timeout_s: float) -> None:
        """Deliver for up to `timeout_s`, say what is left, stop."""


class NullLink:
    """For mode off: nothing leaves the process."""

    def finish(self, timeout_s: float) -> None:
        """Nothing to deliver."""


class LinkThread:
    """Carries one stream. `endpoint` is asked anew at each attempt; None stands for offline: spool only."""

    def __init__(
        self,
        hello: Hello,
        buffer: SampleBuffer,
        encoder: Encoder,
        spool: Spool,
        status: Callable[[], Status],
        on_command: Callable[[Command], None],
        endpoint: Callable[[], Endpoint] | None,
        sampled: Callable[[int], list[Row]] = lambda step: [],
    ) -> None:
        """`sampled`: rows that are measured in this thread, at the step that the training is at."""
        self._sampled = sampled
        self._hello, self._buffer, self._encoder, self._spool = hello, buffer, encoder, spool
        self._status, self._on_command, self._endpoint = status, on_command, endpoint
        self._session = TrainerSession()
        self._is_ending, self._deadline_s, self._reason = False, 0.0, ""
        self._drained = False
        self._was_welcome = False
        self._sent_seq = 0
        self._warn = Complaints(spool.folder)
        self._outgoing = Outgoing(spool, self._warn)
        self._disk = DiskSync()
        self._address = ""  # of this connection
        self._socket: ClientConnection | None = None
        self._orphans: Orphans | None = None
        if endpoint is not None:
            self._orphans = Orphans(spool.folder, endpoint, self._flows, spool.files.is_of_another_life)
        self._random = random.Random()
        self.journal = Journal(buffer, spool, self._disk, self._session, self._orphans)
        self._thread = threading.Thread(target=self._run, name="lossguard-link", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._disk.start()
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Drain the buffer, wait up to `timeout_s` for acknowledgements, stop; say what the server does not have."""
        self.end(timeout_s)
        self.join(timeout_s + 2.0)
        _say_what_is_left(self._spool, self._session.acked_seq, self._endpoint is None)

    def end(self, timeout_s: float, reason: str = "") -> None:
        """Begin to end, and return at once: drain, deliver for up to `timeout_s`, say the `reason`.

        For signal handlers and destructors, which may interrupt this very object: nothing but attributes is touched.
        """
        self._deadline_s, self._reason = timeout_s, reason
        self._is_ending = True

    def join(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for the thread; returns at once when it never began."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def disown(self) -> None:
        """In a forked child: let go of the parent's socket, and of its spools, whose locks say that it lives."""
        self._spool.close()
        if self._orphans is not None:
            self._orphans.disown()
        if self._socket is None or (number := self._socket.transport.get_extra_info("socket").fileno()) < 0:
            return
        # not closed, because the socket's own destructor closes the number too: it must be nobody else's by then
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number)
        os.close(null)

    # -- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:  # the link's roof: training goes on whatever happened here
            log.exception("lossguard's link ended; what was spooled stays in %s", self._spool.folder)
        finally:
            self._spool.close()
            self._disk.stop()

    async def _main(self) -> None:
        self._wake = asyncio.Event()
        self.journal.begin()
        talking = orphans = None
        if self._orphans is not None:
            talking = asyncio.create_task(self._talk())
            orphans = asyncio.create_task(self._orphans.run())
        while not self._is_ending:
            with self.journal.written():
                self._pump()
            self._spool.tend(self._disk, self._sent_seq)
            await self.journal.rest(PUMP_S)
        self._pump(is_last=True)
        self._spool.flush()
        ticket = self._spool.sync(self._disk)
        self.journal.end()
        end_s = asyncio.get_running_loop().time() + self._deadline_s
        self._drained = True
        self._wake.set()
        if orphans is not None:
            orphans.cancel()
            await asyncio.gather(orphans, return_exceptions=True)
        if talking is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(talking, self._deadline_s)
        while not self._disk.is_done(ticket) and asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0.01)
        if self._reason:
            log.warning("lossguard: %s", self._reason)

    def _pump(self, is_last: bool = False) -> None:
        items = self._buffer.drain()
        if is_last and (gap := self._buffer.untold_gap(items[-1].time_s if items else 0.0)) is not None:
            items.insert(max(0, len(items) - 1), gap)  # before the end of the run, which comes last
        messages = self._encoder.encode([*items, *self._sampled(self._status().step)])
        for message in messages:
            self._spool.append(message)
        if messages:
            self._wake.set()

    async def _talk(self) -> None:
        delay_s = BACKOFF_FIRST_S
        while not self._delivered() and self._session.state is not State.CLOSED:
            acked_seq, replaced = self._session.acked_seq, self._outgoing.replaced
            try:
                await self._converse()
            except (OSError, WebSocketException, ProtocolError, ValueError, EOFError) as error:
                self._explain(error)
                nobody = isinstance(error, OSError) and not self._was_welcome
                if self._is_ending and (nobody or isinstance(error, InvalidStatus)):
                    return  # nobody has ever answered, or the door is shut: waiting would only delay the end
            finally:
                refusal = self._session.refusal
                self._session.disconnect()
            # only a connection that brought something forward is worth a quick next one
            is_fruitful = self._session.acked_seq > acked_seq or self._outgoing.replaced > replaced
            delay_s = BACKOFF_FIRST_S if is_fruitful else min(2 * delay_s, BACKOFF_MAX_S)
            if refusal is not None:
                _say_refusal(refusal, self._warn)
                if not (refusal.retry or refusal.seq):  # a second trainer, which must not be fought; or a repair is due
                    if self._is_ending:
                        return
                    delay_s = BACKOFF_MAX_S
            await self._sleep(self._random.uniform(delay_s / 2, delay_s))

    async def _sleep(self, seconds: float) -> None:
        # a finish that is waiting for the server gets a try at once, then goes on trying until its deadline
        for _ in range(max(1, int(seconds / 0.1))):
            await asyncio.sleep(0.1)
            if self._is_ending:
                return

    async def _converse(self) -> None:
        assert self._endpoint is not None
        endpoint = self._endpoint()
        if endpoint.reveals_token:
            self._warn("its token travels unencrypted to another machine; use https", endpoint.url)
        self._address = endpoint.url
        async with dial(endpoint) as socket:
            self._socket = socket
            await socket.send(encode(self._session.connect(self._hello)))
            reading = asyncio.create_task(self._read(socket))
            try:
                await self._write(socket, reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)  # must not cover a cancellation by its own error

    async def _read(self, socket: ClientConnection) -> None:
        async for data in socket:
            if isinstance(data, str):
                continue
            message = decode_to_trainer(data)
            if isinstance(message, Welcome) and message.last_seq > self._sent_seq:
                # believed, it would make us forget what was never delivered
                if self._sent_seq == 0:  # another process had this stream before us: ours is a new attempt
                    self._hello = msgspec.structs.replace(self._hello, attempt=self._hello.attempt + 1)
                raise RemoteProtocolError(
                    f"It claims {message.last_seq} messages of a stream that sent {self._sent_seq}."
                )
            command = self._session.receive(message)
            self._was_welcome = True
            if command is not None:
                self._on_command(command)
            self._take(message)
            self._outgoing.acknowledged(self._session.acked_seq)
            self._wake.set()

    def _take(self, message: ToTrainer) -> None:
        match message:
            case Welcome():
                self._outgoing.begin(self._session.acked_seq)
                self._spool.confirm(self._hello, self._address)
            case Hold():
                self._outgoing.hold(message)
            case Refusal(seq=seq) if seq > 0:
                self._outgoing.refused(message)

    async def _write(self, socket: ClientConnection, reading: "asyncio.Task[None]") -> None:
        beat_due_s = ping_due_s = 0.0
        pong: asyncio.Future[float] | None = None
        loop = asyncio.get_running_loop()
        while not reading.done() and not self._delivered() and self._session.state is not State.CLOSED:
            self._wake.clear()
            while (seq := self._session.next_to_send(self._spool.last_seq)) is not None:
                payload = self._outgoing.message(seq)
                self._session.sent(seq)  # before it is: an answer may be quicker than our return from sending
                self._sent_seq = max(self._sent_seq, seq)
                await _within_ping_time(socket.send(payload))
            if self._session.state is State.STREAMING and loop.time() >= beat_due_s:
                await _within_ping_time(socket.send(encode(self._heartbeat())))
                beat_due_s = loop.time() + HEARTBEAT_S
            if loop.time() >= ping_due_s:
                if pong is not None and not pong.done():
                    raise TimeoutError("the server does not answer pings")
                pong = asyncio.ensure_future(await socket.ping(os.urandom(4)))
                ping_due_s = loop.time() + PING_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), HEARTBEAT_S / 4)
        if reading.done() and not reading.cancelled() and (error := reading.exception()) is not None:
            raise error

    def _heartbeat(self) -> Heartbeat:
        status = self._status()
        return Heartbeat(
            state=status.state,
            step=status.step,
            boundary_age_s=status.boundary_age_s,
            points_queued=len(self._buffer) + self._spool.last_seq - self._session.acked_seq,
            points_dropped=self._buffer.points_dropped + self._spool.points_lost,
            snapshot_step=status.snapshot_step,
            detail_until=status.detail_until,
        )

    def _flows(self) -> bool:
        """True while this stream leaves room for another."""
        waiting = self._spool.last_seq - self._session.acked_seq
        return self._session.state is State.STREAMING and waiting < WINDOW_MESSAGES and not self._outgoing.is_held

    def _delivered(self) -> bool:
        return self._drained and self._session.acked_seq >= self._spool.last_seq

    def _explain(self, error: Exception) -> None:
        if isinstance(error, InvalidStatus):
            message, hint = said(error)
            self._warn(f"the server refuses this trainer: {message}", hint, f"HTTP {error.response.status_code}")
        elif not isinstance(error, OSError | ConnectionClosed):
            # by its type, because the text of garbage differs each time
            self._warn(str(error), "it keeps trying", kind=type(error).__name__)


def _say_refusal(refusal: Refusal, warn: Complaints) -> None:
    what = "a message" if refusal.seq else "this stream"
    hint = refusal.hint or "see its log"
    warn(f"the server refuses {what}: {refusal.message}", hint, f"refuses {refusal.error}")


def _say_what_is_left(spool: Spool, acked_seq: int, is_offline: bool) -> None:
    left = spool.last_seq - acked_seq
    lost = min(left, spool.unwritten)
    if left > lost:
        level = logging.INFO if is_offline else logging.WARNING
        log.log(level, "lossguard: %d messages are in %s; `lossguard sync` delivers them.", left - lost, spool.folder)
    if lost:
        text = "lossguard: %d messages are lost: the disk of %s did not take them, and no server did."
        log.warning(text, lost, spool.folder)


async def _within_ping_time(sending: Awaitable[None]) -> None:
    """A peer that takes nothing for so long is gone: TimeoutError."""
    async with asyncio.timeout(PING_S):
        await sending
