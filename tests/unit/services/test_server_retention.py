"""Runs are deleted on request or by age, never under a connected trainer, in pieces, and with a trace."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import text
from sqlmodel import Session

from lossguard.protocol.messages import Hello
from lossguard_server.errors import DiskFull, RunBeingDeleted, RunConnected, UnknownRun
from lossguard_server.services import retention as module
from lossguard_server.services.ingest import Ingest, OpenStream
from lossguard_server.services.registry import Registry
from lossguard_server.services.retention import LOOK_EVERY_S, Retention
from lossguard_server.store import audit, events, journal, runs
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.folded import folding
from lossguard_server.store.points import Points
from lossguard_server.store.upkeep import free_pages
from store_world import Store, frame, opened_store, schema

DAY_S = 86_400.0


class World:
    """A store with a service; `told` are the runs that others were told to forget."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.registry = Registry(store.reading)
        self.told: list[str] = []
        self.service = self.keeping(math.inf)
        self.ingest = Ingest(store.writer, store.reading, self.registry, store.clock.of_services, Mock())

    def keeping(self, keep_s: float) -> Retention:
        of = self.store
        return Retention(of.writer, of.reading, self.registry, of.clock.of_services, keep_s, self.told.append)

    def run(self, run: str, days_ago: float = 0.0, frames: int = 3) -> None:
        """A run with something in every table that points are in."""
        stream = self.store.stream(run)
        steps = [range(seq * 10, seq * 10 + 10) for seq in range(frames + 2)]
        self.store.append(stream, schema(1, "a"), *(frame(seq, steps[seq], steps[seq]) for seq in range(2, frames + 2)))
        self.store.write(lambda session: journal.set_judged(session, stream.id, 2))
        plan = self.store.read(lambda session: folding.plan(session, stream.id))
        assert plan is not None
        assert self.store.write(lambda session: folding.store(session, folding.fold(plan)))
        self.store.write(lambda session: events.add(session, run, StoredEvent(1, "gap", 0.0, {})))
        seen_s = self.store.clock.of_services.wall_s() - days_ago * DAY_S
        self.store.write(lambda session: runs.seen(session, {run: seen_s}))

    async def opened(self, run: str) -> OpenStream:
        """A trainer of the run connects."""
        return await self.ingest.open(Hello(run=run, project="p", name="n"))

    def ids(self) -> set[str]:
        return {run.id for run in self.store.read(runs.newest_first)}

    def stored(self) -> list[str]:
        return [run.id for run in self.store.read(lambda session: runs.newest_first(session, with_deleted=True))]

    def rows(self) -> dict[str, int]:
        tables = ("run", "stream", "journal", "part", "chunk", "summary", "event", "alert", "command")
        count = lambda table: text(f"SELECT count(*) FROM {table}")  # noqa: E731
        return self.store.read(lambda s: {t: s.connection().execute(count(t)).scalar_one() for t in tables})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened_store(tmp_path) as store:
        yield World(store)


async def test_a_run_is_deleted_wholly_and_others_are_not_touched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    world.run("kept")
    before = world.rows()
    world.run("gone", frames=9)
    await world.registry.find("gone")
    counts = await world.service.delete("gone", "alice")
    assert world.rows() == before
    assert (counts["run"], counts["journal"], counts["event"]) == (1, 9, 1)
    assert world.registry.peek("gone") is None
    assert set(world.told) == {"gone"}
    trail = world.store.read(lambda session: audit.newest_first(session, "gone"))
    assert [(entry["what"], entry["actor"]) for entry in trail] == [
        ("run deleted", "alice"),
        ("run deletion began", "alice"),
    ]
    assert trail[0]["detail"]["rows"] == counts
    with pytest.raises(UnknownRun):
        await world.service.delete("gone", "alice")


async def test_pieces_are_small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 3)
    world.run("gone", frames=40)
    sizes: list[int] = []
    real = runs.delete_some
    monkeypatch.setattr(runs, "delete_some", lambda *given: (done := real(*given), sizes.append(done[1]))[0])
    await world.service.delete("gone", "alice")
    assert max(sizes) == 3
    assert len(sizes) > 40 / 3


async def test_a_connected_run_is_refused_by_name(world: World) -> None:
    world.run("r1", days_ago=50)
    run = await world.registry.find("r1")
    run.opened(run.stored, 0, 3)  # any rank
    with pytest.raises(RunConnected):
        await world.service.delete("r1", "alice")
    await world.keeping(30 * DAY_S).tick()
    assert world.ids() == {"r1"}
    run.closed(0, 3)
    await world.service.delete("r1", "alice")
    assert world.ids() == set()


async def test_old_runs_go_and_nothing_goes_unless_asked_for(world: World) -> None:
    world.run("old", days_ago=31)
    world.run("young", days_ago=29)
    await world.service.tick()
    assert world.ids() == {"old", "young"}, "off by default"
    keeping = world.keeping(30 * DAY_S)
    await keeping.tick()
    assert world.ids() == {"young"}
    world.store.clock.now_s += 2 * DAY_S
    await keeping.tick()
    assert world.ids() == set(), "it looks again"
    world.run("later", days_ago=31)
    world.store.clock.now_s += LOOK_EVERY_S / 2
    await keeping.tick()
    assert world.ids() == {"later"}, "but not each second"


