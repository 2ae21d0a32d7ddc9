"""Viewers get what they asked for, encoded once, and what they missed when they come back."""

from unittest.mock import patch

import msgspec
import numpy as np
import pytest

from lossguard_server.services.viewing import hub as hub_module
from lossguard_server.services.viewing import messages as viewer_messages
from lossguard_server.services.viewing import tail as tail_module
from lossguard_server.services.viewing.hub import FORGET_AFTER_S, Hub
from lossguard_server.services.viewing.messages import points_body
from lossguard_server.store.rows import Rows
from viewer_world import Timers, kinds, rows, steps, taken


@pytest.fixture
def timers() -> Timers:
    return Timers()


def test_points_go_to_those_who_watch_the_run(timers: Timers) -> None:
    watching, elsewhere, nowhere = timers.viewer("r1"), timers.viewer("r2"), timers.viewer(None)
    timers.hub.points("r1", rows(0, 3))
    timers.hub.notice("r2", {"type": "event"})
    timers.hub.run({"id": "r1"})
    found = taken(watching)
    assert kinds(found) == ["run", "points"]
    assert np.frombuffer(found[1]["steps"]).tolist() == [0.0, 1.0, 2.0]
    assert np.frombuffer(found[1]["values"]).tolist() == [1.5, 1.5, 1.5]
    assert kinds(taken(elsewhere)) == ["event", "run"]
    assert kinds(taken(nowhere)) == ["run"]


