"""A websocket of which one thing can be known: the peer is there, or it is gone.

Rules of this file: the framework says "gone" with different exceptions, one of them a plain RuntimeError; they are
caught around its calls and nowhere else, so that a fault of ours is never taken for a peer's leaving.
"""

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect


class PeerGone(Exception):
    """The peer has left, or this end has closed."""


class Wire:
    """One accepted socket. Any task may send; each message goes out whole."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._sending = asyncio.Lock()

    async def receive(self) -> bytes | None:
        """The next binary message; None for a text one. Raises PeerGone."""
        try:
            message = await self._socket.receive()
        except RuntimeError as error:
            raise PeerGone from error
        if message["type"] == "websocket.disconnect":
            raise PeerGone
        data = message.get("bytes")
        return None if data is None else bytes(data)

    async def send(self, data: bytes) -> None:
        """Hand a binary message to the network; waits while the peer does not read. Raises PeerGone."""
        async with self._sending:
            try:
                await self._socket.send_bytes(data)
            except (WebSocketDisconnect, RuntimeError) as error:
                raise PeerGone from error

    async def close(self, code: int) -> None:
        """Say goodbye; nothing happens when the peer is gone."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code)
