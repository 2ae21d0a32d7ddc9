"""The database, for those who live on the event loop.

Rules of this file: neither a read nor a write holds up the loop's thread.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from ..store.columns import Reading
from ..store.writer import Writer

T = TypeVar("T")


class Records:
    """Reads and writes that are awaited."""

    def __init__(self, writer: Writer, reading: Reading) -> None:
        self._writer, self._reading = writer, reading

    async def write(self, operation: Callable[[Session], T]) -> T:
        """What `operation` returned, once it is committed; it may run twice. Raises StorageError."""
        return await asyncio.wrap_future(self._writer.submit(operation))

    async def read(self, query: Callable[[Session], T]) -> T:
        """What `query` found, in one snapshot, in another thread. Raises StorageError."""

        def read() -> T:
            with self._reading() as session:
                return query(session)

        return await asyncio.to_thread(read)
