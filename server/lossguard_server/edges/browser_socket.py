"""One viewer's connection: subscriptions in, the hub's messages out.

Rules of this file:
- Nothing waits for a viewer: its mailbox is bounded, a send that takes longer than SEND_TIMEOUT_S ends the connection.
- A viewer can only subscribe. It cannot command here: commands go over HTTP, where each has an answer.
- This is the socket handler's roof: a fault here ends this connection and no other.
"""

import asyncio
import contextlib
import logging
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from ..errors import UnknownRun
from ..services.broadcast import Broadcast
from ..services.registry import Registry
from ..services.viewing.hub import Hub
from ..services.viewing.mailbox import Mailbox
from .gate import LIVE_SUBPROTOCOL
from .wire import PeerGone, Wire

SEND_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 0.3  # a viewer that does not read hears no goodbye, and must not hold up the server's end
MAX_REQUEST_BYTES = 256 << 10  # some thousand names of series
TOO_SLOW, FAULT, RESTART, BAD_REQUEST = 4408, 1011, 1012, 1008

log = logging.getLogger(__name__)


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """The one thing that a viewer may say."""

    run: str | None = None
    series: frozenset[str] | None = None  # the points wanted; None: all
    others: bool = False  # of all other series the newest value, now and then
    cursor: str | None = None  # what came last before the connection broke


_decoder = msgspec.msgpack.Decoder(Subscribe)


class BrowserSocket:
    """Serves viewers' connections."""

    def __init__(self, hub: Hub, registry: Registry, broadcast: Broadcast, stopping: asyncio.Event) -> None:
        self._hub, self._registry, self._broadcast, self._stopping = hub, registry, broadcast, stopping

    async def __call__(self, socket: WebSocket) -> None:
        """One connection, from the handshake to the close."""
        await socket.accept(subprotocol=LIVE_SUBPROTOCOL)
        wire, mailbox = Wire(socket), self._hub.join()
        try:
            await _close(wire, await self._serve(wire, mailbox))
        except PeerGone:
            pass
        except Exception:  # the socket handler's roof
            log.exception("a viewer's connection failed")
            await _close(wire, FAULT)
        finally:
            self._hub.leave(mailbox)

    async def _serve(self, wire: Wire, mailbox: Mailbox) -> int:
        """The close code."""
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._read(wire, mailbox)),
            asyncio.create_task(self._write(wire, mailbox)),
            asyncio.create_task(self._stopping.wait()),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        codes = [result for result in results if isinstance(result, int) and result is not True]
        return codes[0] if codes else RESTART

    async def _read(self, wire: Wire, mailbox: Mailbox) -> int:
        while True:
            data = await wire.receive()
            if data is None or len(data) > MAX_REQUEST_BYTES:
                return BAD_REQUEST
            try:
                wanted = _decoder.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return BAD_REQUEST
            self._hub.subscribe(mailbox, wanted.run, wanted.series, wanted.others, wanted.cursor)
            with contextlib.suppress(UnknownRun):  # it may begin later
                if wanted.run is not None:
                    self._broadcast.run(await self._registry.find(wanted.run))

    async def _write(self, wire: Wire, mailbox: Mailbox) -> int:
        while (message := await mailbox.take()) is not None:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await wire.send(message)
            except TimeoutError:
                break
        return TOO_SLOW


async def _close(wire: Wire, code: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await wire.close(code)
