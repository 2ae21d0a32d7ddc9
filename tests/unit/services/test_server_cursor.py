"""A viewer that comes back gets exactly what it missed, or is told once to load everything."""

import random
from typing import Any

import msgspec
import pytest

from lossguard_server.services.viewing.cursor import Cursor, read_cursor
from lossguard_server.services.viewing.hub import FORGET_AFTER_S
from lossguard_server.services.viewing.ring import Ring
from lossguard_server.services.viewing.tail import NOTICES_HELD, POINTS_HELD
from viewer_world import BOOT, Timers, kinds, rows, steps, taken


@pytest.fixture
def timers() -> Timers:
    return Timers()


def back(timers: Timers, cursor: str, **wish: Any) -> list[dict[str, Any]]:
    """What a viewer that comes back with a cursor is told."""
    viewer = timers.hub.join()
    timers.hub.subscribe(viewer, "r1", cursor=cursor, **wish)
    found = taken(viewer)
    timers.hub.leave(viewer)
    return found


def test_exactly_what_was_missed_is_told_wherever_the_connection_broke(timers: Timers) -> None:
    """A viewer that leaves after each message in turn, against one that stays."""
    hub, chance = timers.hub, random.Random(4)
    stays, broken, seen = timers.viewer("r1"), timers.viewer("r1"), []
    whole = []
    for step in range(300):
        if chance.random() < 0.3:
            hub.notice("r1", {"type": "event", "number": step})
        hub.points("r1", rows(step, names=("a", "b") if step % 3 else ("b",)))
        timers.turn(chance.choice([0.0, 0.01, 0.5]))
        whole += taken(stays)
        broken.measure()
        if (message := broken.next()) is not None:
            seen.append(message)
        if chance.random() < 0.2 and seen:
            hub.leave(broken)
            broken = hub.join()
            hub.subscribe(broken, "r1", cursor=_cursor_of(seen[-1]))
            answer = broken.next()
            assert answer is not None
            assert _decoded(answer)["resumed"] is True
    found = [_decoded(message) for message in seen] + taken(broken)
    timers.turn(1.0)
    whole += taken(stays)
    found += taken(broken)
    for series in ("a", "b"):
        assert steps(found, series) == steps(whole, series) == [s for s in range(300) if s % 3 or series == "b"]
    numbers = [message["number"] for message in found if message["type"] == "event"]
    assert numbers == [message["number"] for message in whole if message["type"] == "event"]


def _decoded(message: bytes) -> dict[str, Any]:
    return dict(msgspec.msgpack.decode(message))


def _cursor_of(message: bytes) -> str:
    return str(_decoded(message)["cursor"])


