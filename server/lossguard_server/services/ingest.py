"""From a trainer's messages to committed rows.

Rules of this file:
- Checked before stored, stored before acknowledged and shown; never the other way round.
- From the first moment of a connection its run is in use, so that it is not deleted under it.
- A stream has one connection. A newer one takes over; the older one's commits are over before the newer one's first
  look, so the `last_seq` that it is told is the truth.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from sqlmodel import Session

from lossguard.protocol.messages import Declaration, Event, Frame, Heartbeat, Hello, Schema
from lossguard.protocol.names import TOTAL

from ..errors import ReplacedConnection
from ..store import journal, runs
from ..store.branches import step_of
from ..store.columns import VIEW_RANK, Reading
from ..store.commands import StoredCommand
from ..store.decoding import definitions
from ..store.journal import StreamHead, StreamKey
from ..store.rows import Rows, joined
from ..store.runs import StoredRun
from ..store.writer import Writer
from . import command_states as states
from .clock import Clock
from .command_moves import expire_open
from .commits import Arrival, Commits, Outcome, finish_state, stored_event
from .live import LiveRun
from .registry import Registry
from .shelf import came_back
from .stream import Checked, StreamState, check_hello


class Audience(Protocol):
    """Who is told what was committed, in order, on the event loop's thread."""

    def points(self, run: LiveRun, rows: Rows) -> None: ...
    def event(self, run: LiveRun, event: dict[str, Any]) -> None: ...
    def rewound(self, run: LiveRun) -> None: ...
    def command(self, command: dict[str, Any]) -> None: ...
    def declaration(self, run: LiveRun) -> None: ...
    def run(self, run: LiveRun) -> None: ...
    def committed(self, run: LiveRun, size_bytes: int) -> None: ...


@dataclass
class OpenStream:
    """A stream with its connection."""

    state: StreamState
    last_seq: int
    run: LiveRun
    replaced: asyncio.Event = field(default_factory=asyncio.Event)
    came_late: bool = False  # it brought points of an older attempt, which nobody was told of yet


