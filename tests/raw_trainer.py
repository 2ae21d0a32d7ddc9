"""A trainer's end of the wire for tests: the protocol and a socket, nothing of the SDK.

Rules of this file: every message that exists is kept, so that a broken connection can go on where the server's word
says; the server's answers are read one by one, so that a test says exactly what it expects.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from lossguard.protocol.codec import decode_to_trainer, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import (
    SUBPROTOCOL,
    Ack,
    Declaration,
    Event,
    Heartbeat,
    Hello,
    Schema,
    Sequenced,
    SeriesSpec,
    ToServer,
    ToTrainer,
)
from lossguard.protocol.session import TrainerSession

T = TypeVar("T")
TIMEOUT_S = 10.0


class RawTrainer:
    """One stream. `connect`, then write messages; `deliver` sends what the server does not have."""

    def __init__(self, url: str, token: str, run: str = "r1", **hello: Any) -> None:
        self.hello = Hello(**{"run": run, "project": "p", "name": "n", **hello})
        self.messages: list[Sequenced] = []
        self.others: list[ToTrainer] = []  # whatever came while an acknowledgement was awaited
        self.session = TrainerSession()
        self._url, self._token = url.replace("http", "ws", 1) + "/ws/trainer", token
        self._ids: dict[str, int] = {}

    async def connect(self) -> ToTrainer:
        """Open the socket and say Hello; returns the server's answer."""
        await self.start_to_connect()
        return await self.receive()

    async def start_to_connect(self) -> None:
        """Open the socket and say Hello."""
        self.socket: ClientConnection = await connect(
            self._url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            proxy=None,
        )
        await self.send(self.session.connect(self.hello))

    async def send(self, message: ToServer) -> None:
        await self.socket.send(encode(message))

    async def receive(self) -> ToTrainer:
        """The server's next message."""
        data = await asyncio.wait_for(self.socket.recv(), TIMEOUT_S)
        assert isinstance(data, bytes)
        message = decode_to_trainer(data)
        self.session.receive(message)
        return message

    async def expect(self, kind: type[T]) -> T:
        """The next message of that kind, skipping acknowledgements."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = self.others.pop(0) if self.others else await self.receive()
                if isinstance(message, kind):
                    return message

    def disconnect(self) -> None:
        """Cut the line, without a goodbye."""
        self.socket.transport.abort()
        self.session.disconnect()

    # -- what the stream holds ------------------------------------------------------------------------------------

    @property
    def next_seq(self) -> int:
        return len(self.messages) + 1

    def declare(self, **fields: Any) -> None:
        self.messages.append(Declaration(seq=self.next_seq, **fields))

    def event(self, kind: str, step: int, /, **data: Any) -> None:
        self.messages.append(Event(seq=self.next_seq, kind=kind, step=step, data=data))

    def frame(self, steps: Sequence[int], **columns: Sequence[float]) -> None:
        """Points of series (`loss__ce` stands for `loss/ce`), preceded by a schema for new names."""
        named = {name.replace("__", "/"): values for name, values in columns.items()}
        if fresh := [name for name in named if name not in self._ids]:
            self._ids.update({name: len(self._ids) + index for index, name in enumerate(fresh)})
            specs = [SeriesSpec(self._ids[name], name) for name in fresh]
            self.messages.append(Schema(seq=self.next_seq, series=specs))
        ids = [self._ids[name] for name in named]
        values = np.array(list(named.values()), dtype=np.float64)
        self.messages.append(pack_frame(self.next_seq, np.array(steps, dtype=np.int64), ids, values))

    async def deliver(self) -> None:
        """Send what the server does not have, until all of it is acknowledged."""
        while self.session.acked_seq < len(self.messages):
            while (seq := self.session.next_to_send(len(self.messages))) is not None:
                await self.send(self.messages[seq - 1])
                self.session.sent(seq)
            message = await self.receive()
            if not isinstance(message, Ack):
                self.others.append(message)

    async def beat(self, state: str, step: int) -> None:
        await self.send(Heartbeat(state=state, step=step))