def test_nothing_missed_is_nothing_told(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    [message] = taken(viewer)
    [answer] = back(timers, message["cursor"])
    assert (answer["resumed"], answer["cursor"]) == (True, message["cursor"])


@pytest.mark.parametrize(
    "cursor", ["other.1.1", f"{BOOT}.99.1", f"{BOOT}.1.99", f"{BOOT}.0.0", f"{BOOT}.1", "", "x" * 999]
)
def test_a_cursor_that_does_not_fit_is_one_resync(timers: Timers, cursor: str) -> None:
    timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    timers.hub.notice("r1", {"type": "alert"})
    found = back(timers, cursor)
    assert (kinds(found), found[0]["resumed"]) == (["subscribed", "resync"], False)
    assert found[1]["cursor"] == f"{BOOT}.2.2"


@pytest.mark.parametrize("what", ["points", "notices"])
def test_what_is_no_longer_held_is_a_resync(timers: Timers, what: str) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    [message] = taken(viewer)
    for step in range(1, POINTS_HELD + 1 if what == "points" else NOTICES_HELD + 1):
        if what == "points":
            timers.turn(1.0)
            timers.hub.points("r1", rows(step))
        else:
            timers.hub.notice("r1", {"type": "event"})
            taken(viewer)
    if what == "points":
        found = back(timers, message["cursor"])
        assert steps(found) == list(range(1, POINTS_HELD + 1)), "the last that is held"
        timers.turn(1.0)
        timers.hub.points("r1", rows(POINTS_HELD + 1))
    else:
        timers.hub.notice("r1", {"type": "event"})
    assert kinds(back(timers, message["cursor"])) == ["subscribed", "resync"]


def test_after_a_rollback_no_earlier_cursor_fits(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    [message] = taken(viewer)
    timers.hub.reload("r1")
    assert kinds(back(timers, message["cursor"])) == ["subscribed", "resync"]
    [resync] = taken(viewer)
    assert kinds(back(timers, resync["cursor"])) == ["subscribed"]


def test_a_run_that_was_forgotten_gives_no_number_twice(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    for step in range(3):
        timers.hub.points("r1", rows(step))
        timers.hub.notice("r1", {"type": "event"})
        timers.turn(1.0)
    cursors = [message["cursor"] for message in taken(viewer)]
    timers.hub.leave(viewer)
    timers.turn(FORGET_AFTER_S + 1)
    timers.viewer("r1")
    for step in range(10, 13):
        timers.hub.points("r1", rows(step))
        timers.hub.notice("r1", {"type": "event"})
        timers.turn(1.0)
    for cursor in cursors:
        assert kinds(back(timers, cursor)) == ["subscribed", "resync"]


def test_a_viewer_that_comes_back_gets_the_series_that_it_wants_now(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0, names=("a", "b")))
    [message] = taken(viewer)
    timers.turn(1.0)
    timers.hub.points("r1", rows(1, names=("a", "b")))
    timers.turn(1.0)
    timers.hub.points("r1", rows(2, names=("a",)))
    found = back(timers, message["cursor"], series=frozenset("b"))
    assert (kinds(found), steps(found, "b"), steps(found, "a")) == (["subscribed", "points"], [1], [])


def test_a_cursor_does_not_pass_what_is_still_to_be_told_again(timers: Timers) -> None:
    timers.viewer("r1")
    for step in range(3):
        timers.hub.points("r1", rows(step))
        timers.turn(1.0)
    viewer = timers.hub.join()
    timers.hub.subscribe(viewer, "r1", frozenset("a"), cursor=f"{BOOT}.1.1")
    timers.hub.points("r1", rows(3, names=("b",)))
    timers.hub.notice("r1", {"type": "alert"})
    answer, alert = viewer.next(), viewer.next()
    assert answer is not None
    assert alert is not None
    assert _decoded(alert)["type"] == "alert"
    assert steps(back(timers, _cursor_of(alert))) == [0, 1, 2]


def test_a_viewer_that_wants_nothing_of_the_points_keeps_up_with_them(timers: Timers) -> None:
    viewer = timers.viewer("r1", series=frozenset({"rare"}))
    for step in range(POINTS_HELD + 10):
        timers.hub.points("r1", rows(step))
        timers.turn(1.0)
    timers.hub.notice("r1", {"type": "event"})
    [message] = taken(viewer)
    assert kinds(back(timers, message["cursor"], series=frozenset({"rare"}))) == ["subscribed"]


def test_a_ring_is_bounded_by_bytes_too() -> None:
    ring: Ring[str] = Ring(5, 100, 10)
    for word in ("aaaa", "bbbb", "cc", "d"):
        ring.add(word, len(word))
    assert ring.after(6) == [(7, "bbbb"), (8, "cc"), (9, "d")]
    assert (ring.after(5), ring.after(9), ring.after(10)) == (None, [], None)
    ring.add("too large for it", 16)
    assert (len(ring), ring.after(9), ring.after(10)) == (0, None, [])


@pytest.mark.parametrize(
    "text", ["b.1.2.3", "b.-1.2", "b.1.", "b.1e3.2", "b.١.2", f"b.{'9' * 5_000}.1", "b.1_0.2", "c.1.2"]
)
def test_no_other_text_is_a_cursor(text: str) -> None:
    assert read_cursor(text, "b") is None
    assert read_cursor(str(Cursor("b", 12, 3)), "b") == Cursor("b", 12, 3)
