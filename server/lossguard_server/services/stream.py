"""One trainer's stream: what it has declared, and whether its next message agrees with that.

Rules of this file: no I/O. Everything is checked before it may be stored, because what is stored is acknowledged and
never asked for again. The checks look at the stream as accepted, which may be ahead of what is committed; when a commit
fails the connection ends and the stream is loaded anew.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lossguard.protocol import EVENT_KINDS, BadFrame
from lossguard.protocol.frames import MAX_STEP, checksum, unpack_frame
from lossguard.protocol.messages import Declaration, Event, Frame, Hello, RampSpec, Schema, Sequenced
from lossguard.protocol.names import fault_in
from lossguard.protocol.numbers import dumps

from ..errors import (
    BadDeclaration,
    BadHello,
    BadName,
    DamagedFrame,
    SeriesRedefined,
    StreamError,
    TooManySeries,
    UnknownSeries,
)
from ..store import journal
from ..store.branches import target_of
from ..store.journal import Entry, StreamKey
from ..store.rows import Layouts, Rows

MAX_SERIES = 100_000
MAX_COMPONENTS = 1_000
MAX_STAGES = 1_000
MAX_OPERATIONS = 10_000
MAX_WORLD_SIZE = 1 << 20
MAX_ATTEMPT = 1 << 31
MAX_DEPTH = 32  # of config and event data; whoever writes them as JSON recurses


@dataclass(frozen=True)
class Checked:
    """A message that may be stored: its row, itself, and for a frame its rows."""

    entry: Entry
    message: Sequenced
    rows: Rows | None = None


class StreamState:
    """What a stream has said of itself so far. `begins_step`: of its first frame with a total that is stored."""

    def __init__(self, key: StreamKey, stream_id: int, begins_step: int | None = None) -> None:
        self.key, self.id, self.begins_step = key, stream_id, begins_step
        self.names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._layouts = Layouts(self.names)

    def check(self, message: Sequenced, payload: bytes) -> Checked:
        """The message ready to be stored; `payload` is its bytes as they came. Raises StreamError."""
        match message:
            case Frame():
                return self._check_frame(message, payload)
            case Schema():
                self._learn(message)
                return Checked(Entry(message.seq, journal.SCHEMA, payload), message)
            case Declaration():
                check_declaration(message)
                return Checked(Entry(message.seq, journal.DECLARATION, payload), message)
            case Event():
                _check_event(message)
                step = target_of(message)
                kind, step = (journal.EVENT, message.step) if step is None else (journal.ROLLBACK, step)
                return Checked(Entry(message.seq, kind, payload, step, step), message)

    def restore(self, schemas: Iterable[Schema]) -> None:
        """Take up the schemas that are stored already."""
        for schema in schemas:
            self._learn(schema)

    def _check_frame(self, frame: Frame, payload: bytes) -> Checked:
        try:
            steps, columns = unpack_frame(frame)
        except BadFrame as error:
            raise _frame_fault(frame, error) from error
        if unknown := [number for number in frame.series if number not in self.names]:
            raise UnknownSeries(f"Series {unknown[0]} in message {frame.seq}.")
        entry = Entry(frame.seq, journal.FRAME, payload, int(steps[0]), int(steps[-1]))
        return Checked(entry, frame, self._layouts.rows(frame.series, steps, columns))

    def _learn(self, schema: Schema) -> None:
        for series in schema.series:
            if (fault := fault_in(series.name)) is not None:
                raise BadName(f"Series {series.name[:80]!r}: {fault}.")
            if not 0 <= series.id < 1 << 32:
                raise SeriesRedefined(f"The id {series.id} is not an unsigned 32-bit number.")
            if self.names.get(series.id, series.name) != series.name:
                raise SeriesRedefined(f"Series {series.id} is {self.names[series.id]!r}, now {series.name!r}.")
            if self._ids.get(series.name, series.id) != series.id:
                raise SeriesRedefined(f"{series.name!r} is series {self._ids[series.name]}, now {series.id}.")
            if len(self.names) >= MAX_SERIES and series.id not in self.names:
                raise TooManySeries(f"At most {MAX_SERIES} are taken.")
            self.names[series.id] = series.name
            self._ids[series.name] = series.id


def check_hello(hello: Hello) -> StreamKey:
    """The stream that is asked for. Raises BadHello."""
    for field, text in (("run", hello.run), ("project", hello.project), ("name", hello.name)):
        if (fault := fault_in(text)) is not None:
            raise BadHello(f"Its {field} is {text[:80]!r}: {fault}.")
    if "/" in hello.run or hello.run in (".", ".."):
        raise BadHello(f"Its run is {hello.run[:80]!r}: a run's id is part of an address and has no slash.")
    if not 1 <= hello.world_size <= MAX_WORLD_SIZE or not 0 <= hello.rank < hello.world_size:
        raise BadHello(f"Its rank is {hello.rank} of {hello.world_size}.")
    if not 0 <= hello.attempt < MAX_ATTEMPT:
        raise BadHello(f"Its attempt is {hello.attempt}.")
    return StreamKey(hello.run, hello.rank, hello.attempt)


def check_declaration(declaration: Declaration) -> None:
    """Raises BadName or BadDeclaration when it contradicts itself or cannot be shown."""
    if len(declaration.components) > MAX_COMPONENTS or len(declaration.stages) > MAX_STAGES:
        raise BadDeclaration(f"At most {MAX_COMPONENTS} components and {MAX_STAGES} stages are taken.")
    names = [*declaration.components, *declaration.groups, *(stage.name for stage in declaration.stages)]
    for name in [*names, *(contract.series for contract in declaration.contracts)]:
        if (fault := fault_in(name)) is not None:
            raise BadName(f"{name[:80]!r}: {fault}.")
    if len(set(declaration.components)) != len(declaration.components):
        raise BadDeclaration("A component is named twice.")
    _check_stages(declaration)
    if len(declaration.operations) > MAX_OPERATIONS:
        raise BadDeclaration(f"At most {MAX_OPERATIONS} operations are taken.")
    controls = declaration.controls
    pairs = (*controls.weight_bounds.values(), controls.lr_scale_bounds, controls.clip_bounds)
    bounds = [bound for pair in pairs for bound in pair]
    limits = [limit for contract in declaration.contracts for limit in (contract.low, contract.high)]
    if any(limit is not None and math.isnan(limit) for limit in [*bounds, *limits]):
        raise BadDeclaration("A bound is NaN.")
    _check_showable(declaration.config, "Its config", BadDeclaration)


def _check_stages(declaration: Declaration) -> None:
    last_start = -1
    for stage in declaration.stages:
        if not last_start < stage.start <= MAX_STEP:
            raise BadDeclaration(f"Stage {stage.name!r} starts at {stage.start}, not after the one before.")
        last_start = stage.start
        for component, planned in stage.weights.items():
            ends = (planned.start, planned.end) if isinstance(planned, RampSpec) else (planned,)
            if not all(math.isfinite(end) for end in ends):
                raise BadDeclaration(f"Stage {stage.name!r} gives {component[:80]!r} a weight that is not finite.")
            if isinstance(planned, RampSpec) and planned.steps < 1:
                raise BadDeclaration(f"Stage {stage.name!r} gives {component[:80]!r} a ramp of {planned.steps} steps.")


def _check_event(event: Event) -> None:
    if event.kind not in EVENT_KINDS:
        raise StreamError(f"There is no event {event.kind[:80]!r}.")
    if not -MAX_STEP <= event.step <= MAX_STEP:
        raise StreamError(f"An event is at step {event.step}.")
    _check_showable(event.data, f"The data of an event {event.kind!r}", StreamError)


def _check_showable(value: Any, what: str, fault: type[StreamError]) -> None:
    """Raises `fault`."""
    if _is_deeper(value, MAX_DEPTH):
        raise fault(f"{what} is nested more than {MAX_DEPTH} deep.")
    try:
        dumps(value)
    except (TypeError, ValueError) as error:
        raise fault(f"{what} holds something that is not text, number, list or map.") from error


def _is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inside)


def _frame_fault(frame: Frame, error: BadFrame) -> StreamError:
    """A frame whose checksum agrees was made wrong, and would be again; one whose checksum does not was damaged."""
    try:
        as_made = checksum(frame.seq, frame.first_step, frame.n, frame.series, frame.values, frame.steps) == frame.crc
    except struct.error:  # a number that has no place in a frame
        as_made = True
    return StreamError(error.detail) if as_made else DamagedFrame(f"Message {frame.seq}: {error.detail}")