async def test_what_was_deleted_for_now_goes_when_nobody_wanted_it_back(world: World) -> None:
    for name in ("first", "later", "wanted"):
        world.run(name)
    delete = lambda name: world.store.write(  # noqa: E731
        lambda session: runs.say(session, name, deleted_s=world.store.clock.of_services.wall_s())
    )
    delete("first")
    world.store.clock.now_s += LOOK_EVERY_S
    delete("later")
    delete("wanted")
    await world.service.tick()
    assert set(world.stored()) == {"first", "later", "wanted"}
    world.store.clock.now_s += DAY_S - LOOK_EVERY_S / 2
    world.store.write(lambda session: runs.say(session, "wanted", deleted_s=None))
    await world.service.tick()
    assert set(world.stored()) == {"later", "wanted"}, "a day after each was deleted"
    world.store.clock.now_s += LOOK_EVERY_S
    await world.service.tick()
    assert set(world.stored()) == {"wanted"}
    trail = world.store.read(lambda session: audit.newest_first(session, "first"))
    assert [entry["what"] for entry in trail] == ["run deleted", "run deletion began"]


async def test_a_run_that_is_restored_just_before_it_would_go_stays(world: World) -> None:
    world.run("r1")
    world.store.write(lambda session: runs.say(session, "r1", deleted_s=5.0))
    real = world.service.delete

    async def restored_first(run_id: str, *given: Any) -> Any:
        world.store.write(lambda session: runs.say(session, run_id, deleted_s=None))
        return await real(run_id, *given)

    world.service.delete = restored_first  # type: ignore[method-assign]
    await world.service.tick()
    assert world.ids() == {"r1"}


async def test_what_a_process_that_died_has_left_is_gone_for_everybody_and_finished(world: World) -> None:
    world.run("half", frames=9)
    world.store.write(lambda session: runs.begin_delete(session, "half"))
    world.store.write(lambda session: runs.delete_some(session, "half", 1))
    assert world.ids() == set()
    with pytest.raises(UnknownRun):
        await world.registry.find("half")
    with pytest.raises(RunBeingDeleted):
        world.store.stream("half", attempt=1)
    await world.service.tick()
    assert set(world.rows().values()) == {0}
    world.store.stream("half")
    assert world.ids() == {"half"}, "a trainer that comes back finds a new run"


async def test_a_full_disk_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFull()

    world.run("old", days_ago=31)
    keeping = world.keeping(30 * DAY_S)
    monkeypatch.setattr(runs, "begin_delete", full)
    for _ in range(3):
        await keeping.tick()
        world.store.clock.now_s += LOOK_EVERY_S
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_the_room_of_deleted_runs_goes_back_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = world.store.stream("large")
    world.store.append(stream, schema(1, "a"))
    steps = range(20_000)
    world.store.append(stream, *(frame(seq, [step + seq * 20_000 for step in steps], steps) for seq in range(2, 52)))
    pages = lambda: world.store.read(lambda s: s.connection().exec_driver_sql("PRAGMA page_count").scalar_one())  # noqa: E731
    before = pages()
    assert world.store.write(free_pages.give_back) == 0, "nothing is free"
    await world.service.delete("large", "alice")
    assert pages() == before
    assert free_pages.STEP_PAGES <= world.store.write(free_pages.give_back) < 2 * free_pages.STEP_PAGES
    while world.store.write(free_pages.give_back):
        pass
    assert pages() < 2 * free_pages.STEP_PAGES < before


