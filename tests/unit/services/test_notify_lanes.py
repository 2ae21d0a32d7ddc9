"""Whose turn it is: who was tried longest ago, and never only those that fail."""

from lossguard_server.services.notifying.lanes import Lanes
from lossguard_server.store.outbox import Notice


def owed(channel: str, due_s: float = 0.0) -> Notice:
    return Notice(channel, channel, None, "", "owed", 0, 0.0, 0.0, due_s, {})


def test_who_was_tried_longest_ago_is_first_whatever_it_is_called() -> None:
    lanes = Lanes(2)
    for channel, at_s in (("a", 30.0), ("b", 20.0), ("c", 10.0)):
        lanes.begins(channel, at_s)
    assert [each.channel for each in lanes.chosen([owed("a"), owed("b"), owed("c")], ())] == ["c", "b"]
    assert [each.channel for each in lanes.chosen([owed("a"), owed("y", 2.0), owed("z", 1.0)], ())] == ["z", "y"]
    assert [each.channel for each in lanes.chosen([owed("a"), owed("b")], ["x"])] == ["b"]
    assert lanes.chosen([owed("a")], ["x", "y"]) == []


def test_those_that_failed_leave_the_last_place() -> None:
    lanes = Lanes(2)
    for channel in ("a", "b"):
        lanes.begins(channel, 0.0)
        lanes.failed(channel, 5.0)
    lanes.begins("good", 9.0)
    due = [owed("a"), owed("b"), owed("good")]
    assert [each.channel for each in lanes.chosen(due, ())] == ["a", "good"]
    assert [each.channel for each in lanes.chosen(due, ["b"])] == ["good"]
    lanes.answered("a")
    assert [each.channel for each in lanes.chosen(due, ["b"])] == ["a"]


def test_who_failed_rests_until_then_and_no_longer_than_it_fails() -> None:
    lanes = Lanes()
    assert (lanes.resting(0.0), lanes.failures("a"), lanes.next_s(0.0)) == (set(), 0, float("inf"))
    lanes.failed("a", 5.0)
    lanes.failed("a", 10.0)
    lanes.failed("b", 7.0)
    assert (lanes.resting(6.0), lanes.resting(8.0), lanes.resting(10.0)) == ({"a", "b"}, {"a"}, set())
    assert (lanes.failures("a"), lanes.next_s(6.0), lanes.next_s(8.0)) == (2, 7.0, 10.0)
    lanes.answered("a")
    assert (lanes.resting(8.0), lanes.failures("a")) == (set(), 0)
