"""Commands that nobody will carry out: of runs that do not come back, and those that it is too late for.

Rules of this file: a run counts as lost from when this process first saw it so, not from its last sign of life: after a
restart of the server its trainers get the time to find it again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlmodel import Session

from ..errors import ServerError
from ..store import commands
from ..store.columns import Reading
from ..store.commands import StoredCommand
from ..store.writer import Writer
from . import command_states as states
from .clock import Clock
from .command_moves import expire_due, expire_open
from .registry import Registry
from .views import state_of

EXPIRE_AFTER_S = 300.0
WHY = "The run was lost for 5 minutes."

log = logging.getLogger(__name__)


class Abandoned:
    """Expires what is open of lost runs. Owned by the event loop's thread."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        registry: Registry,
        clock: Clock,
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        """`publish` is told every command that expired."""
        self._writer, self._reading, self._registry = writer, reading, registry
        self._clock, self._publish = clock, publish
        self._said = ""
        self._lost_since_s: dict[str, float] = {}  # runs with an open command: since when they are seen as lost

    async def tick(self) -> None:
        """Once a second."""
        try:
            await self._look()
            self._said = ""
        except ServerError as error:  # a full disk, say: the next look finds the same, and says it once
            if str(error) != self._said:
                log.warning("open commands of lost runs were not looked at: %s", error)
            self._said = str(error)

    async def _look(self) -> None:
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        waiting, is_any_due = await asyncio.to_thread(self._waiting, wall_s)
        if is_any_due:
            await self._store(lambda session: expire_due(session, wall_s))
        lost = [run_id for run_id in waiting if await self._is_lost(run_id, now_s, wall_s)]
        self._lost_since_s = {run_id: self._lost_since_s.get(run_id, now_s) for run_id in lost}
        for run_id, since_s in self._lost_since_s.items():
            if now_s - since_s >= EXPIRE_AFTER_S:
                await self._expire(run_id, wall_s)

    async def _is_lost(self, run_id: str, now_s: float, wall_s: float) -> bool:
        try:
            return state_of(await self._registry.find(run_id), now_s, wall_s) == "lost"
        except ServerError as error:  # one run that cannot be read must not keep the others waiting
            log.debug("run %s was not looked at: %s", run_id, error)
            return False

    async def _expire(self, run_id: str, wall_s: float) -> None:
        await self._store(lambda session: expire_open(session, run_id, WHY, wall_s))

    async def _store(self, expire: Callable[[Session], list[StoredCommand]]) -> None:
        for command in await asyncio.wrap_future(self._writer.submit(expire)):
            self._publish(command.to_dict())

    def _waiting(self, wall_s: float) -> tuple[list[str], bool]:
        """The runs with an open command, and whether it is too late for one."""
        with self._reading() as session:
            waiting = commands.runs_with(session, states.OPEN)
            return waiting, bool(waiting) and bool(commands.due(session, states.QUEUED, wall_s))
