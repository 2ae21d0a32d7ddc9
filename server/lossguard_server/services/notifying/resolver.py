"""Names to addresses, without a pool that a dead name server could fill.

Rules of this file: the system's call cannot be broken off. It runs in a thread of its own that nobody waits for, so
that neither a request nor the server's end does.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, the system's favourite first. Raises OSError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | OSError | UnicodeError) -> None:
        if answer.done():
            return
        if isinstance(found, list):
            answer.set_result(found)
        else:
            answer.set_exception(OSError(f"{host[:200]} has no address ({found})"))

    def ask() -> None:
        try:
            found: list[str] | OSError | UnicodeError = addresses(host, port)
        except (OSError, UnicodeError) as error:  # a label too long is a UnicodeError
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=ask, name="lossguard-resolve", daemon=True).start()
    return await answer


def addresses(host: str, port: int, flags: int = 0) -> list[str]:
    """The addresses of a name. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
