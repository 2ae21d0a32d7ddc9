"""What viewers are told when a run goes back: by a rollback, or because a newer attempt takes its steps over."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossguard.protocol.codec import encode
from lossguard.protocol.messages import Hello, Sequenced
from lossguard_server.services.ingest import Ingest
from lossguard_server.services.live import LiveRun
from lossguard_server.services.registry import Registry
from lossguard_server.store import journal
from lossguard_server.store.rows import Rows
from store_world import Store, frame, opened_store, rollback, schema


class Audience:
    """Notes what is told, with the run's step and total as they are then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, float | None]] = []

    def points(self, run: LiveRun, rows: Rows) -> None:
        self._note("points", run)

    def rewound(self, run: LiveRun) -> None:
        self._note("rewound", run)

    def event(self, run: LiveRun, event: dict[str, Any]) -> None: ...
    def command(self, command: dict[str, Any]) -> None: ...
    def declaration(self, run: LiveRun) -> None: ...
    def run(self, run: LiveRun) -> None: ...
    def committed(self, run: LiveRun, size_bytes: int) -> None: ...

    def _note(self, what: str, run: LiveRun) -> None:
        self.told.append((what, run.step, run.values.get("loss/total")))


async def committed(store: Store, *batches: Sequence[Sequenced]) -> Audience:
    audience, registry = Audience(), Registry(store.reading)
    ingest = Ingest(store.writer, store.reading, registry, store.clock.of_services, audience)
    stream = await ingest.open(Hello(run="r1", project="p", name="n"))
    for batch in batches:
        await ingest.commit(stream, [stream.state.check(message, encode(message)) for message in batch])
    return audience


def test_each_part_of_a_batch_is_told_as_it_was(tmp_path: Path) -> None:
    first = [schema(1, "loss/total"), frame(2, range(5), [0.0, 1.0, 2.0, 3.0, 4.0])]
    second = [
        rollback(3, 5, 3),
        frame(4, [3, 4], [13.0, 14.0]),
        rollback(5, 5, 4),
        rollback(6, 4, 0),
        frame(7, [0], [20.0]),
    ]
    with opened_store(tmp_path) as store:
        audience = asyncio.run(committed(store, first, second))
    assert audience.told == [
        ("points", 4, 4.0),
        ("rewound", 2, 2.0),
        ("points", 4, 14.0),
        ("rewound", 3, 13.0),
        ("rewound", None, None),
        ("points", 0, 20.0),
    ]


ATTEMPT = [schema(1, "loss/total"), frame(2, [0, 1], [0.0, 1.0]), frame(3, [2, 3], [2.0, 3.0])]


async def attempts(store: Store, numbers: Sequence[int]) -> list[tuple[str, int | None, float | None]]:
    """Each attempt's stream is opened, filled and closed, in that order."""
    audience, registry = Audience(), Registry(store.reading)
    ingest = Ingest(store.writer, store.reading, registry, store.clock.of_services, audience)
    for number in numbers:
        stream = await ingest.open(Hello(run="r1", project="p", name="n", attempt=number))
        first = stream.last_seq
        for message in ATTEMPT[first:]:
            await ingest.commit(stream, [stream.state.check(message, encode(message))])
        ingest.close(stream)
    return audience.told


def test_a_newer_attempt_takes_its_steps_over_once(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        told = asyncio.run(attempts(store, [0, 1]))
    assert [what for what, _, _ in told] == ["points", "points", "rewound", "points", "points"]


def test_what_an_older_attempt_brings_late_is_loaded_and_not_streamed(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        told = asyncio.run(attempts(store, [1, 0]))
    assert told == [("rewound", None, None), ("points", 1, 1.0), ("points", 3, 3.0), ("rewound", 3, 3.0)]


def test_the_first_total_of_an_attempt_is_kept_with_its_stream(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        asyncio.run(attempts(store, [0]))
        [head] = store.read(lambda session: journal.streams(session, "r1"))
    assert head.begins_step == 0
