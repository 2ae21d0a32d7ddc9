"""Runs are deleted on request or by age, never under a connected trainer, in pieces, and with a trace."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lossguard_server.errors import DiskFull, RunBeingDeleted, RunConnected, UnknownRun
from lossguard_server.services import retention as module
from lossguard_server.services.registry import Registry
from lossguard_server.services.retention import LOOK_EVERY_S, Retention
from lossguard_server.store import audit, events, journal, runs
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.folded import folding
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

    def ids(self) -> set[str]:
        return {run.id for run in self.store.read(runs.newest_first)}

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
    run.connections[3] = 1  # any rank
    with pytest.raises(RunConnected):
        await world.service.delete("r1", "alice")
    await world.keeping(30 * DAY_S).tick()
    assert world.ids() == {"r1"}
    run.connections[3] = 0
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
