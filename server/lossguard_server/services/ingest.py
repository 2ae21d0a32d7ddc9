"""From a trainer's messages to committed rows.

Rules of this file:
- Checked before stored, stored before acknowledged and shown; never the other way round.
- One transaction holds a batch's messages, its events and what they say of commands.
- A stream has one connection. A newer one takes over; the older one's commits are in the writer's queue before the
  newer one's first look, so the `last_seq` that it is told is the truth.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from sqlmodel import Session

from lossguard.protocol.messages import Declaration, Event, Frame, Heartbeat, Hello, Schema

from ..errors import JournalDamaged, ReplacedConnection
from ..store import events, journal, runs
from ..store.branches import step_of
from ..store.columns import VIEW_RANK, Reading
from ..store.commands import StoredCommand
from ..store.decoding import definitions
from ..store.events import StoredEvent
from ..store.journal import StreamHead, StreamKey
from ..store.rows import Rows, joined
from ..store.runs import StoredRun
from ..store.writer import Writer
from .clock import Clock
from .commands import expire_open, settle
from .live import LiveRun
from .registry import Registry
from .restore import last_rows
from .stream import Checked, StreamState, check_hello


class Audience(Protocol):
    """Who is told what was committed, in order, on the event loop's thread."""

    def points(self, run: LiveRun, rows: Rows) -> None: ...
    def event(self, run: LiveRun, event: dict[str, Any]) -> None: ...
    def rewound(self, run: LiveRun) -> None: ...
    def command(self, command: dict[str, Any]) -> None: ...
    def declaration(self, run: LiveRun) -> None: ...
    def run(self, run: LiveRun) -> None: ...
    def committed(self, run: LiveRun) -> None: ...


@dataclass
class OpenStream:
    """A stream with its connection."""

    state: StreamState
    last_seq: int
    run: LiveRun
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class Ingest:
    """Opens streams and commits what they carry. Owned by the event loop's thread."""

    def __init__(self, writer: Writer, reading: Reading, registry: Registry, clock: Clock, audience: Audience) -> None:
        self._writer, self._reading, self._registry = writer, reading, registry
        self._clock, self._audience = clock, audience
        self._open: dict[StreamKey, OpenStream] = {}

    async def open(self, hello: Hello) -> OpenStream:
        """The stream, ready to go on at `last_seq` + 1. Raises BadHello, StorageError."""
        key = check_hello(hello)
        self._replace(key)
        wall_s = self._clock.wall_s()
        wanted = StoredRun(key.run, hello.project, hello.name, wall_s, wall_s, hello.world_size, key.attempt, None)
        stored, head, expired = await asyncio.wrap_future(
            self._writer.submit(lambda session: _open(session, wanted, key))
        )
        for command in expired:
            self._audience.command(command.to_dict())
        state = StreamState(key, head.id)
        state.restore(await asyncio.to_thread(self._schemas, head.id))
        run = await self._registry.opened(stored, key.rank)
        self._replace(key)  # one that opened while we waited
        self._open[key] = stream = OpenStream(state, head.last_seq, run)
        self._audience.run(run)
        return stream

    def close(self, stream: OpenStream) -> None:
        """Its connection is gone."""
        if self._open.get(stream.state.key) is stream:
            del self._open[stream.state.key]
        stream.run.closed(stream.state.key.rank)
        self._audience.run(stream.run)

    async def commit(self, stream: OpenStream, batch: Sequence[Checked]) -> int:
        """Store the batch and tell the audience; returns the seq to acknowledge. Raises StorageError, StreamError.

        Once begun it goes on although its caller is cancelled: what is stored must also be shown.
        """
        if stream.replaced.is_set():
            raise ReplacedConnection()
        return await asyncio.shield(self._commit(stream, batch))

    def beat(self, stream: OpenStream, heartbeat: Heartbeat) -> None:
        """A sign of life."""
        if stream.state.key.rank != VIEW_RANK:
            return
        before = stream.run.heartbeat
        stream.run.beat(heartbeat, self._clock.monotonic_s())
        if before is None or before.state != heartbeat.state:
            self._audience.run(stream.run)

    async def _commit(self, stream: OpenStream, batch: Sequence[Checked]) -> int:
        key, stream_id, wall_s = stream.state.key, stream.state.id, self._clock.wall_s()
        size_bytes = sum(len(checked.entry.payload) for checked in batch)
        changed, shown = await asyncio.wrap_future(
            self._writer.submit(lambda session: _store(session, key, stream_id, batch, wall_s), size_bytes)
        )
        stream.last_seq = batch[-1].entry.seq
        stream.run.saw(self._clock.monotonic_s(), wall_s)
        for part in _cut_at_rollbacks(batch):
            self._tell(stream, part, shown)
        for command in changed:
            self._audience.command(command.to_dict())
        self._audience.committed(stream.run)
        return stream.last_seq

    def _tell(self, stream: OpenStream, part: Sequence[Checked], shown: Mapping[int, Sequence[Rows]]) -> None:
        run, rank = stream.run, stream.state.key.rank
        for checked in part:
            match checked.message:
                case Declaration() as declaration:
                    if rank == VIEW_RANK:
                        run.declaration = declaration
                        self._audience.declaration(run)
                case Schema():
                    self._audience.declaration(run)
                case Event() as event:
                    self._tell_event(stream, event)
                case Frame():
                    pass  # below, joined
        if rank != VIEW_RANK:
            return
        for rows in joined(checked.rows for checked in part if checked.rows is not None):
            run.observe(rows, self._clock.monotonic_s())
            self._audience.points(run, rows)
        if (rollback := part[-1].entry).kind == journal.ROLLBACK:
            run.rewound(shown[rollback.seq])
            self._audience.rewound(run)

    def _tell_event(self, stream: OpenStream, event: Event) -> None:
        run = stream.run
        if event.kind == "gap":
            run.gaps += 1
        if event.kind == "trip":
            run.trips += 1
        if event.kind == "detail" and _is_newest(stream):
            until = step_of(event, "until")
            run.detail = -1 if event.data.get("level") != "full" or until is None else until
        if event.kind == "finish" and stream.state.key.rank == VIEW_RANK:
            run.finished(stream.state.key.attempt, finish_state(event))
            self._audience.run(run)
        self._audience.event(run, _stored_event(event).to_dict())

    def _replace(self, key: StreamKey) -> None:
        if (older := self._open.pop(key, None)) is not None:
            older.replaced.set()

    def _schemas(self, stream_id: int) -> list[Schema]:
        with self._reading() as session:
            return definitions(journal.read_definitions(session, stream_id))[1]


