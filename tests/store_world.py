"""A real SQLite file for store and service tests, and a clock that a test turns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from sqlmodel import Session

from lossguard.protocol.codec import encode
from lossguard.protocol.frames import Columns, pack_frame
from lossguard.protocol.messages import Event, Schema, Sequenced, SeriesSpec
from lossguard_server.services.clock import Clock
from lossguard_server.store import journal, runs
from lossguard_server.store.branches import target_of
from lossguard_server.store.database import Database
from lossguard_server.store.folded import folding
from lossguard_server.store.journal import Entry, StreamHead, StreamKey
from lossguard_server.store.runs import StoredRun
from lossguard_server.store.tables import StreamRow
from lossguard_server.store.writer import Writer

T = TypeVar("T")


class TurnedClock:
    """Monotonic and wall time, which stand still until a test turns them."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.of_services = Clock(lambda: self.now_s, lambda: 1_700_000_000.0 + self.now_s)


class Store:
    """An open database with its writer."""

    def __init__(self, folder: Path) -> None:
        self.clock = TurnedClock()
        self.database = Database(f"sqlite:///{folder / 'lossguard.db'}", self.clock.of_services.monotonic_s)
        self.broken: list[bool] = []
        self.writer = Writer(
            self.database.writer_engine, self.clock.of_services.monotonic_s, lambda: self.broken.append(True)
        )
        self.reading = self.database.reading

    def write(self, operation: Callable[[Session], T]) -> T:
        """The operation's result, committed."""
        return self.writer.submit(operation).result(10)

    def read(self, query: Callable[[Session], T]) -> T:
        with self.reading() as session:
            return query(session)

    def stream(self, run: str = "r1", rank: int = 0, attempt: int = 0) -> StreamHead:
        """A stream of a run; both are made when they are new."""
        stored = StoredRun(run, "p", "n", 1.0, 1.0, 1, attempt, None)
        key = StreamKey(run, rank, attempt)
        return self.write(lambda session: (runs.open_run(session, stored), journal.open_stream(session, key))[1])

    def append(self, stream: StreamHead, *messages: Sequenced) -> None:
        self.write(lambda session: journal.append(session, stream.id, [entry(message) for message in messages]))

    def fold(self, stream: StreamHead, up_to_seq: int | None = None, page_bytes: int = folding.PASS_BYTES) -> int:
        """Everything of a stream is judged, and what it has up to a message is folded; the number of passes."""
        judged_seq = self.read(lambda session: session.get_one(StreamRow, stream.id).last_seq)
        self.write(lambda session: journal.set_judged(session, stream.id, judged_seq))
        passes = 0
        while (found := self.read(lambda session: folding.plan(session, stream.id, up_to_seq, page_bytes))) is not None:
            folded = folding.fold(found)
            assert self.write(lambda session: folding.store(session, folded))  # noqa: B023  it waits for the result
            passes += 1
        return passes


@contextmanager
def opened_store(folder: Path) -> Iterator[Store]:
    """A store that is closed in the end."""
    store = Store(folder)
    try:
        yield store
    finally:
        store.writer.close()
        store.database.close()


def entry(message: Sequenced) -> Entry:
    """The message as a row of the journal."""
    if isinstance(message, Event) and (to_step := target_of(message)) is not None:
        return Entry(message.seq, journal.ROLLBACK, encode(message), to_step, to_step)
    kind = type(message).__name__.lower()
    steps = (message.first_step, message.first_step + message.n - 1) if hasattr(message, "first_step") else (None, None)
    return Entry(message.seq, kind, encode(message), *steps)


def schema(seq: int, *names: str) -> Schema:
    """Names series 0, 1, 2, ..."""
    return Schema(seq=seq, series=[SeriesSpec(index, name) for index, name in enumerate(names)])


def rollback(seq: int, from_step: int, to_step: int) -> Event:
    """The run went back to before `to_step`."""
    return Event(seq=seq, kind="rollback", step=from_step, data={"from": from_step, "to": to_step})


def frame(seq: int, steps: Sequence[int], *columns: Sequence[float] | Columns) -> Sequenced:
    """Values of series 0, 1, 2, ... at `steps`."""
    values = np.array(columns, dtype=np.float64)
    return pack_frame(seq, np.array(steps, dtype=np.int64), range(len(columns)), values)
