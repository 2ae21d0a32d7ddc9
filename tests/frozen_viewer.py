"""A browser's tab that subscribes and then reads nothing more, on a bare socket.

Rules of this file: a websocket library would read and answer pings by itself, so none is used.
"""

import base64
import os
import socket
from pathlib import Path

import httpx
import msgspec

SMALL_BUFFER_BYTES = 4_096  # soon full
LARGE_BUFFER_BYTES = 1 << 20  # as a browser's: the server's end sees nothing of the tab for a long time
ESTABLISHED, FIN_WAIT_1, CLOSE_WAIT = "01", "04", "08"


class FrozenViewer:
    """Connected and subscribed; it reads no message, ever."""

    def __init__(self, url: str, token: str, run: str, buffer_bytes: int = SMALL_BUFFER_BYTES) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        ticket = httpx.post(f"{url}/api/ticket", headers=headers, trust_env=False).json()["ticket"]
        host = url.removeprefix("http://")
        address, _, port = host.rpartition(":")
        self._server_port = int(port)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.connect((address, self._server_port))
        self._socket.sendall(_handshake(host, url, ticket))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        assert b" 101 " in answer
        self._socket.sendall(_masked(msgspec.msgpack.encode({"type": "subscribe", "run": run})))

    def is_held(self) -> bool:
        """Whether the server's end of the connection is still there, or still has something to send."""
        found = self._servers_end()
        return found is not None and found[0] in (ESTABLISHED, FIN_WAIT_1, CLOSE_WAIT)

    def stuck_bytes(self) -> int:
        """What the server's kernel could not get rid of."""
        found = self._servers_end()
        return 0 if found is None else found[1]

    def _servers_end(self) -> tuple[str, int] | None:
        """Its state, and the bytes in its send queue."""
        ours = self._socket.getsockname()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, queues, *_ = line.split()
            ports = int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)
            if ports == (self._server_port, ours):
                return state, int(queues.partition(":")[0], 16)
        return None

    def close(self) -> None:
        self._socket.close()


def _handshake(host: str, origin: str, ticket: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /ws/live HTTP/1.1", f"Host: {host}", f"Origin: {origin}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Protocol: lossguard.live.1, ticket.{ticket}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def _masked(data: bytes) -> bytes:
    """A binary websocket frame of less than 126 bytes, under a mask of zeros."""
    assert len(data) < 126
    return bytes([0x82, 0x80 | len(data), 0, 0, 0, 0]) + data
