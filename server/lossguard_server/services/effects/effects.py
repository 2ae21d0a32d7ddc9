"""Judges each applied command once, some steps later: stored, audited, and told like any change of a command.

Rules of this file:
- Which commands are owed a verdict is in the store; what is kept here is only when to look at which. So a restart of
  the server forgets nothing.
- A tick costs a comparison for each of them; the store is read only when a run has come far enough, in a worker thread,
  a few commands at a time.
- A command whose look fails by a fault of the server's is not judged, and says so; the others are.
- A verdict is given once: whoever stores it looks again, in that transaction, whether there is none.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from ...errors import ServerError
from ...store import audit, commands, effects
from ...store.columns import Reading
from ...store.commands import StoredCommand
from ...store.writer import Writer
from ..clock import Clock
from ..registry import Registry
from .evidence import JUDGED_KINDS, Evidence, Gone, Later, Soon
from .stretch import STEPS
from .verdict import Effect, not_judged

LOOKS_A_TICK = 8  # each reads at most some thousand points
SOON_S = 1.0
RETRY_S = 30.0  # what could not be read, or stored
JUDGED = "command judged"

log = logging.getLogger(__name__)

Publish = Callable[[dict[str, Any]], None]


@dataclass
class _Pending:
    """A command without a verdict, or (`fault`) why it has none. `due_step` None: looked at whatever the run does."""

    run: str
    due_step: int | None
    not_before_s: float = 0.0
    fault: str | None = None


class Effects:
    """Owned by the event loop's thread."""

    def __init__(
        self, writer: Writer, reading: Reading, evidence: Evidence, registry: Registry, clock: Clock, publish: Publish
    ) -> None:
        """`publish` is told every command that got its verdict."""
        self._writer, self._reading, self._evidence = writer, reading, evidence
        self._registry, self._clock, self._publish = registry, clock, publish
        self._pending: dict[str, _Pending] = {}  # by command, the oldest first

    async def recall(self) -> None:
        """After a start: commands that were applied and not judged are looked at. Raises StorageError."""

        def read() -> list[effects.Owed]:
            with self._reading() as session:
                return effects.owed(session, JUDGED_KINDS)

        for owed in await asyncio.to_thread(read):
            self._pending.setdefault(owed.id, _Pending(owed.run, None))

    def command(self, command: dict[str, Any]) -> None:
        """A command changed."""
        if command["state"] != "applied" or command["kind"] not in JUDGED_KINDS or command["step"] is None:
            return
        if command.get("effect") is None:
            self._pending.setdefault(command["id"], _Pending(command["run"], command["step"] + STEPS))

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        self._pending = {name: each for name, each in self._pending.items() if each.run != run_id}

    async def tick(self) -> None:
        """Once a second."""
        due = [name for name, pending in self._pending.items() if self._is_due(pending)]
        for name in due[:LOOKS_A_TICK]:
            if (pending := self._pending.pop(name, None)) is None:
                continue  # its run was deleted meanwhile
            try:
                kept = await self._look(name, pending)
            except ServerError as error:
                log.warning("command %s of run %s was not judged: %s", name, pending.run, error)
                kept = replace(pending, not_before_s=self._clock.monotonic_s() + RETRY_S)
            except Exception as error:  # the roof of one command: the others are judged all the same
                log.error("command %s of run %s cannot be judged", name, pending.run, exc_info=error)
                wait_s = SOON_S if pending.fault is None else RETRY_S
                kept = _Pending(pending.run, None, self._clock.monotonic_s() + wait_s, _fault(error))
            if kept is not None:
                self._pending[name] = kept  # behind the others, so that none waits for ever

    async def _look(self, command_id: str, pending: _Pending) -> _Pending | None:
        if (fault := pending.fault) is not None:
            await self._store(command_id, lambda command: not_judged(command.kind, command.step or 0, fault))
            return None
        match await asyncio.to_thread(self._evidence.look, command_id):
            case Later(step=step):
                return _Pending(pending.run, step)
            case Soon():
                return _Pending(pending.run, pending.due_step, self._clock.monotonic_s() + SOON_S)
            case Effect() as effect:
                await self._store(command_id, lambda _: effect)
            case Gone():
                pass
        return None

    async def _store(self, command_id: str, effect_of: Callable[[StoredCommand], Effect]) -> None:
        wall_s = self._clock.wall_s()

        def store(session: Session) -> StoredCommand | None:
            command = commands.get(session, command_id)
            if command is None or command.effect is not None:
                return None
            told = effect_of(command).to_dict()
            detail = {"command": command_id, "kind": command.kind, "alert": command.alert, **told}
            audit.add(session, wall_s, "server", JUDGED, detail, command.run)
            return commands.set_effect(session, command_id, told)

        if (judged := await asyncio.wrap_future(self._writer.submit(store))) is not None:
            self._publish(judged.to_dict())

    def _is_due(self, pending: _Pending) -> bool:
        if self._clock.monotonic_s() < pending.not_before_s:
            return False
        run = self._registry.peek(pending.run)
        if pending.due_step is None or (run is not None and run.stored.finish is not None):
            return True
        return run is not None and run.step is not None and run.step >= pending.due_step - 1


def _fault(error: Exception) -> str:
    return f"the server failed on it ({type(error).__name__})"
