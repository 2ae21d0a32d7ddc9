"""Viewers get what they asked for, as fast as they read it, and never hold anybody up."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from lossguard_server.services import hub as hub_module
from lossguard_server.services import mailbox as mailbox_module
from lossguard_server.services.hub import Hub, points_message
from lossguard_server.services.mailbox import Mailbox
from lossguard_server.store.rows import Rows


class Timers:
    """Time that a test turns, and the callbacks that wait for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.waiting.append((self.now_s + delay_s, call))

    def turn(self, seconds: float) -> None:
        self.now_s += seconds
        due = [call for at_s, call in self.waiting if at_s <= self.now_s + 1e-9]
        self.waiting = [entry for entry in self.waiting if entry[0] > self.now_s + 1e-9]
        for call in due:
            call()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def hub(timers: Timers) -> Hub:
    return Hub(lambda: timers.now_s, timers.later)


def rows(first: int, n: int = 1, names: tuple[str, ...] = ("a",)) -> Rows:
    return Rows(np.arange(first, first + n), names, np.full((len(names), n), 1.5))


async def taken(mailbox: Mailbox) -> list[dict[str, Any]]:
    waiting = await asyncio.wait_for(mailbox.take(), 1)
    return [msgspec.msgpack.decode(message) for message in waiting]


async def test_points_go_to_those_who_watch_the_run(hub: Hub) -> None:
    watching, elsewhere, nowhere = hub.join(), hub.join(), hub.join()
    watching.subscribe("r1")
    elsewhere.subscribe("r2")
    hub.points("r1", rows(0, 3))
    hub.notice("r2", {"type": "event"})
    hub.run({"id": "r1"})
    found = await taken(watching)
    assert [message["type"] for message in found] == ["run", "points"]
    assert np.frombuffer(found[1]["steps"]).tolist() == [0.0, 1.0, 2.0]
    assert np.frombuffer(found[1]["values"]).tolist() == [1.5, 1.5, 1.5]
    assert [message["type"] for message in await taken(elsewhere)] == ["event", "run"]
    assert [message["type"] for message in await taken(nowhere)] == ["run"]


async def test_points_leave_at_most_thirty_times_a_second(hub: Hub, timers: Timers) -> None:
    viewer = hub.join()
    viewer.subscribe("r1")
    departures = 0
    for step in range(1_000):
        hub.points("r1", rows(step))
        timers.turn(0.001)
        if viewer._points:
            departures += len(await taken(viewer))
    assert 28 <= departures <= 32


async def test_the_first_point_of_a_quiet_run_leaves_at_once_and_none_is_lost(hub: Hub, timers: Timers) -> None:
    viewer = hub.join()
    viewer.subscribe("r1")
    hub.points("r1", rows(0))
    assert [message["n"] for message in await taken(viewer)] == [1]
    for step in range(1, 5):
        hub.points("r1", rows(step))
    assert not viewer._points
    timers.turn(0.04)
    assert [np.frombuffer(m["steps"]).tolist() for m in await taken(viewer)] == [[1.0, 2.0, 3.0, 4.0]]


async def test_a_viewer_that_falls_behind_loads_again(
    hub: Hub, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "MAX_POINTS_BYTES", 1_000)
    slow, quick = hub.join(), hub.join()
    slow.subscribe("r1")
    quick.subscribe("r1")
    got = 0
    for step in range(0, 100, 10):
        hub.points("r1", rows(step, 10))
        timers.turn(1.0)
        got += sum(message["n"] for message in await taken(quick))
    assert got == 100, "the slow one costs the quick one nothing"
    kinds = [message["type"] for message in await taken(slow)]
    assert kinds[0] == "resync"
    assert sum(len(message) for message in slow._points) == 0
    hub.points("r1", rows(100))
    assert [message["type"] for message in await taken(slow)] == ["points"]


async def test_more_than_a_chart_can_take_is_a_resync(
    hub: Hub, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_GATHERED_POINTS", 100)
    viewer = hub.join()
    viewer.subscribe("r1")
    hub.points("r1", rows(0))
    await taken(viewer)
    for step in range(1, 200, 50):
        hub.points("r1", rows(step, 50))
    timers.turn(1.0)
    assert [message["type"] for message in await taken(viewer)] == ["resync"]


async def test_alerts_are_never_dropped_the_viewer_is(hub: Hub) -> None:
    viewer = hub.join()
    viewer.subscribe("r1")
    for number in range(mailbox_module.MAX_NOTICES):
        hub.notice("r1", {"type": "alert", "number": number})
    assert [message["number"] for message in await taken(viewer)] == list(range(mailbox_module.MAX_NOTICES))
    for number in range(mailbox_module.MAX_NOTICES + 1):
        hub.notice("r1", {"type": "alert", "number": number})
    assert await taken(viewer) == [], "too slow: its connection is closed"


async def test_views_of_runs_are_conflated(hub: Hub) -> None:
    viewer = hub.join()
    for step in range(1_000):
        hub.run({"id": f"r{step % 2}", "step": step})
    assert [message["run"]["step"] for message in await taken(viewer)] == [998, 999]


async def test_a_new_subscription_drops_the_old_points(hub: Hub, timers: Timers) -> None:
    viewer = hub.join()
    viewer.subscribe("r1")
    hub.points("r1", rows(0))
    viewer.subscribe("r2")
    hub.points("r2", rows(5))
    assert [message["run"] for message in await taken(viewer)] == ["r2"]
    hub.leave(viewer)
    hub.points("r2", rows(6))
    assert not viewer._points


def test_columns_keep_their_order() -> None:
    found = Rows(np.array([1, 2]), ("a", "b"), np.array([[1.0, 2.0], [3.0, 4.0]])[:, ::-1])
    message = msgspec.msgpack.decode(points_message("r", found))
    assert np.frombuffer(message["values"]).reshape(2, 2).tolist() == [[2.0, 1.0], [4.0, 3.0]]
