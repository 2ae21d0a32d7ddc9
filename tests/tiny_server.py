"""A real websocket server of a page's length, for tests of the trainer's link.

Rules of this file: it speaks by ServerSession and keeps a journal that survives its death, as a database would; it
fails only in the ways that its knobs say. It runs in a thread and a loop of its own.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from lossguard.protocol.codec import decode_to_server, encode
from lossguard.protocol.messages import SUBPROTOCOL, Heartbeat, Hello, Nack, Refusal, Sequenced, ToServer, ToTrainer
from lossguard.protocol.session import Accepted, Beat, Opened, Reply, ServerSession

StreamKey = tuple[str, int, int]


class TinyServer:
    """Answers trainers on 127.0.0.1. `journal` is what is committed, by stream."""

    def __init__(self, port: int = 0, journal: dict[StreamKey, list[Sequenced]] | None = None) -> None:
        self.port = port
        self.journal = {} if journal is None else journal
        self.beats: list[Heartbeat] = []
        self.hellos: list[Hello] = []
        self.accepted = 0
        self.authorizations: list[str | None] = []  # one a handshake
        # knobs
        self.token = ""  # when set, any other one is answered by 401
        self.redirect_to = ""
        self.acknowledges = True
        self.reads = True  # False: nothing is read after the hello
        self.dies_after = 0  # this connection breaks when so many messages are accepted, the last one not committed
        self.refusal: Refusal | None = None  # instead of a welcome
        self.refuses: Callable[[Sequenced], Refusal | None] = lambda message: None  # a single message
        self.claims: int | None = None  # the last_seq of the welcome, instead of the truth
        self.nack_at = 0  # as if this message had not come, once
        self.garbage: bytes | None = None  # sent after each welcome
        self._sockets: set[ServerConnection] = set()
        self.ended = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="tiny-server", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[Sequenced]:
        """What is committed of the only stream that has anything."""
        filled = [stream for stream in self.journal.values() if stream]
        assert len(filled) <= 1
        return list(filled[0]) if filled else []

    def __enter__(self) -> "TinyServer":
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.die()

    def die(self) -> None:
        """Break every connection without a word, stop listening."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.ended.set)
            self._thread.join(20)
            assert not self._thread.is_alive()

    def send_text(self, text: str) -> None:
        """A text frame to every trainer that is connected now."""
        asyncio.run_coroutine_threadsafe(self._broadcast(text), self._loop).result(20)

    def send(self, message: ToTrainer | bytes) -> None:
        """To every trainer that is connected now."""
        data = message if isinstance(message, bytes) else encode(message)
        asyncio.run_coroutine_threadsafe(self._broadcast(data), self._loop).result(20)

    async def _broadcast(self, data: bytes | str) -> None:
        for socket in list(self._sockets):
            await socket.send(data)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._listen()
        self.port = next(iter(server.sockets)).getsockname()[1]
        self._started.set()
        await self.ended.wait()
        for socket in self._sockets:
            socket.transport.abort()
        server.close()
        await server.wait_closed()

    async def _listen(self) -> Server:
        return await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._admit,
            compression=None,
            close_timeout=0.5,
            ping_interval=None,
        )

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.authorizations.append(request.headers.get("Authorization"))
        if self.redirect_to:
            response = socket.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = self.redirect_to
            return response
        if self.token and self.authorizations[-1] != f"Bearer {self.token}":
            return socket.respond(HTTPStatus.UNAUTHORIZED, "")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        self._sockets.add(socket)
        connection = _Connection(self, socket)
        with contextlib.suppress(ConnectionClosed, _Died):
            async for data in socket:
                assert isinstance(data, bytes)
                await connection.receive(decode_to_server(data))
        self._sockets.discard(socket)


class _Died(Exception):
    """The server's process is gone; what it had accepted went with it."""


class _Connection:
    def __init__(self, server: TinyServer, socket: ServerConnection) -> None:
        self._server, self._socket = server, socket
        self._session = ServerSession()
        self._stream: list[Sequenced] = []

    async def receive(self, message: ToServer) -> None:
        match self._session.receive(message):
            case Opened(hello):
                await self._open(hello)
            case Accepted(accepted):
                await self._accept(accepted)
            case Reply(answer):
                await self._send(answer)
            case Beat(heartbeat):
                self._server.beats.append(heartbeat)

    async def _send(self, message: ToTrainer) -> None:
        await self._socket.send(encode(message))

    async def _open(self, hello: Hello) -> None:
        server = self._server
        server.hellos.append(hello)
        if (refusal := server.refusal) is not None:
            await self._send(self._session.refuse(refusal.error, refusal.message, refusal.hint, refusal.retry))
            return
        self._stream = server.journal.setdefault((hello.run, hello.rank, hello.attempt), [])
        await self._send(self._session.welcome(len(self._stream) if server.claims is None else server.claims))
        if server.garbage is not None:
            await self._socket.send(server.garbage)
        if not server.reads:
            await server.ended.wait()

    async def _accept(self, message: Sequenced) -> None:
        server = self._server
        if message.seq == server.nack_at:
            server.nack_at = 0
            self._session.accepted_seq = message.seq - 1
            await self._send(Nack(expected=message.seq))
            return
        if (refusal := server.refuses(message)) is not None:
            words = (refusal.error, refusal.message, refusal.hint, refusal.retry, message.seq)
            await self._send(self._session.refuse(*words))
            await self._socket.close()
            return
        server.accepted += 1
        if server.accepted == server.dies_after:
            self._socket.transport.abort()
            raise _Died
        self._stream.append(message)
        if server.acknowledges:
            await self._send(self._session.committed(message.seq))