async def test_a_trainer_that_tries_again_all_the_time_keeps_what_it_brings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused while its run is deleted, and may open it as soon as the last row is gone."""
    monkeypatch.setattr(module, "ROWS", 2)
    world.run("r1")
    opened: list[OpenStream] = []
    write = world.service._records.write

    async def and_then(operation: Callable[[Session], Any]) -> Any:
        result = await write(operation)
        if not opened:
            with suppress(RunBeingDeleted):
                opened.append(await world.opened("r1"))
                trail = world.store.read(lambda session: audit.newest_first(session, "r1"))
                assert trail[0]["what"] == "run deleted", "in the last piece's transaction"
        return result

    monkeypatch.setattr(world.service._records, "write", and_then)
    await world.service.delete("r1", "alice")
    assert [head.id for head in world.store.read(lambda s: journal.streams(s, "r1"))] == [opened[0].state.id]
    assert world.registry.peek("r1") is opened[0].run, "not forgotten after it began anew"
    with pytest.raises(RunConnected):
        await world.service.delete("r1", "alice")


async def test_nothing_is_deleted_of_a_run_that_is_not_marked(world: World) -> None:
    world.run("r1")
    before = world.rows()
    assert world.store.write(lambda session: runs.delete_some(session, "r1", 100)) == ("", 0)
    assert not world.store.write(lambda session: runs.end_delete(session, "r1"))
    assert world.rows() == before


async def test_a_trainer_that_is_just_connecting_counts_as_connected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("r1")
    may_go_on, read = threading.Event(), world.ingest._schemas
    monkeypatch.setattr(world.ingest, "_schemas", lambda number: (may_go_on.wait(10), read(number))[1])
    opening = asyncio.create_task(world.opened("r1"))
    await asyncio.sleep(0)
    try:
        with pytest.raises(RunConnected):
            await world.service.delete("r1", "alice")
    finally:
        may_go_on.set()
    world.ingest.close(await opening)
    await world.service.delete("r1", "alice")


async def test_a_trainer_that_gave_up_while_connecting_counts_no_more(world: World) -> None:
    world.run("r1")
    opening = asyncio.create_task(world.opened("r1"))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await world.service.delete("r1", "alice")
    assert world.ids() == set()


async def test_the_end_of_a_run_that_is_stored_late_does_not_undo_its_deletion(world: World) -> None:
    world.run("r1")
    world.store.write(lambda session: runs.begin_delete(session, "r1"))
    assert not world.store.write(lambda session: runs.finish(session, "r1", 0, "finished"))
    assert world.store.read(runs.being_deleted) == ["r1"]


async def test_the_hourly_look_leaves_a_deletion_alone_that_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("r1")
    write, looked = world.service._records.write, list[bool]()

    async def and_look(operation: Callable[[Session], Any]) -> Any:
        result = await write(operation)
        if not looked:
            looked.append(True)
            await world.service._look()
            with pytest.raises(UnknownRun):
                await world.service.delete("r1", "bob")
        return result

    monkeypatch.setattr(world.service._records, "write", and_look)
    counts = await world.service.delete("r1", "alice")
    assert (counts["run"], counts["stream"]) == (1, 1), "all of it is counted, by whom it was asked of"


async def test_a_look_that_comes_late_forgets_nothing_of_a_run_that_began_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("r1")

    async def read_before(query: Callable[[Session], Any]) -> list[str]:
        return ["r1"] if query is runs.being_deleted else []

    monkeypatch.setattr(world.service._records, "read", read_before)
    opened = await world.opened("r1")
    await world.service.tick()
    assert world.registry.peek("r1") is opened.run


async def test_a_run_that_was_read_just_before_it_was_deleted_is_not_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("r1")
    load, was_read, may_go_on = world.registry._load, threading.Event(), threading.Event()

    def late(run_id: str) -> Any:
        found = load(run_id)
        if not was_read.is_set():
            was_read.set()
            may_go_on.wait(10)
        return found

    monkeypatch.setattr(world.registry, "_load", late)
    finding = asyncio.create_task(world.registry.find("r1"))
    await asyncio.to_thread(was_read.wait, 10)
    await world.service.delete("r1", "alice")
    may_go_on.set()
    with pytest.raises(UnknownRun):
        await finding
    assert world.registry.peek("r1") is None


async def test_the_list_of_runs_leaves_out_one_that_is_deleted_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("r1")
    monkeypatch.setattr(world.registry, "_ids", lambda with_deleted: ["gone", "r1"])
    assert [run.id for run in await world.registry.newest_first()] == ["r1"]


async def test_what_was_made_of_a_deleted_run_does_not_land_in_the_next(world: World) -> None:
    """The folder and the judge work on what they have read a while ago."""
    stream = world.store.stream("old")
    world.store.append(stream, schema(1, "a"), frame(2, range(5), range(5)))
    world.store.write(lambda session: journal.set_judged(session, stream.id, 2))
    plan = world.store.read(lambda session: folding.plan(session, stream.id))
    assert plan is not None
    await world.service.delete("old", "alice")
    new = world.store.stream("new")
    world.store.append(new, schema(1, "a"), frame(2, range(9), range(9)))
    assert not world.store.write(lambda session: folding.store(session, folding.fold(plan)))
    world.store.write(lambda session: journal.set_judged(session, stream.id, 2))
    head = world.store.stream("new")
    assert (head.folded_seq, head.judged_seq) == (0, 0)


def test_stream_numbers_are_not_given_again_and_fit_into_a_double(world: World) -> None:
    numbers = {world.store.stream("r1", attempt=attempt).id for attempt in range(20)}
    assert len(numbers) == 20
    assert 1 << 40 < max(numbers) < 1 << 53


def test_nothing_is_judged_or_folded_that_is_not_there(world: World) -> None:
    stream = world.store.stream("r1")
    world.store.append(stream, schema(1, "a"))
    world.store.write(lambda session: journal.set_judged(session, stream.id, 2))
    assert not world.store.write(lambda session: journal.set_folded(session, stream.id, 0, 2))
    head = world.store.stream("r1")
    assert (head.folded_seq, head.judged_seq) == (0, 0)


async def test_of_the_points_of_a_deleted_run_nothing_stays_in_memory(world: World) -> None:
    world.run("r1")
    points = Points(world.store.reading)
    assert [extent.name for extent in points.extents("r1")] == ["a"]
    points.forget("r1")
    points.forget("never looked at")
    assert not points._runs