def _is_newest(stream: OpenStream) -> bool:
    """False of another rank, and of an older attempt that brings its data late."""
    return stream.state.key.rank == VIEW_RANK and stream.state.key.attempt == stream.run.stored.attempt


def finish_state(event: Event) -> str:
    """How a `finish` event says that the run ended; `finished` when it says nothing that is known."""
    state = event.data.get("state")
    return state if state in ("finished", "stopped", "crashed") else "finished"


def _open(session: Session, wanted: StoredRun, key: StreamKey) -> tuple[StoredRun, StreamHead, list[StoredCommand]]:
    """The run, the stream, and the commands of an older attempt, which a newer one must not obey."""
    before = runs.get(session, key.run)
    stored = runs.open_run(session, wanted)
    is_newer = before is not None and stored.attempt > before.attempt
    expired = (
        expire_open(session, key.run, "A newer attempt of the run began first.", wanted.seen_s) if is_newer else []
    )
    return stored, journal.open_stream(session, key), expired


def _cut_at_rollbacks(batch: Sequence[Checked]) -> list[Sequence[Checked]]:
    """The batch in order, in parts of which each rollback is the last message."""
    ends = [index + 1 for index, checked in enumerate(batch) if checked.entry.kind == journal.ROLLBACK]
    return [batch[start:end] for start, end in pairwise([0, *ends, len(batch)]) if start < end]


def _store(
    session: Session, key: StreamKey, stream_id: int, batch: Sequence[Checked], wall_s: float
) -> tuple[list[StoredCommand], dict[int, list[Rows]]]:
    """One transaction; returns the commands that changed, and what the run still shows after each rollback, by seq."""
    journal.append(session, stream_id, [checked.entry for checked in batch])
    runs.seen(session, key.run, wall_s)
    changed: list[StoredCommand] = []
    for checked in batch:
        if not isinstance(checked.message, Event):
            continue
        event = checked.message
        events.add(session, key.run, _stored_event(event))
        if event.kind == "command" and key.rank == VIEW_RANK:
            changed += settle(session, key.run, event, wall_s)
        if event.kind == "finish" and key.rank == VIEW_RANK:
            changed += _finish(session, key, finish_state(event), wall_s)
    rollbacks = [checked.entry.seq for checked in batch if checked.entry.kind == journal.ROLLBACK]
    return changed, {seq: _shown_after(session, key, seq) for seq in rollbacks if key.rank == VIEW_RANK}


def _shown_after(session: Session, key: StreamKey, seq: int) -> list[Rows]:
    heads = [head for head in journal.streams(session, key.run) if head.key.rank == VIEW_RANK]
    try:
        return last_rows(session, [(head, seq if head.key == key else head.last_seq) for head in heads])
    except JournalDamaged:  # it cannot be read, but what comes next can be stored
        return []


def _finish(session: Session, key: StreamKey, state: str, wall_s: float) -> list[StoredCommand]:
    """The commands that end with the run; none when it was an older attempt that ended."""
    if not runs.finish(session, key.run, key.attempt, state):
        return []
    return expire_open(session, key.run, "The run ended first.", wall_s)


def _stored_event(event: Event) -> StoredEvent:
    # a label from another machine's clock: SQLite would turn a NaN into NULL
    time_s = event.time_s if math.isfinite(event.time_s) else 0.0
    return StoredEvent(event.step, event.kind, time_s, event.data)
