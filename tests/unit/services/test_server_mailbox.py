"""A viewer that reads slowly, or not at all, sees what is newest, holds little, and costs nobody anything."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

from lossguard_server.services.viewing import mailbox as mailbox_module
from lossguard_server.services.viewing.mailbox import MAX_NOTICES, MAX_POINTS_BYTES, Mailbox
from lossguard_server.services.viewing.pace import LONGEST_RESYNC_S, RESYNC_S, SLOWEST_S, Pace
from viewer_world import Timers, kinds, rows, steps, taken

NAMES = tuple(f"series.{index}" for index in range(100))


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "MAX_POINTS_BYTES", 1_000)


def train(timers: Timers, first: int, last: int) -> None:
    for step in range(first, last):
        timers.hub.points("r1", rows(step, value=step))
        timers.turn(0.05)


@pytest.mark.usefixtures("small")
def test_a_viewer_that_falls_behind_sees_the_newest_and_then_loads_again(timers: Timers) -> None:
    slow, quick = timers.viewer("r1"), timers.viewer("r1")
    got: list[dict[str, Any]] = []
    for step in range(100):
        train(timers, step, step + 1)
        got += taken(quick)
    assert steps(got) == list(range(100)), "the slow one costs the quick one nothing"
    found = taken(slow)
    assert kinds(found) == ["points", "resync"]
    assert (found[0]["conflated"], np.frombuffer(found[0]["values"]).tolist()) == (True, [99.0])
    train(timers, 100, 101)
    assert steps(taken(slow)) == [100]


@pytest.mark.usefixtures("small")
def test_the_newest_value_of_each_series_is_told_once(timers: Timers) -> None:
    viewer = timers.viewer("r1", series=frozenset({"a", "b", "c"}))
    for step in range(50):
        timers.hub.points("r1", rows(step, names=("a", "b", "hidden"), value=step))
        timers.turn(0.05)
        timers.hub.points("r1", rows(step, names=("b", "c"), value=step + 0.5))
        timers.turn(0.05)
    conflated = taken(viewer)[:-1]
    newest = {
        name: value
        for message in conflated
        for name, value in zip(message["series"], np.frombuffer(message["values"]).tolist(), strict=True)
    }
    assert newest == {"a": 49.0, "b": 49.5, "c": 49.5}
    assert sum(len(message["series"]) for message in conflated) == 3


@pytest.mark.usefixtures("small")
def test_the_cursor_does_not_pass_what_was_dropped(timers: Timers) -> None:
    """The line breaks before the resync: all that was dropped is still held, so nothing need be loaded."""
    slow = timers.viewer("r1")
    train(timers, 0, 3)
    before = taken(slow)
    train(timers, 3, 60)
    timers.hub.notice("r1", {"type": "alert"})
    alert, newest = slow.next(), slow.next()
    assert alert is not None
    assert newest is not None
    for message in (alert, newest):
        again = timers.hub.join()
        timers.hub.subscribe(again, "r1", cursor=msgspec.msgpack.decode(message)["cursor"])
        assert steps(before) + steps(taken(again)) == list(range(60))


def test_a_mailbox_is_bounded_and_its_limit_is_a_mebibyte(timers: Timers) -> None:
    frozen = timers.viewer("r1")
    most = 0
    for step in range(0, 40_000, 100):
        timers.hub.points("r1", rows(step, 100, NAMES))
        timers.turn(0.05)
        most = max(most, frozen._points_bytes)
    assert MAX_POINTS_BYTES / 2 < most <= MAX_POINTS_BYTES == 1 << 20
    assert (frozen._points_bytes, len(frozen._points)) == (0, 0)


@pytest.mark.usefixtures("small")
def test_a_viewer_that_never_catches_up_is_not_told_to_load(timers: Timers) -> None:
    """Each send takes 0.3 s: it is served once a second at last, with the newest values."""
    viewer, found = timers.viewer("r1"), []
    for step in range(0, 3_000, 3):
        train(timers, step, step + 3)
        viewer.measure()
        if (message := viewer.next()) is not None:
            found.append((timers.now_s, msgspec.msgpack.decode(message)))
            viewer._handed_out_at_s = timers.now_s
            timers.turn(0.3)
    late = [(at_s, message) for at_s, message in found if at_s > 20]
    assert kinds([message for _, message in late]) == ["points"] * len(late)
    gaps_s = np.diff([at_s for at_s, _ in late])
    assert gaps_s.min() >= SLOWEST_S
    assert gaps_s.max() < 2.0


def send_slowly(timers: Timers, viewer: Mailbox, took_s: float) -> dict[str, Any] | None:
    """The next message, which takes that long to go out."""
    viewer.measure()
    if (message := viewer.next()) is None:
        return None
    viewer._handed_out_at_s = timers.now_s
    timers.turn(took_s)
    viewer.measure()
    return dict(msgspec.msgpack.decode(message))


def test_a_viewer_whose_sends_take_long_rests_between_them_but_not_from_alerts(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    train(timers, 0, 10)
    for rest_s in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        assert send_slowly(timers, viewer, 0.2) is not None
        timers.turn(rest_s - 0.01)
        assert viewer.next() is None
        timers.turn(0.01)
    assert send_slowly(timers, viewer, 0.2) is not None
    timers.hub.notice("r1", {"type": "alert"})
    assert (send_slowly(timers, viewer, 0.0) or {})["type"] == "alert"


@pytest.mark.usefixtures("small")
def test_a_slow_viewer_of_a_run_that_fell_silent_is_told_to_load_in_the_end(timers: Timers) -> None:
    viewer, found = timers.viewer("r1"), []
    step = 0
    while step < 600 or found[-1] is None:  # it ends right behind a slow send
        train(timers, step, step + 3)
        found.append(send_slowly(timers, viewer, 0.3))
        step += 3
    told = [message for message in found if message is not None]
    assert "resync" not in kinds(told)
    assert told[-1]["conflated"]
    after = []
    for _ in range(30):
        timers.turn(0.1)
        after.append(send_slowly(timers, viewer, 0.0))
    early, late = ([message for message in part if message is not None] for part in (after[:15], after[15:]))
    assert "resync" not in kinds(early), "not while it may still be reading"
    assert kinds(late)[-1] == "resync"


@pytest.mark.usefixtures("small")
def test_resyncs_never_become_a_loop(timers: Timers) -> None:
    """A viewer that reads quickly once a second, of a run that fills its mailbox in less."""
    viewer, told_at_s = timers.viewer("r1"), []
    for step in range(0, 24_000, 20):
        train(timers, step, step + 20)
        told_at_s += [timers.now_s] * kinds(taken(viewer)).count("resync")
    gaps_s = np.diff(told_at_s)
    assert gaps_s[0] >= RESYNC_S
    assert 0.9 * LONGEST_RESYNC_S < gaps_s[-1] < 1.2 * LONGEST_RESYNC_S
    assert (np.diff(gaps_s) > -2).all(), "each is later than the last"


@pytest.mark.usefixtures("small")
def test_a_rollback_is_told_though_a_resync_was_told_just_now(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    train(timers, 0, 100)
    assert kinds(taken(viewer)) == ["points", "resync"]
    timers.hub.reload("r1")
    timers.hub.reload("r1")
    assert kinds(taken(viewer)) == ["resync"]


def test_alerts_overtake_points_and_their_cursors_say_so(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    train(timers, 0, 5)
    timers.hub.notice("r1", {"type": "alert"})
    message = viewer.next()
    assert message is not None
    alert = msgspec.msgpack.decode(message)
    assert alert["type"] == "alert"
    again = timers.hub.join()
    timers.hub.subscribe(again, "r1", cursor=alert["cursor"])
    assert (steps(found := taken(again)), kinds(found).count("alert")) == ([0, 1, 2, 3, 4], 0)


def test_alerts_are_never_dropped_the_viewer_is(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    for number in range(MAX_NOTICES):
        timers.hub.notice("r1", {"type": "alert", "number": number})
    assert [message["number"] for message in taken(viewer)] == list(range(MAX_NOTICES))
    for number in range(MAX_NOTICES + 1):
        timers.hub.notice("r1", {"type": "alert", "number": number})
    assert asyncio.run(viewer.take()) is None, "too slow: its connection is closed"


def test_few_notices_may_be_too_many_by_their_size(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    for _ in range(5):
        timers.hub.notice("r1", {"type": "event", "event": "x" * (1 << 20)})
    assert viewer.is_too_slow


def test_views_of_runs_are_conflated(timers: Timers) -> None:
    viewer = timers.viewer(None)
    for step in range(1_000):
        timers.hub.run({"id": f"r{step % 2}", "step": step})
    assert [message["run"]["step"] for message in taken(viewer)] == [998, 999]


async def test_whoever_waits_is_woken(timers: Timers) -> None:
    viewer: Mailbox = timers.viewer("r1")
    waiting = asyncio.create_task(viewer.take())
    await asyncio.sleep(0)
    timers.hub.notice("r1", {"type": "alert"})
    message = await asyncio.wait_for(waiting, 5)
    assert message is not None
    assert msgspec.msgpack.decode(message)["type"] == "alert"


def test_the_pause_grows_with_slow_sends_and_shrinks_with_quick_ones() -> None:
    pace, rests_s = Pace(), []
    for _ in range(6):
        pace.sent(took_s=0.2, now_s=10.0)
        rests_s.append(round(pace.rests_until_s - 10.0, 3))
    assert rests_s == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    count = 0
    while not pace.is_quick(10.0):
        pace.sent(took_s=0.001, now_s=10.0)
        count += 1
    assert count == 5
