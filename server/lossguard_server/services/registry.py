"""All runs: those in memory, and the rest on demand.

Rules of this file: owned by the event loop's thread; the database is read in a worker thread. A run that is loaded
stays (a few kilobytes each): its points do not, those are store/points.py's.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from ..errors import UnknownRun
from ..store import runs
from ..store.columns import Reading
from ..store.journal import StreamKey
from ..store.runs import StoredRun
from .live import LiveRun
from .restore import load_run


class Registry:
    """Finds runs by id."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._runs: dict[str, LiveRun] = {}
        self._opening: Counter[str] = Counter()
        self._forgotten = 0

    def loaded(self) -> Iterable[LiveRun]:
        """The runs in memory."""
        return list(self._runs.values())

    def peek(self, run_id: str) -> LiveRun | None:
        """The run when it is in memory."""
        return self._runs.get(run_id)

    async def find(self, run_id: str) -> LiveRun:
        """The run. Raises UnknownRun, StorageError."""
        if (run := self._runs.get(run_id)) is not None:
            return run
        forgotten = -1
        while forgotten != self._forgotten:  # what was read before a run was deleted must not come back to memory
            forgotten = self._forgotten
            loaded = await asyncio.to_thread(self._load, run_id)
        if loaded is None:
            raise UnknownRun(f"It was asked for as {run_id[:80]!r}.")
        # another request may have been faster, and its run may have gone on since
        return self._runs.setdefault(run_id, loaded)

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        self._runs.pop(run_id, None)
        self._forgotten += 1

    async def newest_first(self, deleted: bool = False) -> list[LiveRun]:
        """Every run that is not deleted; with `deleted` those that are for now, and no other."""
        found = []
        for run_id in await asyncio.to_thread(self._ids, deleted):
            with suppress(UnknownRun):  # deleted meanwhile
                found.append(await self.find(run_id))
        return found

    @contextmanager
    def opening(self, run_id: str) -> Iterator[None]:
        """While a trainer's connection to the run is made, the run is in use."""
        self._opening[run_id] += 1
        try:
            yield
        finally:
            self._opening -= Counter([run_id])  # which keeps no zeros

    def is_in_use(self, run_id: str) -> bool:
        """A trainer of any rank is connected, or connects just now."""
        run = self._runs.get(run_id)
        return run_id in self._opening or (run is not None and bool(run.connections))

    async def opened(self, stored: StoredRun, key: StreamKey) -> LiveRun:
        """A connection of one of the run's streams was made."""
        run = await self.find(stored.id)
        run.opened(stored, key.attempt, key.rank)
        return run

    def _load(self, run_id: str) -> LiveRun | None:
        with self._reading() as session:
            return load_run(session, run_id)

    def _ids(self, deleted: bool) -> list[str]:
        with self._reading() as session:
            return [run.id for run in (runs.deleted(session) if deleted else runs.newest_first(session))]
