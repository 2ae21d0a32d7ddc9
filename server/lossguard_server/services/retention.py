"""Deletes runs: one that somebody wants gone, and those that were not heard of for longer than runs are kept.

Rules of this file:
- A run with a connected trainer is never deleted.
- In pieces of ROWS rows, one transaction each, so that acknowledgements wait for one piece at most. What a process that
  died has left is deleted by the next one.
- What was deleted, by whom, and how many rows of what, is in the audit trail, which is kept.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from ..errors import RunConnected, ServerError, UnknownRun
from ..store import audit, runs
from ..store.columns import Reading
from ..store.writer import Writer
from .clock import Clock
from .registry import Registry

ROWS = 200  # rows of the journal are some 10 KB: a piece takes the writer a few milliseconds
LOOK_EVERY_S = 600.0
WHY_OLD = "not heard of for longer than runs are kept"

T = TypeVar("T")
log = logging.getLogger(__name__)


class Retention:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        registry: Registry,
        clock: Clock,
        keep_s: float,
        on_deleted: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        """`keep_s` infinite keeps every run; `on_deleted` is told each run that is gone, to forget it."""
        self._writer, self._reading, self._registry = writer, reading, registry
        self._clock, self._keep_s, self._on_deleted = clock, keep_s, on_deleted
        self._look_at_s = clock.monotonic_s()
        self._said = ""

    async def tick(self) -> None:
        """Once a second."""
        if self._clock.monotonic_s() < self._look_at_s:
            return
        self._look_at_s = self._clock.monotonic_s() + LOOK_EVERY_S
        try:
            await self._look()
            self._said = ""
        except ServerError as error:  # the next look finds the same, and says it once
            if str(error) != self._said:
                log.warning("old runs were not deleted: %s", error)
            self._said = str(error)

    async def delete(self, run_id: str, actor: str) -> dict[str, int]:
        """Delete the run; returns the number of rows by table. Raises RunConnected, UnknownRun, StorageError."""
        await self._registry.find(run_id)
        self._refuse_connected(run_id)
        wall_s = self._clock.wall_s()
        if not await self._write(lambda session: _begin(session, run_id, wall_s, actor)):
            raise UnknownRun(f"It was asked for as {run_id[:80]!r}.")
        self._forget(run_id)
        return await self._finish(run_id, actor)

    async def _look(self) -> None:
        left = await asyncio.to_thread(self._read, runs.being_deleted)
        for run_id in left:
            await self._finish(run_id, "server")
        before_s = self._clock.wall_s() - self._keep_s
        for run_id in await asyncio.to_thread(self._read, lambda session: runs.not_seen_since(session, before_s)):
            try:
                await self.delete(run_id, "server")
            except (RunConnected, UnknownRun):
                continue

    def _refuse_connected(self, run_id: str) -> None:
        run = self._registry.peek(run_id)
        if run is not None and any(count > 0 for count in run.connections.values()):
            raise RunConnected(f"It is {run_id[:80]!r}.")

    async def _finish(self, run_id: str, actor: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        while True:
            table, count = await self._write(lambda session: runs.delete_some(session, run_id, ROWS))
            if not count:
                break
            counts[table] = counts.get(table, 0) + count
        wall_s = self._clock.wall_s()
        await self._write(lambda session: audit.add(session, wall_s, actor, "run deleted", {"rows": counts}, run_id))
        self._forget(run_id)
        log.info("run %s was deleted by %s: %s", run_id, actor, counts)
        return counts

    def _forget(self, run_id: str) -> None:
        self._registry.forget(run_id)
        self._on_deleted(run_id)

    async def _write(self, operation: Callable[[Session], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(operation))

    def _read(self, query: Callable[[Session], T]) -> T:
        with self._reading() as session:
            return query(session)


def _begin(session: Session, run_id: str, wall_s: float, actor: str) -> bool:
    if not runs.begin_delete(session, run_id):
        return False
    audit.add(session, wall_s, actor, "run deletion began", {}, run_id)
    return True
