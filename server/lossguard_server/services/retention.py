"""Deletes runs for good: one that somebody wants gone now, those that were deleted for now (services/shelf.py) so long
ago that nobody wants them back, and those that were not heard of for longer than runs are kept.

Rules of this file:
- A run with a trainer that is connected, or connects just now, is never deleted.
- Whoever remembers the run forgets it while its row is still there. From then on the id may be a new run's: nothing is
  deleted or forgotten any more.
- In pieces of ROWS rows, one transaction each, so that acknowledgements wait for one piece at most. What a process that
  died has left is deleted by the next one.
- What was deleted, by whom, and how many rows of what, is in the audit trail, which is kept.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlmodel import Session

from ..errors import RunConnected, ServerError, UnknownRun
from ..store import audit, runs
from ..store.columns import Reading
from ..store.writer import Writer
from .clock import Clock
from .records import Records
from .registry import Registry

KEEP_DELETED_S = 86_400.0
ROWS = 200  # rows of the journal are some 10 KB: a piece takes the writer a few milliseconds
LOOK_EVERY_S = 600.0

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
        keep_deleted_s: float = KEEP_DELETED_S,
    ) -> None:
        """`keep_s` infinite keeps every run; `keep_deleted_s`: how long one that was deleted can be brought back.

        `on_deleted` is told each run that is gone, to forget it: before its rows go and again before the last one,
        because whoever had read it by then may have remembered it since.
        """
        self._records, self._registry = Records(writer, reading), registry
        self._clock, self._keep_s, self._on_deleted = clock, keep_s, on_deleted
        self.keep_deleted_s = keep_deleted_s
        self._look_at_s = clock.monotonic_s()
        self._said = ""
        self._under_way: set[str] = set()

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

    async def delete(self, run_id: str, actor: str, deleted_before_s: float | None = None) -> dict[str, int]:
        """Delete the run for good; returns the number of rows by table. Raises RunConnected, UnknownRun, StorageError.

        `deleted_before_s`: only if it was deleted for now before that, and was not restored since.
        """
        await self._registry.find(run_id)
        wall_s = self._clock.wall_s()
        # nothing comes between this look and the writer's queue: whoever connects later finds the run deleted
        if self._registry.is_in_use(run_id):
            raise RunConnected(f"It is {run_id[:80]!r}.")
        with self._working_on(run_id):
            if not await self._records.write(lambda session: _begin(session, run_id, wall_s, actor, deleted_before_s)):
                raise UnknownRun(f"It was asked for as {run_id[:80]!r}.")
            return await self._finish(run_id, actor)

    async def _look(self) -> None:
        left = await self._records.read(runs.being_deleted)
        for run_id in left:
            if run_id in self._under_way:
                continue
            with self._working_on(run_id):
                if run_id in await self._records.write(runs.being_deleted):  # not finished since, and begun anew
                    await self._finish(run_id, "server")
        before_s = self._clock.wall_s() - self.keep_deleted_s
        for run_id in await self._records.read(lambda session: runs.deleted_before(session, before_s)):
            await self._delete_if_there(run_id, before_s)
        old_s = self._clock.wall_s() - self._keep_s
        for run_id in await self._records.read(lambda session: runs.not_seen_since(session, old_s)):
            await self._delete_if_there(run_id)

    async def _delete_if_there(self, run_id: str, deleted_before_s: float | None = None) -> None:
        with suppress(RunConnected, UnknownRun):
            await self.delete(run_id, "server", deleted_before_s)

    @contextmanager
    def _working_on(self, run_id: str) -> Iterator[None]:
        """One deletion of a run at a time, so that its rows are counted in one place."""
        if run_id in self._under_way:
            raise UnknownRun(f"It is {run_id[:80]!r}, which is being deleted.")
        self._under_way.add(run_id)
        try:
            yield
        finally:
            self._under_way.discard(run_id)

    async def _finish(self, run_id: str, actor: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        self._forget(run_id)
        while True:
            table, count = await self._records.write(lambda session: runs.delete_some(session, run_id, ROWS))
            if not count:
                break
            counts[table] = counts.get(table, 0) + count
        self._forget(run_id)
        wall_s, counts["run"] = self._clock.wall_s(), 1
        await self._records.write(lambda session: _end(session, run_id, wall_s, actor, counts))
        # data that is gone: said even where little is
        log.warning("run %s was deleted by %s: %s", run_id, actor, counts)
        return counts

    def _forget(self, run_id: str) -> None:
        self._registry.forget(run_id)
        self._on_deleted(run_id)


def _begin(session: Session, run_id: str, wall_s: float, actor: str, deleted_before_s: float | None) -> bool:
    if not runs.begin_delete(session, run_id, deleted_before_s):
        return False
    audit.add(session, wall_s, actor, "run deletion began", {}, run_id)
    return True


def _end(session: Session, run_id: str, wall_s: float, actor: str, counts: dict[str, int]) -> None:
    """The run's own row, and that it is gone."""
    while runs.delete_some(session, run_id, ROWS)[1]:
        pass  # an alert or so that somebody stored since
    if runs.end_delete(session, run_id):
        audit.add(session, wall_s, actor, "run deleted", {"rows": counts}, run_id)
