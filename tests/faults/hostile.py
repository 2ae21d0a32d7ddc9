"""A raw client of the trainer's socket with its own log, which repeats, skips, damages and competes on purpose.

Rules of this file: it believes nothing of the product but the wire's codec. What it has made is its disk: a cut
connection takes nothing of it away. Every acknowledgement that reaches it counts at once; a Welcome is one too.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from faults.history import Logged
from lossguard.protocol.codec import decode_sequenced, decode_to_trainer, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import (
    SUBPROTOCOL,
    Ack,
    Command,
    ControlsSpec,
    Declaration,
    Frame,
    Hello,
    Hold,
    Nack,
    Refusal,
    Schema,
    SeriesSpec,
    ToTrainer,
    Welcome,
)

Address = Callable[[], tuple[str, str]]  # the server's ws:// address and an ingest token, asked for at each attempt

KINDS, WEIGHTS = ("duplicate", "hole", "damaged", "rival", "cut"), (10, 10, 1, 1, 1)  # the last three end a connection
WINDOW = 24  # messages in flight: many enough that a kill always finds some between sending and commit
STEPS = 5  # points of a series in a frame
# what JSON, REAL columns and careless casts destroy
SPECIAL = np.array(
    [0x7FF8000000000001, 0xFFF80000DEADBEEF, 0x7FF0000000000000, 0xFFF0000000000000, 1 << 63, 1, 0x7FEFFFFFFFFFFFFF],
    dtype="<u8",
).view("<f8")


class HostileStream:
    """One stream (run, rank, attempt). `run` it until `stop`; then `drain` it."""

    def __init__(self, address: Address, hello: Hello, seed: int, hostility: float = 0.15) -> None:
        """`hostility`: the share of its sends that is something a good trainer would not send."""
        self.hello, self.logged = hello, Logged()
        self.faults: list[str] = []  # what the server said that it may not say
        self.did: Counter[str] = Counter()
        self._address, self._random, self._hostility = address, random.Random(seed), hostility
        self._values = np.random.default_rng(seed)
        self._next_seq, self._is_welcome = 1, False
        self._is_connected = self._is_stopping = self._is_ending = False
        self._socket: ClientConnection | None = None
        self._make(encode(Declaration(seq=1, components=["a"], controls=ControlsSpec(kinds=["pause", "stop"]))))
        self._make(encode(Schema(seq=2, series=[SeriesSpec(0, "loss/a"), SeriesSpec(1, "x")])))

    async def run(self) -> None:
        """Produce and send until `stop`, over any number of connections."""
        while not self._is_stopping:
            await self._connection(lambda: self._is_stopping)

    async def drain(self, timeout_s: float = 30.0) -> None:
        """Behave well until everything that was made is acknowledged. TimeoutError."""
        self._is_ending, self._hostility = True, 0.0
        async with asyncio.timeout(timeout_s):
            while not self._all_acked():
                await self._connection(self._all_acked)

    def stop(self) -> None:
        """End `run` soon."""
        self._is_stopping = True

    @property
    def is_connected(self) -> bool:
        """True while an acknowledgement may still come."""
        return self._is_connected

    def cut(self) -> None:
        """Break the connection without a word; what was made stays."""
        if self._socket is not None:
            self._socket.transport.abort()

    # -- the connection -----------------------------------------------------------------------------------------

    async def _connection(self, is_over: Callable[[], bool]) -> None:
        self._is_welcome, self._is_connected = False, True
        with contextlib.suppress(OSError, WebSocketException, TimeoutError, KeyError, ValueError):
            async with await self._open() as socket:
                self._socket = socket
                await socket.send(encode(self.hello))
                reading = asyncio.create_task(self._read(socket))
                try:
                    while not reading.done() and not is_over():
                        await self._send(socket)
                finally:
                    socket.transport.abort()
                    await asyncio.gather(reading, return_exceptions=True)
        self._is_connected = False
        await asyncio.sleep(self._random.uniform(0.01, 0.05))

    async def _open(self) -> ClientConnection:
        url, token = self._address()
        return await connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            proxy=None,
            open_timeout=5,
            close_timeout=0.5,
            ping_interval=None,
        )

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(WebSocketException, OSError):
            async for data in socket:
                assert isinstance(data, bytes)
                self._heard(decode_to_trainer(data))

    def _heard(self, message: ToTrainer) -> None:
        match message:
            case Welcome(last_seq=seq):
                if seq < self.logged.acked_seq:
                    self.faults.append(f"it welcomes with {seq} after it had acknowledged {self.logged.acked_seq}")
                self._next_seq, self._is_welcome = seq + 1, True
                self._acked(seq)
            case Ack(seq=seq):
                self._acked(seq)
                self._next_seq = max(self._next_seq, seq + 1)
            case Nack(expected=seq):
                self.did["nacked"] += 1
                if seq <= self.logged.acked_seq:
                    self.faults.append(f"it asks for {seq} after it had acknowledged {self.logged.acked_seq}")
                self._next_seq = seq
            case Hold(error=error):
                self.did["held" if error else "released"] += 1
            case Command(kind=kind):
                self.did[f"command: {kind}"] += 1
            case Refusal(error=error):
                self.did[f"refused: {error}"] += 1

    def _acked(self, seq: int) -> None:
        if seq > len(self.logged.payloads):
            self.faults.append(f"it acknowledges {seq} where {len(self.logged.payloads)} exist")
        self.logged.acked_seq = max(self.logged.acked_seq, seq)

    # -- what is sent -------------------------------------------------------------------------------------------

    async def _send(self, socket: ClientConnection) -> None:
        if not self._is_welcome or self._next_seq - self.logged.acked_seq > WINDOW:
            await asyncio.sleep(0.002)
            return
        if self._random.random() < self._hostility:
            await self._misbehave(socket)
            return
        if not self._made(self._next_seq):
            await asyncio.sleep(0.002)
            return
        payload = self.logged.payloads[self._next_seq - 1]
        self._next_seq += 1
        await socket.send(payload)
        await asyncio.sleep(0)  # let the reader have its turn: the socket's buffer may take all

    async def _misbehave(self, socket: ClientConnection) -> None:
        (kind,) = self._random.choices(KINDS, WEIGHTS)
        self.did[kind] += 1
        if kind == "duplicate":
            for seq in self._random.sample(range(1, self._next_seq), min(3, self._next_seq - 1)):
                await socket.send(self.logged.payloads[seq - 1])
        elif kind == "hole" and self._made(self._next_seq + 3):
            await socket.send(self.logged.payloads[self._next_seq + self._random.randrange(1, 3)])
        elif kind == "damaged" and self._made(self._next_seq):
            await socket.send(self._damaged(self.logged.payloads[self._next_seq - 1]))
        elif kind == "rival":
            await self._compete()
        elif kind == "cut":
            self.cut()

    def _damaged(self, payload: bytes) -> bytes:
        """The frame with one bit of its values flipped; its checksum as it was."""
        message = decode_sequenced(payload)
        if not isinstance(message, Frame):
            return payload[:-1]
        values = bytearray(message.values)
        values[self._random.randrange(len(values))] ^= 1 << self._random.randrange(8)
        return encode(msgspec.structs.replace(message, values=bytes(values)))

    async def _compete(self) -> None:
        """A second connection of the same stream, which sends what is due and leaves without waiting."""
        async with await self._open() as rival:
            await rival.send(encode(self.hello))
            welcome = decode_to_trainer(await asyncio.wait_for(rival.recv(), 5))  # type: ignore[arg-type]
            if isinstance(welcome, Welcome):
                for payload in self.logged.payloads[welcome.last_seq : welcome.last_seq + 3]:
                    await rival.send(payload)
            rival.transport.abort()

    # -- what is made -------------------------------------------------------------------------------------------

    def _all_acked(self) -> bool:
        return self.logged.acked_seq >= len(self.logged.payloads)

    def _made(self, seq: int) -> bool:
        """True when this message exists; made now unless the stream is coming to its end."""
        while len(self.logged.payloads) < seq and not self._is_ending:
            self._make(self._frame(len(self.logged.payloads) + 1))
        return seq <= len(self.logged.payloads)

    def _frame(self, seq: int) -> bytes:
        columns = self._values.standard_normal((2, STEPS))
        columns[1, seq % STEPS] = SPECIAL[seq % len(SPECIAL)]
        steps = np.arange(STEPS * seq, STEPS * seq + STEPS, dtype=np.int64)
        return encode(pack_frame(seq, steps, [0, 1], columns))

    def _make(self, payload: bytes) -> None:
        self.logged.payloads.append(payload)
