"""Operators' commands: checked, stored, delivered in order, and settled by what the trainer reports.

Rules of this file:
- A command is stored and audited before it is sent, and every change of its state is one compare-and-swap with its
  audit row in the same transaction (services/command_moves.py).
- Delivery is in the order of numbers, by one courier a connection; what is not final is offered again to the next
  connection, and the trainer drops ids that it has seen. What was meant for an attempt ends with it; what an attempt
  applied is offered again to one that goes on from before it (services/resuming.py).
- Two people do not undo each other unseen: who says what they saw is told what came since.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from lossguard.protocol.messages import Command
from lossguard.protocol.steering import CLIP, GATE, LR, SET, STEERING_KINDS

from ..errors import IdempotencyConflict, NotCancellable, RollbackPending, UnknownCommand, VersionConflict
from ..store import commands
from ..store.columns import Reading
from ..store.commands import StoredCommand
from ..store.writer import Writer
from . import command_states as states
from .clock import Clock
from .command_checks import checked_args
from .command_moves import SERVER, add, at_step, expire_due, is_late, move, was_applied
from .live import LiveRun

Send = Callable[[Command], Awaitable[None]]
Publish = Callable[[dict[str, Any]], None]

REPLACING = (SET, GATE, LR, CLIP, "instrument")
ROLLBACK = "rollback"
ROLLBACK_WAIT_S = 600.0  # for word of one: an older SDK says nothing to a server that was set back and asks again
LATE_S = 1e-3  # what is left of the time of a command that went out before and is late by now: 0 means for ever


@dataclass(frozen=True)
class Intention:
    """What an operator asked for. `expect_version`: the number of the newest command that they saw; `expires_in_s`: who
    gets to it later does not apply it."""

    kind: str
    args: dict[str, Any]
    idempotency_key: str
    actor: str
    reason: str | None = None
    alert: str | None = None
    expect_version: int | None = None
    expires_in_s: float | None = None


class Commands:
    """Takes intentions and sees them through. Owned by the event loop's thread."""

    def __init__(
        self, writer: Writer, reading: Reading, clock: Clock, new_id: Callable[[], str], publish: Publish
    ) -> None:
        """`new_id` gives a fresh id; `publish` is told every change of a command."""
        self._writer, self._reading, self._clock = writer, reading, clock
        self._new_id, self._publish = new_id, publish
        self._bells: dict[str, asyncio.Event] = {}  # run -> its courier's wake-up

    async def give(self, run: LiveRun, intention: Intention) -> tuple[StoredCommand, bool]:
        """The stored command, and whether it is new. Raises CommandError, StorageError."""
        earlier = await asyncio.to_thread(self._by_key, run.id, intention.idempotency_key)
        if earlier is not None:
            return _same(earlier, intention), False
        args = await self.check(run, intention)
        wall_s, command_id = self._clock.wall_s(), self._new_id()

        def store(session: Session) -> tuple[StoredCommand, bool, list[StoredCommand]]:
            # looked up again: two requests with one key may arrive together
            if (earlier := commands.by_key(session, run.id, intention.idempotency_key)) is not None:
                return _same(earlier, intention), False, []
            _check_version(session, run.id, intention)
            _check_not_going_back(session, run.id, intention, wall_s)
            replaced = _supersede(session, run.id, intention, args, wall_s)
            return add(session, _new(session, run.id, command_id, intention, args, wall_s)), True, replaced

        command, is_new, replaced = await asyncio.wrap_future(self._writer.submit(store))
        for changed in [*replaced, *([command] if is_new else [])]:
            self._publish(changed.to_dict())
        if is_new:
            self.ring(run.id)
        return command, is_new

    async def check(self, run: LiveRun, intention: Intention, is_dry: bool = False) -> dict[str, Any]:
        """The arguments as they would be stored and sent; nothing is done. Raises CommandError, StorageError.

        `is_dry`: it will not be given, so the run may be over or away; but it must change the schedule.
        """
        target = await self._target(run.id, intention)
        under_way = await asyncio.to_thread(self._open_of, run.id)
        return checked_args(run, intention.kind, intention.args, target, under_way, is_dry)

    async def cancel(self, command_id: str, actor: str) -> StoredCommand:
        """The command, which has not gone out and will not. Raises UnknownCommand, NotCancellable, StorageError."""
        wall_s = self._clock.wall_s()

        def store(session: Session) -> StoredCommand:
            if (command := commands.get(session, command_id)) is None:
                raise _unknown(command_id)
            moved = None
            if states.is_legal(command.state, states.CANCELLED):
                moved = move(session, command, states.CANCELLED, actor, wall_s)
            if moved is None:
                raise NotCancellable(f"Command {command.number} ({command.kind}) {_became(command)}.")
            return moved

        command = await asyncio.wrap_future(self._writer.submit(store))
        self._publish(command.to_dict())
        return command

    async def find(self, command_id: str) -> StoredCommand:
        """The command as it is now. Raises UnknownCommand, StorageError."""
        if (found := await asyncio.to_thread(self._get, command_id)) is None:
            raise _unknown(command_id)
        return found

    async def is_open(self, run_id: str, kind: str) -> bool:
        """Whether a command of this kind is on its way. Raises StorageError."""
        return any(command.kind == kind for command in await asyncio.to_thread(self._open_of, run_id))

    def ring(self, run_id: str) -> None:
        """The run's courier has something to look at."""
        if run_id in self._bells:
            self._bells[run_id].set()

    async def deliver(self, run: LiveRun, attempt: int, send: Send) -> None:
        """The courier of an attempt's connection: offers what is open, then whatever comes. Ends by cancellation."""
        self._bells[run.id] = bell = asyncio.Event()
        bell.set()
        offered: set[str] = set()
        while True:
            await bell.wait()
            bell.clear()
            if attempt != run.stored.attempt:
                continue  # a newer one began, whose courier is about to come
            found = await asyncio.to_thread(self._open_of, run.id)
            new, offered = [each for each in found if each.id not in offered], {each.id for each in found}
            for command in new:
                # one that was superseded, cancelled or late meanwhile does not go out
                if command.state != states.QUEUED or await self._mark_sent(command):
                    await send(self._as_sent(command))

    def _as_sent(self, command: StoredCommand) -> Command:
        expires_s = None if was_applied(command) else command.expires_s
        return Command(
            id=command.id,
            number=command.number,
            kind=command.kind,
            args=command.args,
            at_step=at_step(command),
            expires_in_s=0.0 if expires_s is None else max(LATE_S, expires_s - self._clock.wall_s()),
        )

    async def _mark_sent(self, command: StoredCommand) -> bool:
        wall_s = self._clock.wall_s()

        def store(session: Session) -> list[StoredCommand]:
            if is_late(command, wall_s):
                return expire_due(session, wall_s)
            moved = move(session, command, states.SENT, SERVER, wall_s)
            return [] if moved is None else [moved]

        changed = await asyncio.wrap_future(self._writer.submit(store))
        for moved in changed:
            self._publish(moved.to_dict())
        return any(moved.state == states.SENT for moved in changed)

    async def _target(self, run_id: str, intention: Intention) -> StoredCommand | None:
        """The command that a revert points at."""
        target = intention.args.get("command")
        if intention.kind != "revert" or not isinstance(target, str):
            return None
        found = await asyncio.to_thread(self._get, target)
        if found is None or found.run != run_id:
            raise UnknownCommand(f"The run {run_id!r} has none that is called {target[:80]!r}.")
        return found

    def _by_key(self, run_id: str, key: str) -> StoredCommand | None:
        with self._reading() as session:
            return commands.by_key(session, run_id, key)

    def _get(self, command_id: str) -> StoredCommand | None:
        with self._reading() as session:
            return commands.get(session, command_id)

    def _open_of(self, run_id: str) -> list[StoredCommand]:
        with self._reading() as session:
            return commands.in_states(session, run_id, states.OPEN)


