"""A TCP proxy that is as bad as a network: slow, byte by byte, cut in the middle of a message, or silent for ever.

Rules of this file: it knows nothing of the bytes. Its knobs may be turned while it runs and hold for what passes from
then on; a direction is named by where it goes.
"""

import asyncio
import contextlib
import random
from types import TracebackType


class Proxy:
    """Between a free port on 127.0.0.1 and the server's, which is to be told. Use it as `async with`."""

    def __init__(self) -> None:
        self.connections = 0
        self.target = 0  # the server's port
        # knobs
        self.chunk_bytes = 1 << 16  # at most so much at once
        self.pause_s = 0.0  # between two chunks
        self.is_black_hole = False  # of connections from now on, and of those there are: nothing passes, nothing closes
        self.cuts: random.Random | None = None  # each connection is reset after a random number of bytes
        self.cut_bytes = (1, 4_000)
        self.resets = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    def reset_all(self) -> None:
        """Every connection breaks now."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            onward, away = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(away)
        room = [self.cuts.randint(*self.cut_bytes)] if self.cuts is not None else None
        for source, sink in ((reader, away), (onward, writer)):
            task = asyncio.create_task(self._pump(source, sink, room))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _, both=(writer, away): [side.transport.abort() for side in both])

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, room: list[int] | None) -> None:
        """`room`: the bytes that both directions may still carry before both are reset."""
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                while data:
                    if self.is_black_hole:
                        await asyncio.Event().wait()
                    size = self.chunk_bytes if room is None else min(self.chunk_bytes, max(room[0], 1))
                    part, data = data[:size], data[size:]
                    sink.write(part)
                    await sink.drain()
                    if room is not None:
                        room[0] -= len(part)
                        if room[0] <= 0:
                            self.resets += 1
                            return
                    await asyncio.sleep(self.pause_s)
