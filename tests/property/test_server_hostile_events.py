"""Whatever a trainer puts into an event: it is refused, or it is stored, judged, shown and told; nothing breaks."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judge_world import done, new_judge
from lossguard.protocol import BadMessage
from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Event, Frame, Hello, Schema, SeriesSpec
from lossguard.protocol.numbers import dumps
from lossguard_server.errors import StreamError
from lossguard_server.services.broadcast import Broadcast
from lossguard_server.services.engine import Engine
from lossguard_server.services.ingest import Ingest
from lossguard_server.services.registry import Registry
from lossguard_server.services.restore import load_run
from lossguard_server.services.viewing.hub import Hub
from lossguard_server.services.views import run_view
from lossguard_server.store import alerts, events
from lossguard_server.store.points import Points
from store_world import Store, opened_store
from viewer_world import taken

KINDS = ("trip", "origin", "rollback", "detail", "freeze_frame", "nonfinite", "finish")
KEYS = (
    "to",
    "from",
    "text",
    "until",
    "level",
    "series",
    "module",
    "where",
    "component",
    "state",
    "id",
    "é\x00\U0001f600",
)
DEEP: Any = 1
for _ in range(40):
    DEEP = [DEEP]

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(max_size=20),
    st.integers(-2, 12), st.sampled_from(["full", "default", "x" * 100_000, DEEP, b"bytes", [], {}, -0.0, 5.0]),
)  # fmt: skip
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
datas = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
steps = st.one_of(st.integers(-2, 12), st.integers(-(1 << 63), (1 << 63) - 1))
rows = st.lists(st.sampled_from([1.0, 2.0, float("nan"), float("inf")]), min_size=1, max_size=3)
happenings = st.lists(st.one_of(rows, st.tuples(st.sampled_from(KINDS), steps, datas)), min_size=1, max_size=8)


class World:
    """Everything between the trainer's socket and the viewers', with the real rules."""

    def __init__(self, store: Store) -> None:
        self.store, clock = store, store.clock.of_services
        self.hub, registry = Hub(clock.monotonic_s, lambda delay_s, call: None), Registry(store.reading)
        self.told: list[dict[str, Any]] = []
        self.judge = new_judge(store, Engine(clock.wall_s), self.told)
        broadcast = Broadcast(
            self.hub, registry, clock, lambda run_id, size_bytes: self.judge.wake(run_id), self.judge.settle
        )
        self.ingest, self.runs = Ingest(store.writer, store.reading, registry, clock, broadcast), count()

    def wake(self, run_id: str, size_bytes: int) -> None:
        self.judge.wake(run_id)

    async def play(self, found: list[Any]) -> tuple[str, list[Event], list[dict[str, Any]]]:
        """The run, the events that were taken, and all that a viewer was sent."""
        run_id = f"r{next(self.runs)}"
        viewer, stream = self.hub.join(), await self.ingest.open(Hello(run=run_id, project="p", name="n"))
        self.hub.subscribe(viewer, run_id)
        stored, step, first = list[Event](), 0, Schema(seq=1, series=[SeriesSpec(0, "loss/total")])
        await self.ingest.commit(stream, [stream.state.check(first, encode(first))])
        for happening in found:
            seq = stream.last_seq + 1
            if isinstance(happening, list):
                message: Frame | Event = pack_frame(seq, np.arange(len(happening)) + step, [0], np.array([happening]))
                step += len(happening)
            else:
                kind, at, data = happening
                message = Event(seq=seq, kind=kind, step=at, data=data)
            try:
                payload = encode(message)
                checked = stream.state.check(decode_sequenced(payload), payload)
            except (StreamError, BadMessage):
                continue
            await self.ingest.commit(stream, [checked])
            stored += [checked.message] if isinstance(checked.message, Event) else []
        sent = taken(viewer)
        self.hub.leave(viewer)
        return run_id, stored, sent

    def settle(self) -> None:
        done(self.judge)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with opened_store(folder) as store:
        made = World(store)
        yield made
        made.judge.close()


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=happenings)
def test_any_event_is_refused_or_lived_with(world: World, caplog: pytest.LogCaptureFixture, found: list[Any]) -> None:
    caplog.clear()
    run_id, stored, sent = asyncio.run(world.play(found))
    world.settle()
    assert sent
    with world.store.reading() as session:
        listed, loaded = events.oldest_first(session, run_id), load_run(session, run_id)
        written = alerts.newest_first(session, run_id)
    assert [(event.step, event.kind) for event in listed] == [(event.step, event.kind) for event in stored]
    assert loaded is not None
    for shown in ([event.to_dict() for event in listed], written, run_view(loaded, 1.0, 1.0), world.told[-3:]):
        assert dumps(shown)
        msgspec.msgpack.encode(shown)
    points = Points(world.store.reading).query(run_id, ["loss/total"], None, None, None)
    assert points.last_step == (-1 if loaded.step is None else loaded.step)
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