def _new(
    session: Session, run_id: str, command_id: str, intention: Intention, args: dict[str, Any], wall_s: float
) -> StoredCommand:
    return StoredCommand(
        id=command_id,
        run=run_id,
        number=commands.next_number(session, run_id),
        kind=intention.kind,
        args=args,
        idempotency_key=intention.idempotency_key,
        actor=intention.actor,
        reason=intention.reason,
        alert=intention.alert,
        state=states.QUEUED,
        created_s=wall_s,
        step=None,
        old=None,
        new=None,
        refusal=None,
        history=[{"state": states.QUEUED, "at_s": wall_s}],
        expires_s=None if intention.expires_in_s is None else wall_s + intention.expires_in_s,
    )


def _check_version(session: Session, run_id: str, intention: Intention) -> None:
    """Raises VersionConflict when the schedule was changed, or is about to be, after what the operator saw."""
    if (seen := intention.expect_version) is None:
        return
    in_force = (*states.OPEN, states.APPLIED)
    since = [
        command
        for command in commands.in_states(session, run_id, in_force, after_number=seen)
        if command.kind in STEERING_KINDS
    ]
    if since:
        newest = since[-1]
        more = f", and {len(since) - 1} before it" if len(since) > 1 else ""
        raise VersionConflict(
            f"You saw version {seen}; since then came command {newest.number}, a {newest.kind} by {newest.actor}{more}."
        )


