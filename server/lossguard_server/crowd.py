"""More connections than there are descriptors.

Rules of this file:
- uvicorn's `limit_concurrency` counts websockets and refuses only requests, so a crowd of connections that ask nothing
  fills the process; then nobody can connect, and no file can be opened. Here connections are bounded before that.
- Who is connected to a socket or waits for an answer stays. The connection that has been idle longest makes room for a
  new one; when nobody is idle, the new one goes.
- 150 connections against a limit of 64 wrote 16,304 lines of log in seconds: what repeats is said once a minute.
"""

import contextlib
import logging
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    import h11

MOST_DESCRIPTORS = 65_536
MOST_CONNECTIONS = 2_000
# for the database (19), the process itself (a dozen), files on their way to a viewer, and what is accepted in one turn
# of the event loop before anybody counts it
RESERVED = 96
LEAST_CONNECTIONS = 16
SAID_EVERY_S = 60.0
OUT_OF_DESCRIPTORS = "socket.accept() out of system resource"  # asyncio's own words


def raise_descriptor_limit() -> int:
    """How many descriptors this process may have, after it asked for as many as it is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def most_connections(descriptors: int) -> int:
    """How many connections a process with so many descriptors may have."""
    return max(LEAST_CONNECTIONS, min(MOST_CONNECTIONS, descriptors - RESERVED))


class Crowd:
    """All connections of one server. Owned by the event loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._plain: dict[Connection, None] = {}  # those over HTTP, idle longest first

    def connection(self, **given: Any) -> "Connection":
        """What uvicorn makes for each new one."""
        return Connection(self, **given)

    def came(self, new: "Connection") -> None:
        """Make room for it, or send it away."""
        self._plain[new] = None
        if len(new.connections) > self.limit:
            next((known for known in self._plain if known.is_idle and known is not new), new).cut()

    def answered(self, known: "Connection") -> None:
        """It is idle from now on; it may have been cut meanwhile."""
        if known in self._plain:
            del self._plain[known]
            self._plain[known] = None

    def left(self, known: "Connection") -> None:
        """It is gone, or is no plain one any more."""
        self._plain.pop(known, None)


class Connection(H11Protocol):
    """uvicorn's HTTP, which knows the crowd."""

    def __init__(self, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._crowd = crowd

    @property
    def is_idle(self) -> bool:
        """True while nobody waits for an answer."""
        return self.cycle is None or self.cycle.response_complete

    def cut(self) -> None:
        """End it now."""
        self._crowd.left(self)
        self.connections.discard(self)
        self.transport.abort()

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """It came."""
        super().connection_made(transport)
        self._crowd.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._crowd.left(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """It was answered."""
        self._crowd.answered(self)
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: "h11.Request") -> None:
        """It is a socket from now on."""
        self._crowd.left(self)
        super().handle_websocket_upgrade(event)


class Seldom(logging.Filter):
    """Lets the first of a repeated line through, then one a minute, which says how many there were."""

    def __init__(self, line: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self._line, self._clock = line, clock
        self._next_s: float | None = None
        self._held_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """True for what is logged."""
        if self._line not in str(record.msg):
            return True
        now_s = self._clock()
        if self._next_s is not None and now_s < self._next_s:
            self._held_back += 1
            return False
        record.msg = f"{self._line}: new connections wait until some are closed ({self._held_back} more such lines)"
        record.args, record.exc_info, record.exc_text = (), None, None
        self._next_s, self._held_back = now_s + SAID_EVERY_S, 0
        return True