class Ingest:
    """Opens streams and commits what they carry. Owned by the event loop's thread."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        registry: Registry,
        clock: Clock,
        audience: Audience,
        ring: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        """`ring` is told the run that has commands to be offered again."""
        self._ring = ring
        self._writer, self._reading, self._registry = writer, reading, registry
        self._clock, self._audience = clock, audience
        self._commits = Commits(writer)
        self._open: dict[StreamKey, OpenStream] = {}

    async def open(self, hello: Hello) -> OpenStream:
        """The stream, ready to go on at `last_seq` + 1. Raises BadHello, StorageError."""
        key = check_hello(hello)
        with self._registry.opening(key.run):
            return await self._opened(hello, key)

    def close(self, stream: OpenStream) -> None:
        """Its connection is gone."""
        if self._open.get(stream.state.key) is stream:
            del self._open[stream.state.key]
        stream.run.closed(stream.state.key.attempt, stream.state.key.rank)
        if stream.came_late:
            self._audience.rewound(stream.run)
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

    async def _opened(self, hello: Hello, key: StreamKey) -> OpenStream:
        self._replace(key)
        await self._commits.settled(key)
        wall_s = self._clock.wall_s()
        wanted = StoredRun(key.run, hello.project, hello.name, wall_s, wall_s, hello.world_size, key.attempt, None)
        stored, head, expired = await asyncio.wrap_future(
            self._writer.submit(lambda session: _open(session, wanted, key))
        )
        for command in expired:
            self._audience.command(command.to_dict())
        state = StreamState(key, head.id, head.begins_step)
        state.restore(await asyncio.to_thread(self._schemas, head.id))
        run = await self._registry.opened(stored, key)
        self._replace(key)  # one that opened while we waited
        self._open[key] = stream = OpenStream(state, head.last_seq, run)
        self._audience.run(run)
        return stream

    async def _commit(self, stream: OpenStream, batch: Sequence[Checked]) -> int:
        wall_s = self._clock.wall_s()
        begins_step = _first_total(batch) if stream.state.begins_step is None else None
        arrival = Arrival(stream.state.key, stream.state.id, batch, begins_step, wall_s)
        stored = await self._commits.store(arrival)
        stream.last_seq = batch[-1].entry.seq
        stream.run.saw(self._clock.monotonic_s(), wall_s)
        if begins_step is not None:
            self._begin(stream, begins_step)
        for part in _cut_at_rollbacks(batch):
            self._tell(stream, part, stored)
        for command in stored.changed:
            self._audience.command(command.to_dict())
        if any(command.state == states.QUEUED for command in stored.changed):
            self._ring(stream.run.id)
        self._audience.committed(stream.run, arrival.size_bytes)
        return stream.last_seq

    def _begin(self, stream: OpenStream, step: int) -> None:
        """The attempt trains from `step` on: what older ones have there is an older branch now."""
        stream.state.begins_step = step
        if stream.state.key.rank == VIEW_RANK and stream.state.key.attempt > 0:
            self._audience.rewound(stream.run)

    def _tell(self, stream: OpenStream, part: Sequence[Checked], stored: Outcome) -> None:
        run, rank = stream.run, stream.state.key.rank
        for checked in part:
            match checked.message:
                case Declaration() as declaration:
                    if rank == VIEW_RANK:
                        run.declare(declaration, stream.state.key.attempt)
                        self._audience.declaration(run)
                case Schema():
                    self._audience.declaration(run)
                case Event() as event:
                    self._tell_event(stream, event, stored)
                case Frame():
                    pass  # below, joined
        self._tell_ranks(stream, part)
        if rank != VIEW_RANK:
            return
        if not _is_newest(stream):
            stream.came_late |= any(checked.rows is not None for checked in part)
            return
        for rows in joined(checked.rows for checked in part if checked.rows is not None):
            run.observe(rows, self._clock.monotonic_s())
            self._audience.points(run, rows)
        if (rollback := part[-1].entry).kind == journal.ROLLBACK:
            run.rewound(stored.shown[rollback.seq])
            self._audience.rewound(run)

    def _tell_ranks(self, stream: OpenStream, part: Sequence[Checked]) -> None:
        """How the ranks keep pace, where there are several."""
        run, key = stream.run, stream.state.key
        if run.stored.world_size < 2 or key.attempt != run.stored.attempt:
            return
        for checked in part:
            if checked.rows is not None:
                run.ranks.observe(key.rank, checked.rows)
            elif isinstance(checked.message, Event):
                run.tell_rank(key.rank, checked.message)

    def _tell_event(self, stream: OpenStream, event: Event, stored: Outcome) -> None:
        run, key = stream.run, stream.state.key
        if key.rank == VIEW_RANK:
            run.tell(event, key.attempt, lambda command_id: _as_given(stored, command_id))
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
        self._audience.event(run, stored_event(event).to_dict())

    def _replace(self, key: StreamKey) -> None:
        if (older := self._open.pop(key, None)) is not None:
            older.replaced.set()

    def _schemas(self, stream_id: int) -> list[Schema]:
        with self._reading() as session:
            return definitions(journal.read_definitions(session, stream_id))[1]


def _as_given(stored: Outcome, command_id: str) -> tuple[str, dict[str, Any]] | None:
    command = stored.given.get(command_id)
    return None if command is None else (command.kind, command.args)


def _is_newest(stream: OpenStream) -> bool:
    """False of another rank, and of an older attempt that brings its data late."""
    return stream.state.key.rank == VIEW_RANK and stream.state.key.attempt == stream.run.stored.attempt


def _open(session: Session, wanted: StoredRun, key: StreamKey) -> tuple[StoredRun, StreamHead, list[StoredCommand]]:
    """The run, the stream, and the commands of an older attempt, which a newer one must not obey."""
    before = runs.get(session, key.run)
    stored = runs.open_run(session, wanted)
    came_back(session, before, wanted.seen_s)
    is_newer = before is not None and stored.attempt > before.attempt
    expired = (
        expire_open(session, key.run, "A newer attempt of the run began first.", wanted.seen_s) if is_newer else []
    )
    return stored, journal.open_stream(session, key), expired


def _first_total(batch: Sequence[Checked]) -> int | None:
    """The first step of the first frame that holds a total."""
    rows = (checked.rows for checked in batch if checked.rows is not None)
    return next((int(found.steps[0]) for found in rows if TOTAL in found.names), None)


def _cut_at_rollbacks(batch: Sequence[Checked]) -> list[Sequence[Checked]]:
    """The batch in order, in parts of which each rollback is the last message."""
    ends = [index + 1 for index, checked in enumerate(batch) if checked.entry.kind == journal.ROLLBACK]
    return [batch[start:end] for start, end in pairwise([0, *ends, len(batch)]) if start < end]
