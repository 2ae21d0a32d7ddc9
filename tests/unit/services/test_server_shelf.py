"""Runs are named, tagged, put away, deleted for now and brought back, each with its line in the audit trail."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lossguard.protocol.messages import Hello
from lossguard_server.errors import BadRunChange, RunConnected, UnknownRun
from lossguard_server.services.broadcast import Broadcast
from lossguard_server.services.ingest import Ingest
from lossguard_server.services.registry import Registry
from lossguard_server.services.shelf import LABEL_MAX, NOTE_MAX, TAG_MAX, TAGS_MAX, Shelf, checked
from lossguard_server.store import audit, runs
from store_world import Store, opened_store


class World:
    """A store with the run `r1` and a shelf; `told` are runs that viewers were shown, `hidden` those they lost."""

    def __init__(self, store: Store) -> None:
        self.store, self.told, self.hidden = store, list[str](), list[str]()
        self.registry, clock = Registry(store.reading), store.clock.of_services
        self.shelf = Shelf(
            store.writer, store.reading, self.registry, clock, lambda run: self.told.append(run.id), self.hidden.append
        )
        self.ingest = Ingest(store.writer, store.reading, self.registry, clock, Mock())
        store.stream("r1")

    def trail(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Oldest first."""
        found = self.store.read(lambda session: audit.newest_first(session, "r1"))
        return [(entry["actor"], entry["what"], entry["detail"]) for entry in reversed(found)]

    def stored(self) -> runs.StoredRun:
        (run,) = self.store.read(lambda session: runs.newest_first(session, with_deleted=True))
        return run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened_store(tmp_path) as store:
        yield World(store)


async def test_what_is_said_of_a_run_stays_and_the_rest_of_it_too(world: World) -> None:
    run = await world.shelf.change("r1", {"label": " best ", "tags": ["a", " b ", "a"]}, "alice")
    assert (run.stored.label, run.stored.tags) == ("best", ("a", "b"))
    run = await world.shelf.change("r1", {"note": "two\nlines", "archived": True}, "bob")
    assert world.stored() == run.stored
    assert (run.stored.label, run.stored.note, run.stored.tags) == ("best", "two\nlines", ("a", "b"))
    assert run.stored.archived_s == world.store.clock.of_services.wall_s()
    run = await world.shelf.change("r1", {"label": "", "archived": False}, "bob")
    assert (run.stored.label, run.stored.archived_s) == ("", None)
    assert world.trail() == [
        ("alice", "run changed", {"label": ["", "best"], "tags": [[], ["a", "b"]]}),
        ("bob", "run changed", {"note": ["", "two\nlines"], "archived": [False, True]}),
        ("bob", "run changed", {"label": ["best", ""], "archived": [True, False]}),
    ]
    assert world.told == ["r1"] * 3


async def test_what_changes_nothing_leaves_no_trace(world: World) -> None:
    first = await world.shelf.change("r1", {"archived": True, "label": "x"}, "alice")
    before = first.stored
    world.store.clock.now_s += 60
    run = await world.shelf.change("r1", {"archived": True, "label": "x"}, "bob")
    assert run.stored == before
    assert (await world.shelf.change("r1", {}, "bob")).stored == before
    assert len(world.trail()) == 1


@pytest.mark.parametrize(
    ("said", "what", "hint"),
    [
        ({"label": "x" * (LABEL_MAX + 1)}, "`label` has 201 characters, at most 200", "Shorten it"),
        ({"label": "two\nlines"}, "`label` holds a line break", "Leave it out"),
        ({"label": "half \ud800"}, "`label` is not valid Unicode", "UTF-8"),
        ({"note": "x" * (NOTE_MAX + 1)}, "`note` has 4001 characters, at most 4000", "Shorten it"),
        ({"note": "a\0b"}, "`note` holds a NUL", "Leave it out"),
        ({"tags": [str(n) for n in range(TAGS_MAX + 1)]}, "`tags` has 21 tags; a run has at most 20", "Take some"),
        ({"tags": ["ok", "x" * (TAG_MAX + 1)]}, r"`tags\[1\]` has 51 characters, at most 50", "Shorten it"),
        ({"tags": ["ok", "  "]}, "empty tag at place 1", "Leave it out"),
        ({"tags": ["a\tb"]}, r"`tags\[0\]` holds a line break or another", "Leave it out"),
    ],
)
def test_a_refusal_says_what_where_and_what_to_do(said: dict[str, Any], what: str, hint: str) -> None:
    with pytest.raises(BadRunChange, match=what) as refused:
        checked(said)
    assert hint in refused.value.hint


