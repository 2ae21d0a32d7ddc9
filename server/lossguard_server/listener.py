"""The listening socket, and the HTTP server on it.

Rules of this file: the socket is our own, because what it says of buffers and dead peers is inherited by every
connection: a browser tab that stops reading wedged uvicorn for ever, with 3.85 MB of kernel memory; with the two
options below it is freed after 5.6 s and holds 278 KB. How many connections there may be is crowd.py's matter.
"""

import contextlib
import errno
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .crowd import OUT_OF_DESCRIPTORS, Crowd, Seldom, most_connections, raise_descriptor_limit
from .errors import PortTaken

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent  # it has no public name

PEER_SILENT_MS = 5_000
SEND_BUFFER_BYTES = 128 << 10
BACKLOG = 512
# asyncio takes in as many as its backlog is before it looks at one of them; descriptors are reserved for so many
ACCEPTED_AT_ONCE = 16
MAX_MESSAGE_BYTES = 1 << 20  # the trainer's socket; see lossguard.protocol
PING_S = 10.0
# A tab whose own buffer still has room looks alive to the kernel. It is asked more often than a trainer, whose
# interpreter may be held for long, and comes back where it was.
VIEWER_PING_S, VIEWER_SILENT_S = 3.0, 5.0
VIEWER_PATH = "/ws/live"
DRAIN_S = 1  # a viewer that does not read would hold the process for as long as this


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to host:port. Raises PortTaken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"It is {host}:{port}: {error.strerror}.", "Choose another address with --host.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_SILENT_MS)
        listener.bind(address)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise PortTaken(f"It is {host}:{port}: {'another program has it' if taken else error.strerror}.") from error
    return listener


class Sockets(WebSocketsSansIOProtocol):
    """uvicorn's websockets, which know that a handshake answered over HTTP is over (uvicorn 0.54 logs an error), and
    miss a viewer sooner than a trainer."""

    async def send(self, message: "ASGISendEvent") -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def start_keepalive(self) -> None:
        if self.scope["path"] == VIEWER_PATH:
            self.ping_interval, self.ping_timeout = VIEWER_PING_S, VIEWER_SILENT_S
        super().start_keepalive()


class Server(uvicorn.Server):
    """uvicorn, which says when it is ready, drains our sockets before it cuts them, and ends with exit code 0."""

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None], drain: Callable[[], Awaitable[None]]) -> None:
        """`drain` closes every websocket in good order."""
        self._crowd = Crowd(0)
        self._seldom = Seldom(OUT_OF_DESCRIPTORS, time.monotonic)
        super().__init__(
            uvicorn.Config(
                app,
                http=self._crowd.connection,  # type: ignore[arg-type]  # any callable does
                ws=Sockets,
                ws_per_message_deflate=False,  # 2.1 MB of traffic took 1,159 MB with it
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                timeout_graceful_shutdown=DRAIN_S,
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_level="warning",
                lifespan="on",
                backlog=ACCEPTED_AT_ONCE,
            )
        )
        self._on_ready, self._drain = on_ready, drain
        self.has_failed = False

    def fail(self) -> None:
        """Something without which the server cannot go on has failed: stop."""
        self.has_failed = self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        self._crowd.limit = most_connections(raise_descriptor_limit())
        logging.getLogger("asyncio").addFilter(self._seldom)
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # so many wait in the kernel
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; commit, acknowledge and close what is open; then whatever uvicorn does."""
        for server in self.servers:
            server.close()
        await self._drain()
        await super().shutdown(sockets)
        logging.getLogger("asyncio").removeFilter(self._seldom)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again when all is done; a server that was asked to stop has not failed."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True  # a second Ctrl-C means now
        self.should_exit = True
