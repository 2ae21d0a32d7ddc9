"""Operators' commands: checked, stored, delivered in order, and settled by what the trainer reports.

Rules of this file:
- A command is stored and audited before it is sent, and every change of its state is one compare-and-swap with its
  audit row in the same transaction.
- Delivery is in the order of numbers, by one courier a connection; what is not final is offered again to the next
  connection, and the trainer drops ids that it has seen. What was meant for an attempt ends with it.
- What a trainer reports of a command that it cannot concern, or too late, changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from lossguard.protocol.messages import Command, Event

from ..errors import IdempotencyConflict, RollbackPending, UnknownCommand
from ..store import audit, commands
from ..store.columns import Reading
from ..store.commands import Outcome, StoredCommand
from ..store.writer import Writer
from . import command_states as states
from .clock import Clock
from .command_checks import checked_args
from .live import LiveRun

Send = Callable[[Command], Awaitable[None]]
Publish = Callable[[dict[str, Any]], None]

TRAINER = "trainer"
REPLACING = ("set_weight", "instrument")
ROLLBACK = "rollback"


@dataclass(frozen=True)
class Intention:
    """What an operator asked for."""

    kind: str
    args: dict[str, Any]
    idempotency_key: str
    actor: str
    reason: str | None = None
    alert: str | None = None


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
        args = checked_args(run, intention.kind, intention.args, await self._target(run.id, intention))
        wall_s, command_id = self._clock.wall_s(), self._new_id()

        def store(session: Session) -> tuple[StoredCommand, bool, list[StoredCommand]]:
            # looked up again: two requests with one key may arrive together
            if (earlier := commands.by_key(session, run.id, intention.idempotency_key)) is not None:
                return _same(earlier, intention), False, []
            _check_not_going_back(session, run.id, intention)
            replaced = _supersede(session, run.id, intention, args, wall_s)
            return _add(session, run.id, command_id, intention, args, wall_s), True, replaced

        command, is_new, replaced = await asyncio.wrap_future(self._writer.submit(store))
        for changed in [*replaced, *([command] if is_new else [])]:
            self._publish(changed.to_dict())
        if is_new and run.id in self._bells:
            self._bells[run.id].set()
        return command, is_new

    async def is_open(self, run_id: str, kind: str) -> bool:
        """Whether a command of this kind is on its way. Raises StorageError."""
        return any(command.kind == kind for command in await asyncio.to_thread(self._open_after, run_id, 0))

    async def deliver(self, run_id: str, send: Send) -> None:
        """The courier of one connection: offers what is open, then whatever comes. Ends by cancellation."""
        self._bells[run_id] = bell = asyncio.Event()
        bell.set()
        offered = 0
        while True:
            await bell.wait()
            bell.clear()
            for command in await asyncio.to_thread(self._open_after, run_id, offered):
                offered = command.number
                if command.state == states.QUEUED and not await self._mark_sent(command):
                    continue  # it was superseded or expired meanwhile
                await send(Command(id=command.id, number=command.number, kind=command.kind, args=command.args))

    async def _mark_sent(self, command: StoredCommand) -> bool:
        wall_s = self._clock.wall_s()
        moved = await asyncio.wrap_future(
            self._writer.submit(lambda session: _move(session, command, states.SENT, "server", wall_s))
        )
        if moved is not None:
            self._publish(moved.to_dict())
        return moved is not None

    async def _target(self, run_id: str, intention: Intention) -> StoredCommand | None:
        """The command that a revert points at."""
        target = intention.args.get("command")
        if intention.kind != "revert" or not isinstance(target, str):
            return None
        found = await asyncio.to_thread(self._get, target)
        if found is None or found.run != run_id:
            raise UnknownCommand(f"It was asked for as {target[:80]!r}.")
        return found

    def _by_key(self, run_id: str, key: str) -> StoredCommand | None:
        with self._reading() as session:
            return commands.by_key(session, run_id, key)

    def _get(self, command_id: str) -> StoredCommand | None:
        with self._reading() as session:
            return commands.get(session, command_id)

    def _open_after(self, run_id: str, number: int) -> list[StoredCommand]:
        with self._reading() as session:
            return commands.in_states(session, run_id, states.OPEN, after_number=number)


def settle(session: Session, run_id: str, event: Event, wall_s: float) -> list[StoredCommand]:
    """What a trainer's `command` event changes: the command in its new state, or nothing."""
    data = event.data
    command_id, state = data.get("id"), data.get("state")
    if not isinstance(command_id, str) or state not in states.REPORTED:
        return []
    command = commands.get(session, command_id)
    if command is None or command.run != run_id or not states.is_legal(command.state, state):
        return []
    reason = data.get("reason")
    outcome = Outcome(
        step=event.step if state == states.APPLIED else None,
        old=data.get("old"),
        new=data.get("new"),
        refusal=str(reason) if state == states.REJECTED and reason is not None else None,
    )
    moved = _move(session, command, state, TRAINER, wall_s, outcome)
    return [] if moved is None else [moved]


