"""Many streams' batches into few transactions.

Rules of this file:
- While a transaction is under way, what arrives waits and goes together into the next: as operations of their own, the
  2,000 batches that 200 trainers bring each second took longer than a second.
- One bad batch must not fail the others: a transaction that is refused for a reason that may be one stream's (it is out
  of order, deleted, damaged) is taken apart.
- One transaction holds a batch's messages, its events and what they say of commands.
- Owned by the event loop's thread; what runs in the writer's thread is `_store_all` and below.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sqlmodel import Session

from lossguard.protocol.messages import Event

from ..errors import DiskFull, JournalDamaged, WriterClosed
from ..store import commands, events, journal, runs
from ..store.columns import VIEW_RANK
from ..store.commands import StoredCommand
from ..store.events import StoredEvent
from ..store.journal import Appended, StreamKey
from ..store.rows import Rows
from ..store.writer import Writer
from . import command_states as states
from .command_moves import expire_open, settle
from .restore import last_rows
from .resuming import begun, resumed, told_late
from .stream import Checked

TOGETHER_BYTES = 4 << 20


@dataclass(frozen=True)
class Outcome:
    """The commands that a batch changed, and what its run still shows after each of its rollbacks, by seq."""

    changed: list[StoredCommand] = field(default_factory=list)
    shown: dict[int, list[Rows]] = field(default_factory=dict)
    given: dict[str, StoredCommand] = field(default_factory=dict)  # what was applied without a word of its arguments


@dataclass(frozen=True, eq=False)
class Arrival:
    """A batch of one stream that is to be stored. `begins_step`: as for journal.append; `wall_s`: epoch seconds."""

    key: StreamKey
    stream_id: int
    batch: Sequence[Checked]
    begins_step: int | None
    wall_s: float

    @property
    def size_bytes(self) -> int:
        return sum(len(checked.entry.payload) for checked in self.batch)


class Commits:
    """Stores batches. `store` may be called for any number of streams at once, for one stream one at a time."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: dict[Arrival, asyncio.Future[Outcome]] = {}
        self._under_way: dict[Arrival, asyncio.Future[Outcome]] = {}

    async def store(self, arrival: Arrival) -> Outcome:
        """What became of it, once it is on disk. Raises StorageError."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[arrival] = future
        self._start()
        return await future

    async def settled(self, key: StreamKey) -> None:
        """Nothing of the stream waits any more: whoever asks the database next is told the truth."""
        found = [
            future
            for known in (self._under_way, self._waiting)
            for arrival, future in known.items()
            if arrival.key == key
        ]
        await asyncio.gather(*found, return_exceptions=True)

    def _start(self) -> None:
        if self._under_way or not self._waiting:
            return
        size_bytes = 0
        for arrival in list(self._waiting):
            self._under_way[arrival] = self._waiting.pop(arrival)
            size_bytes += arrival.size_bytes
            if size_bytes >= TOGETHER_BYTES:
                break
        self._submit(list(self._under_way))

    def _submit(self, together: list[Arrival]) -> None:
        loop = asyncio.get_running_loop()
        size_bytes = sum(arrival.size_bytes for arrival in together)
        stored = self._writer.submit(lambda session: _store_all(session, together), size_bytes)
        stored.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, together, done))

    def _finish(self, together: list[Arrival], done: "Future[list[Outcome]]") -> None:
        error = done.exception()
        if error is not None and len(together) > 1 and not _is_everybodys(error):
            for arrival in together:
                self._submit([arrival])
            return
        outcomes = [Outcome()] * len(together) if error is not None else done.result()
        for arrival, outcome in zip(together, outcomes, strict=True):
            future = self._under_way.pop(arrival)
            if future.cancelled():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(outcome)
        self._start()


def _is_everybodys(error: BaseException) -> bool:
    """A full disk and a server that stops refuse everybody alike. All else may be one stream's matter; where it is not
    (a disk that has failed), trying them one by one finds that out at no cost."""
    return isinstance(error, DiskFull | WriterClosed)


def finish_state(event: Event) -> str:
    """How a `finish` event says that the run ended; `finished` when it says nothing that is known."""
    state = event.data.get("state")
    return state if state in ("finished", "stopped", "crashed") else "finished"


def stored_event(event: Event) -> StoredEvent:
    """The event as the database keeps it."""
    # a label from another machine's clock: SQLite would turn a NaN into NULL
    time_s = event.time_s if math.isfinite(event.time_s) else 0.0
    return StoredEvent(event.step, event.kind, time_s, event.data)


def _store_all(session: Session, arrivals: Sequence[Arrival]) -> list[Outcome]:
    journal.append_all(
        session,
        [
            Appended(arrival.stream_id, [checked.entry for checked in arrival.batch], arrival.begins_step)
            for arrival in arrivals
        ],
    )
    runs.seen(session, {arrival.key.run: arrival.wall_s for arrival in arrivals})
    return [_take_events(session, arrival) for arrival in arrivals]


def _take_events(session: Session, arrival: Arrival) -> Outcome:
    key = arrival.key
    told = [checked.message for checked in arrival.batch if isinstance(checked.message, Event)]
    for event in told:
        events.add(session, key.run, stored_event(event))
    if key.rank != VIEW_RANK:
        return Outcome()
    changed = [command for event in told for command in _settle(session, arrival, event)]
    if arrival.begins_step is not None and 0 < key.attempt == _newest_attempt(session, key):
        changed += _readable(lambda: begun(session, key, arrival.stream_id, arrival.wall_s))
    rollbacks = [checked.entry.seq for checked in arrival.batch if checked.entry.kind == journal.ROLLBACK]
    shown = {seq: _shown_after(session, key, seq) for seq in rollbacks}
    return Outcome(changed, shown, _given(session, told))


def _settle(session: Session, arrival: Arrival, event: Event) -> list[StoredCommand]:
    """The commands that an event of rank 0 changes."""
    key, wall_s = arrival.key, arrival.wall_s
    match event.kind:
        case "command":
            changed = settle(session, key, event, wall_s)
            newest = _newest_attempt(session, key)
            for late in [command for command in changed if command.state == states.APPLIED and key.attempt < newest]:
                changed += _readable(lambda: told_late(session, late, event.step, newest, wall_s))  # noqa: B023
            return changed
        case "resume" if key.attempt == _newest_attempt(session, key):
            return _readable(lambda: resumed(session, key, event, wall_s))
        case "finish":
            return _end_run(session, key, finish_state(event), wall_s)
        case _:
            return []


def _newest_attempt(session: Session, key: StreamKey) -> int:
    run = runs.get(session, key.run)
    return key.attempt if run is None else run.attempt


def _given(session: Session, told: Sequence[Event]) -> dict[str, StoredCommand]:
    """Before wire 1.4 a trainer does not say which arguments it applied."""
    ids = [
        event.data.get("id") for event in told if event.kind == "command" and not {"kind", "args"} <= set(event.data)
    ]
    found = [commands.get(session, each) for each in ids if isinstance(each, str)]
    return {command.id: command for command in found if command is not None}


def _readable(change: Callable[[], list[StoredCommand]]) -> list[StoredCommand]:
    try:
        return change()
    except JournalDamaged:  # what was applied cannot be read, but what comes can be stored
        return []


def _shown_after(session: Session, key: StreamKey, seq: int) -> list[Rows]:
    heads = [head for head in journal.streams(session, key.run) if head.key.rank == VIEW_RANK]
    try:
        return last_rows(session, [(head, seq if head.key == key else head.last_seq) for head in heads])
    except JournalDamaged:  # it cannot be read, but what comes next can be stored
        return []


def _end_run(session: Session, key: StreamKey, state: str, wall_s: float) -> list[StoredCommand]:
    """The commands that end with the run; none when it was an older attempt that ended."""
    if not runs.finish(session, key.run, key.attempt, state):
        return []
    return expire_open(session, key.run, "The run ended first.", wall_s)
