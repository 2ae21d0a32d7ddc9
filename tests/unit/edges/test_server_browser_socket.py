"""One viewer that does not read is given up: its send, its goodbye and its place among the viewers."""

import asyncio
from typing import Any, cast

import msgspec
import pytest
from starlette.websockets import WebSocket

from lossguard_server.edges import browser_socket
from lossguard_server.edges.browser_socket import BrowserSocket
from lossguard_server.services.viewing.hub import Hub
from viewer_world import Timers


class StuckSocket:
    """It says one thing and reads nothing: sends and goodbyes wait for ever."""

    def __init__(self, *said: bytes) -> None:
        self._said = list(said)
        self.code = 0

    async def accept(self, subprotocol: str) -> None:
        pass

    async def receive(self) -> dict[str, Any]:
        while not self._said:
            await asyncio.Event().wait()
        return {"type": "websocket.receive", "bytes": self._said.pop(0)}

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def close(self, code: int) -> None:
        self.code = code
        await asyncio.Event().wait()


async def served(hub: Hub, *said: bytes, stopping: asyncio.Event | None = None) -> int:
    """The close code."""
    sockets = BrowserSocket(hub, cast(Any, None), cast(Any, None), stopping or asyncio.Event())
    socket = StuckSocket(*said)
    await sockets(cast(WebSocket, socket))
    return socket.code


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(browser_socket, "SEND_TIMEOUT_S", 0.02)
    monkeypatch.setattr(browser_socket, "CLOSE_TIMEOUT_S", 0.02)
    return Timers().hub


async def test_a_send_that_takes_too_long_ends_the_connection(hub: Hub) -> None:
    async with asyncio.timeout(5):
        assert await served(hub, msgspec.msgpack.encode({"type": "subscribe", "run": None})) == 4408
    assert not hub._viewers


async def test_the_servers_end_does_not_wait_for_a_goodbye(hub: Hub) -> None:
    stopping = asyncio.Event()
    serving = asyncio.create_task(served(hub, stopping=stopping))
    while not hub._viewers:
        await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(5):
        assert await serving == 1012
    assert not hub._viewers


@pytest.mark.parametrize("wish", [{"series": "abc"}, {"series": [1]}, {"cursor": 7}, {"others": "yes"}, {"run": 3}])
async def test_a_wish_of_another_shape_is_refused(hub: Hub, wish: dict[str, Any]) -> None:
    async with asyncio.timeout(5):
        assert await served(hub, msgspec.msgpack.encode({"type": "subscribe", "run": None, **wish})) == 1008
    assert not hub._viewers
