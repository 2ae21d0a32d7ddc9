"""Viewers learn of a run's state although nothing comes any more; the rules learn that it has fallen silent."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lossguard.protocol.messages import Heartbeat
from lossguard_server.services.broadcast import Broadcast
from lossguard_server.services.live import LiveRun
from lossguard_server.services.registry import Registry
from lossguard_server.services.viewing.hub import Hub
from lossguard_server.services.viewing.mailbox import Mailbox
from lossguard_server.store.rows import Rows
from store_world import Store, opened_store


class World:
    """A run in memory, a viewer, and a clock."""

    def __init__(self, store: Store) -> None:
        self.clock = store.clock
        self.hub = Hub(self.clock.of_services.monotonic_s, lambda delay_s, call: None)
        self.registry = registry = Registry(store.reading)
        self.settled: list[str] = []
        wake = lambda run_id, size_bytes: None  # noqa: E731
        self.broadcast = Broadcast(self.hub, registry, self.clock.of_services, wake, self.settled.append)
        store.stream("r1")
        self.run: LiveRun = asyncio.run(registry.find("r1"))
        self.viewer: Mailbox = self.hub.join()

    def told(self) -> list[str]:
        """The states that the viewer was told since the last look."""
        found = [msgspec.msgpack.decode(message)["run"]["state"] for message in self.viewer._runs.values()]
        self.viewer._runs.clear()
        return found

    def turn(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.broadcast.tick()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened_store(tmp_path) as store:
        yield World(store)


def test_a_run_that_moves_is_told_once_a_second_and_one_that_rests_is_not(world: World) -> None:
    world.run.opened(world.run.stored, 0, 0)
    world.run.beat(Heartbeat(state="running", step=0), world.clock.now_s)
    for _ in range(3):
        world.turn(1.0)
        assert world.told() == ["waiting"]
    world.run.closed(0, 0)
    world.turn(1.0)
    assert world.told() == []


def test_a_lost_run_is_told_though_nothing_came(world: World) -> None:
    world.run.opened(world.run.stored, 0, 0)
    world.run.beat(Heartbeat(state="running", step=0), world.clock.now_s)
    world.broadcast.run(world.run)
    world.run.closed(0, 0)
    assert world.told() == ["waiting"]
    world.turn(9.0)
    assert world.told() == []
    world.turn(2.0)
    assert world.told() == ["lost"]
    world.turn(1.0)
    assert world.told() == []


def test_the_rules_are_told_once_that_a_run_is_silent(world: World) -> None:
    for _ in range(2):
        world.run.observe(Rows(np.array([1]), ("a",), np.array([[1.0]])), world.clock.now_s)
        world.turn(1.0)
        assert world.settled == []
        world.turn(1.5)
        world.turn(5.0)
        assert world.settled == ["r1"]
        world.settled.clear()


def test_an_alert_changes_the_health_that_is_told(world: World) -> None:
    alert = {"id": "a", "run": "r1", "severity": "critical", "state": "firing"}
    world.hub.subscribe(world.viewer, "r1")
    world.broadcast.alert(alert)
    assert world.run.alerts == {"a": ("critical", "firing")}
    assert [msgspec.msgpack.decode(message)["type"] for _, message in world.viewer._notices] == ["alert"]
    world.broadcast.alert({**alert, "run": "not loaded"})


def test_of_a_deleted_run_nothing_is_kept_and_nothing_told(world: World) -> None:
    world.run.observe(Rows(np.array([1]), ("a",), np.array([[1.0]])), world.clock.now_s)
    world.turn(5.0)
    world.told()
    world.registry.forget("r1")
    world.broadcast.forget("r1")
    world.broadcast.run(world.run)  # a commit that was under way when its trainer left
    assert world.told() == []
    assert (world.broadcast._states, world.broadcast._settled_at_s) == ({}, {})