def test_what_just_fits_is_taken() -> None:
    said = {"label": "é" * LABEL_MAX, "note": "x" * NOTE_MAX, "tags": [f"{n:050}" for n in range(TAGS_MAX)]}
    assert checked(said)["tags"] == tuple(said["tags"])
    assert checked({"archived": False}) == {"archived": False}


async def test_a_deleted_run_is_hidden_and_comes_back_as_it_was(world: World) -> None:
    await world.shelf.change("r1", {"label": "best"}, "alice")
    deleted = await world.shelf.delete("r1", "alice")
    first_s = deleted.stored.deleted_s
    assert first_s == world.store.clock.of_services.wall_s()
    assert await world.registry.newest_first() == []
    assert await world.registry.newest_first(deleted=True) == [deleted]
    world.store.clock.now_s += 60
    assert (await world.shelf.delete("r1", "bob")).stored.deleted_s == first_s, "once"
    back = await world.shelf.restore("r1", "bob")
    assert (back.stored.deleted_s, back.stored.label) == (None, "best")
    assert [run.id for run in await world.registry.newest_first()] == ["r1"]
    assert await world.registry.newest_first(deleted=True) == []
    await world.shelf.restore("r1", "bob")
    assert world.trail()[1:] == [
        ("alice", "run deleted for now", {}),
        ("bob", "run restored", {"deleted_s": first_s}),
    ]
    assert (world.hidden, world.told) == (["r1", "r1"], ["r1", "r1", "r1"])


async def test_viewers_are_not_told_of_a_deleted_run(world: World) -> None:
    hub = Mock()
    broadcast = Broadcast(hub, world.registry, world.store.clock.of_services, Mock(), Mock())
    broadcast.run(await world.shelf.delete("r1", "alice"))
    hub.run.assert_not_called()
    broadcast.run(await world.shelf.restore("r1", "alice"))
    hub.run.assert_called_once()


async def test_nothing_is_said_of_a_run_that_is_not_there(world: World) -> None:
    for asked in (
        world.shelf.change("r2", {"label": "x"}, "alice"),
        world.shelf.delete("r2", "alice"),
        world.shelf.restore("r2", "alice"),
    ):
        with pytest.raises(UnknownRun):
            await asked
    await world.registry.find("r1")
    world.store.write(lambda session: runs.begin_delete(session, "r1"))
    with pytest.raises(UnknownRun):
        await world.shelf.change("r1", {"label": "x"}, "alice")


async def test_a_connected_run_is_not_deleted_and_a_trainer_that_comes_back_restores_it(world: World) -> None:
    hello = Hello(run="r1", project="p", name="n")
    stream = await world.ingest.open(hello)
    with pytest.raises(RunConnected):
        await world.shelf.delete("r1", "alice")
    world.ingest.close(stream)
    await world.shelf.delete("r1", "alice")
    stream = await world.ingest.open(hello)
    assert stream.run.stored.deleted_s is None
    assert world.stored().deleted_s is None
    assert world.trail()[-1] == ("trainer", "run restored", {"why": "Its trainer connected."})
    world.ingest.close(stream)


async def test_a_trainer_that_connects_while_the_run_is_deleted_gets_it_back(world: World) -> None:
    await world.registry.find("r1")
    deleting = asyncio.create_task(world.shelf.delete("r1", "alice"))
    await asyncio.sleep(0)  # its transaction is in the writer's queue
    stream = await world.ingest.open(Hello(run="r1", project="p", name="n"))
    await deleting
    assert (stream.run.stored.deleted_s, world.stored().deleted_s) == (None, None)


async def test_a_label_given_while_a_trainer_connects_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the connection read of the run is older than the label by the time that it takes effect."""
    real = world.ingest._schemas

    def slow(number: int) -> Any:
        asyncio.run_coroutine_threadsafe(world.shelf.change("r1", {"label": "new"}, "alice"), loop).result(10)
        return real(number)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(world.ingest, "_schemas", slow)
    stream = await world.ingest.open(Hello(run="r1", project="p", name="n"))
    assert stream.run.stored.label == "new"