def expire_open(session: Session, run_id: str, why: str, wall_s: float) -> list[StoredCommand]:
    """Nobody will carry out what is open: the run, or the attempt that it was meant for, is over."""
    outcome = Outcome(refusal=why)
    moved = [
        _move(session, command, states.EXPIRED, "server", wall_s, outcome)
        for command in commands.in_states(session, run_id, states.OPEN)
    ]
    return [command for command in moved if command is not None]


def _move(
    session: Session, command: StoredCommand, state: str, actor: str, wall_s: float, outcome: Outcome | None = None
) -> StoredCommand | None:
    states.check(command.state, state)
    moved = commands.move(session, command, state, wall_s, outcome or Outcome())
    if moved is not None:
        detail = {"command": moved.id, "kind": moved.kind, "step": moved.step, "old": moved.old, "new": moved.new}
        audit.add(session, wall_s, actor, f"command {state}", detail, command.run)
    return moved


def _add(
    session: Session, run_id: str, command_id: str, intention: Intention, args: dict[str, Any], wall_s: float
) -> StoredCommand:
    command = StoredCommand(
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
    )
    commands.add(session, command)
    detail = {"command": command_id, "kind": intention.kind, "args": args, "reason": intention.reason}
    audit.add(session, wall_s, intention.actor, f"command {states.QUEUED}", detail, run_id)
    return command


def _check_not_going_back(session: Session, run_id: str, intention: Intention) -> None:
    """Two rollbacks that were meant as one would undo what the first had mended. Raises RollbackPending."""
    if intention.kind != ROLLBACK:
        return
    for command in commands.in_states(session, run_id, states.OPEN):
        if command.kind == ROLLBACK:
            raise RollbackPending(f"It is command {command.number} ({command.id}), {command.state}.")


def _supersede(
    session: Session, run_id: str, intention: Intention, args: dict[str, Any], wall_s: float
) -> list[StoredCommand]:
    """A slider that moves on replaces its own earlier wishes, as long as they have not gone out; so does a newer
    wish for detail."""
    if intention.kind not in REPLACING:
        return []
    moved = [
        _move(session, command, states.SUPERSEDED, intention.actor, wall_s)
        for command in commands.in_states(session, run_id, (states.QUEUED,))
        if command.kind == intention.kind and command.args.get("component") == args.get("component")
    ]
    return [command for command in moved if command is not None]


def _same(earlier: StoredCommand, intention: Intention) -> StoredCommand:
    """The earlier command when the intention is the same. Raises IdempotencyConflict."""
    given = (intention.kind, intention.args, intention.reason, intention.alert)
    if given != (earlier.kind, earlier.args, earlier.reason, earlier.alert):
        raise IdempotencyConflict(f"It was used for command {earlier.id}, a {earlier.kind}.")
    return earlier