def test_points_leave_at_most_thirty_times_a_second(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    departures = 0
    for step in range(1_000):
        timers.hub.points("r1", rows(step))
        timers.turn(0.001)
        departures += len(taken(viewer))
    assert 28 <= departures <= 32


def test_the_first_point_of_a_quiet_run_leaves_at_once_and_none_is_lost(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    assert steps(taken(viewer)) == [0]
    for step in range(1, 5):
        timers.hub.points("r1", rows(step))
    assert taken(viewer) == []
    timers.turn(0.04)
    [message] = taken(viewer)
    assert np.frombuffer(message["steps"]).tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_viewer_gets_the_series_that_it_wants(timers: Timers) -> None:
    some, all_, none = (
        timers.viewer("r1", series=frozenset("bx")),
        timers.viewer("r1"),
        timers.viewer("r1", series=frozenset()),
    )
    timers.hub.points("r1", Rows(np.array([7]), ("a", "b"), np.array([[1.0], [2.0]])))
    [message] = taken(some)
    assert (message["series"], np.frombuffer(message["values"]).tolist()) == (["b"], [2.0])
    assert [found["series"] for found in taken(all_)] == [["a", "b"]]
    timers.hub.notice("r1", {"type": "event"})
    assert kinds(taken(none)) == ["event"]


def test_a_message_is_encoded_once_for_all_who_want_the_same(timers: Timers) -> None:
    viewers = [timers.viewer("r1", series=frozenset("a")) for _ in range(50)]
    viewers += [timers.viewer("r1", series=frozenset("ab")) for _ in range(50)]
    with patch.object(tail_module, "points_body", wraps=points_body) as encoding:
        timers.hub.points("r1", rows(0, names=("a", "b", "c")))
    assert encoding.call_count == 2
    assert {tuple(taken(viewer)[0]["series"]) for viewer in viewers} == {("a",), ("a", "b")}


def test_another_wish_for_the_same_run_loses_nothing(timers: Timers) -> None:
    viewer = timers.viewer("r1", series=frozenset("a"))
    timers.hub.points("r1", rows(0, names=("a", "b")))
    timers.hub.notice("r1", {"type": "alert"})
    timers.hub.subscribe(viewer, "r1", frozenset("ab"))
    timers.turn(1.0)
    timers.hub.points("r1", rows(1, names=("a", "b")))
    found = taken(viewer)
    assert kinds(found) == ["subscribed", "alert", "points", "points"]
    assert (found[0]["resumed"], steps(found, "a"), steps(found, "b")) == (True, [0, 1], [1])


def test_of_the_others_the_newest_values_come_now_and_then(timers: Timers) -> None:
    viewer, without = (
        timers.viewer("r1", series=frozenset("a"), wants_others=True),
        timers.viewer("r1", series=frozenset("a")),
    )
    found = []
    for step in range(100):
        timers.hub.points("r1", rows(step, names=("a", "b", "c"), value=step))
        timers.turn(0.125)
        found += taken(viewer)
    others = [message for message in found if message.get("conflated")]
    assert [message["series"] for message in others] == [["b", "c"]] * 3
    assert [np.frombuffer(message["values"]).tolist() for message in others] == [[0.0] * 2, [40.0] * 2, [80.0] * 2]
    assert steps(found) == list(range(100)) == steps(taken(without))


def test_no_points_message_is_larger_than_a_part_and_together_they_are_all(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    names = tuple(f"some/series/of/a/crowd.{index}" for index in range(3_000))
    block = Rows(np.arange(12), names, np.arange(36_000, dtype=np.float64).reshape(3_000, 12))
    timers.hub.points("r1", block)
    found = [viewer.next() for _ in range(5)]
    messages = [message for message in found if message is not None]
    assert len(messages) > 1
    assert max(map(len, messages)) < viewer_messages.PART_BYTES + 1_000
    decoded = [msgspec.msgpack.decode(message) for message in messages]
    assert [name for message in decoded for name in message["series"]] == list(names)
    assert b"".join(message["values"] for message in decoded) == block.columns.tobytes()


def test_one_long_series_is_cut_by_steps(timers: Timers) -> None:
    parts = list(viewer_messages.parts(rows(0, 100_000, ("a", "b"))))
    assert max(len(points_body("r", part)) for part in parts) < viewer_messages.PART_BYTES + 1_000
    for name in ("a", "b"):
        assert np.concatenate([part.steps for part in parts if name in part.names]).tolist() == list(range(100_000))


def test_more_than_a_chart_can_take_is_the_newest_values_and_a_resync(
    timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_GATHERED_POINTS", 100)
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    taken(viewer)
    for step in range(1, 200, 50):
        timers.hub.points("r1", rows(step, 50))
    timers.turn(1.0)
    newest, resync = taken(viewer)
    assert (newest["conflated"], np.frombuffer(newest["steps"]).tolist(), resync["type"]) == (True, [200.0], "resync")
    timers.turn(1.0)
    timers.hub.points("r1", rows(201))
    assert steps(taken(viewer)) == [201]


def test_a_run_that_went_back_is_loaded_again(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0, 10))
    timers.hub.points("r1", rows(10, 10))
    timers.hub.notice("r1", {"type": "event"})
    timers.hub.reload("r1")
    assert kinds(taken(viewer)) == ["event", "resync"]
    timers.turn(1.0)
    timers.hub.points("r1", rows(5))
    assert steps(taken(viewer)) == [5]


def test_a_new_subscription_drops_what_waited(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    timers.hub.notice("r1", {"type": "event"})
    timers.hub.subscribe(viewer, "r2")
    timers.hub.points("r2", rows(5))
    found = taken(viewer)
    assert [(message["type"], message["run"]) for message in found] == [("subscribed", "r2"), ("points", "r2")]
    timers.hub.leave(viewer)
    timers.hub.points("r2", rows(6))
    assert taken(viewer) == []


def test_runs_that_nobody_watches_cost_nothing_after_a_while(timers: Timers) -> None:
    hub = timers.hub
    viewer = timers.viewer("watched")
    hub.points("watched", rows(0))
    for number in range(1_000):
        hub.subscribe(viewer, f"asked for {number}")
    assert set(hub._runs) == {"watched", "asked for 999"}
    hub.leave(viewer)
    timers.turn(FORGET_AFTER_S - 1)
    assert set(hub._runs) == {"watched"}
    returned = timers.viewer("watched")
    timers.turn(2)
    assert set(hub._runs) == {"watched"}, "somebody came back"
    hub.leave(returned)
    timers.turn(FORGET_AFTER_S + 1)
    assert hub._runs == {}
    hub.points("watched", rows(1))
    assert hub._runs == {}


def test_a_boot_is_told_from_the_next() -> None:
    assert Hub(lambda: 0.0, lambda delay_s, call: None)._boot != Hub(lambda: 0.0, lambda delay_s, call: None)._boot


def test_columns_keep_their_order() -> None:
    found = Rows(np.array([1, 2]), ("a", "b"), np.array([[1.0, 2.0], [3.0, 4.0]])[:, ::-1])
    message = msgspec.msgpack.decode(points_body("r", found))
    assert np.frombuffer(message["values"]).reshape(2, 2).tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_everybody_is_told_that_a_run_is_gone_and_those_who_watched_it_watch_nothing(timers: Timers) -> None:
    watching, elsewhere = timers.viewer("r1"), timers.viewer("r2")
    timers.hub.run({"id": "r1"})
    timers.hub.points("r1", rows(0))
    timers.hub.points("r1", rows(1))  # waits for its departure
    timers.hub.notice("r1", {"type": "event"})
    timers.hub.forget("r1")
    timers.turn(1.0)
    timers.hub.points("r1", rows(0))  # of another run of that name
    timers.hub.notice("r1", {"type": "event"})
    gone = {"type": "gone", "run": "r1"}
    assert [taken(watching), taken(elsewhere)] == [[gone], [gone]], "and no view of it that still waited"
    timers.hub.run({"id": "r1"})
    timers.hub.subscribe(watching, "r1")
    timers.hub.points("r1", rows(7))
    found = taken(watching)
    assert (kinds(found), steps(found)) == (["subscribed", "run", "points"], [7])


def test_that_a_run_is_gone_is_told_although_it_begins_anew_at_once(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.forget("r1")
    timers.hub.run({"id": "r1", "step": 0})
    timers.hub.subscribe(viewer, "r2")
    assert kinds(taken(viewer)) == ["gone", "subscribed", "run"]


def test_a_cursor_of_a_run_that_is_gone_does_not_fit_the_next_of_its_name(timers: Timers) -> None:
    viewer = timers.viewer("r1")
    timers.hub.points("r1", rows(0, 2))
    timers.hub.notice("r1", {"type": "event"})
    cursors = [message["cursor"] for message in taken(viewer)]
    timers.hub.leave(viewer)
    timers.hub.forget("r1")
    other = timers.viewer("r1")
    timers.hub.points("r1", rows(0))
    for cursor in cursors:
        back = timers.hub.join()
        timers.hub.subscribe(back, "r1", cursor=cursor)
        assert kinds(taken(back)) == ["subscribed", "resync"]
    assert kinds(taken(other)) == ["points"]
