"""A whole server inside the test's own event loop: real sockets, real database, a free port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from lossguard_server import datadir
from lossguard_server.app import SYSTEM_CLOCK, Assembly
from lossguard_server.listener import Server, listening_socket
from lossguard_server.settings import Settings
from raw_trainer import RawTrainer

ADMIN = "the-admin-token"
TIMEOUT_S = 10.0


@dataclass
class Inside:
    """A running server, and ways to talk to it."""

    url: str
    ingest_token: str
    assembly: Assembly
    http: httpx.AsyncClient  # as admin

    def trainer(self, run: str = "r1", token: str | None = None, **hello: Any) -> RawTrainer:
        return RawTrainer(self.url, self.ingest_token if token is None else token, run, **hello)

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def items(self, path: str) -> list[Any]:
        return list((await self.get(path))["items"])

    async def token(self, *scopes: str) -> str:
        answer = await self.http.post("/api/tokens", json={"name": "test", "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def watch(self, run: str | None = None, origin: str | None = None, **wish: Any) -> "Viewer":
        """A browser's socket, subscribed; `wish`: what else docs/protocol.md lets it say."""
        ticket = (await self.http.post("/api/ticket")).json()["ticket"]
        socket = await connect(
            self.url.replace("http", "ws", 1) + "/ws/live",
            subprotocols=[Subprotocol("lossguard.live.1"), Subprotocol(f"ticket.{ticket}")],
            origin=Origin(origin or self.url),
            compression=None,
            proxy=None,
        )
        viewer = Viewer(socket)
        await viewer.subscribe(run, **wish)
        return viewer


@dataclass
class Viewer:
    """A browser's end of /ws/live."""

    socket: ClientConnection

    async def subscribe(self, run: str | None, **wish: Any) -> None:
        await self.socket.send(msgspec.msgpack.encode({"type": "subscribe", "run": run, **wish}))

    async def expect(self, kind: str) -> dict[str, Any]:
        """The next message of that kind."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = msgspec.msgpack.decode(await self.socket.recv())
                if message["type"] == kind:
                    return dict(message)


@asynccontextmanager
async def running_server(folder: Path, rules: Any = None, **given: Any) -> AsyncIterator[Inside]:
    """A server on `folder`, stopped in good order in the end. `given`: further settings."""
    ready = asyncio.Event()
    with datadir.locked(folder), listening_socket("127.0.0.1", 0) as listener:
        settings = Settings(folder, port=listener.getsockname()[1], admin_token=ADMIN, **given)
        assembly = Assembly(settings, SYSTEM_CLOCK, rules, lambda: None)
        server = Server(assembly.app(), ready.set, assembly.drain)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        note = datadir.read_note(folder)
        assert note is not None
        headers = {"Authorization": f"Bearer {ADMIN}"}
        async with httpx.AsyncClient(base_url=settings.url, headers=headers, trust_env=False) as http:
            try:
                yield Inside(settings.url, note.ingest_token, assembly, http)
            finally:
                server.should_exit = True
                await asyncio.wait_for(serving, TIMEOUT_S)