def _check_not_going_back(session: Session, run_id: str, intention: Intention, wall_s: float) -> None:
    """Two rollbacks that were meant as one would undo what the first had mended. Raises RollbackPending."""
    if intention.kind != ROLLBACK:
        return
    for command in commands.in_states(session, run_id, states.OPEN):
        if command.kind == ROLLBACK and wall_s - command.history[-1]["at_s"] < ROLLBACK_WAIT_S:
            raise RollbackPending(f"It is command {command.number} ({command.id}), {command.state}.")


def _supersede(
    session: Session, run_id: str, intention: Intention, args: dict[str, Any], wall_s: float
) -> list[StoredCommand]:
    """A slider that moves on replaces its own earlier wishes, as long as they have not gone out; so does a newer
    wish for detail. One with a lease does not: beneath it the earlier one holds."""
    if intention.kind not in REPLACING or "lease_steps" in args:
        return []
    moved = [
        move(session, command, states.SUPERSEDED, intention.actor, wall_s)
        for command in commands.in_states(session, run_id, (states.QUEUED,))
        if command.kind == intention.kind
        and command.args.get("component") == args.get("component")
        # what is offered again held from its own step on, before the new one
        and not was_applied(command)
    ]
    return [command for command in moved if command is not None]


def _unknown(command_id: str) -> UnknownCommand:
    return UnknownCommand(f"It was asked for as {command_id[:80]!r}.", "GET /api/runs lists the runs.")


def _became(command: StoredCommand) -> str:
    """What became of a command, for the one who wanted to take it back."""
    if command.state == states.APPLIED:
        return f"was applied at step {command.step}"
    if command.state in (states.SENT, states.RECEIVED):
        return f"has gone out to the trainer ({command.state})"
    because = f": {command.refusal}" if command.refusal else ""
    return f"is {command.state.replace('_', ' ')} already{because}".rstrip(".")


def _same(earlier: StoredCommand, intention: Intention) -> StoredCommand:
    """The earlier command when the intention is the same. Raises IdempotencyConflict."""
    given = (intention.kind, intention.args, intention.reason, intention.alert)
    if given != (earlier.kind, earlier.args, earlier.reason, earlier.alert):
        raise IdempotencyConflict(f"It was used for command {earlier.id}, a {earlier.kind}.")
    return earlier
