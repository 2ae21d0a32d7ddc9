"""The alert's table, walked; and the counters that drive it."""

from itertools import product

import pytest

from lossguard_server.rules.base import AT_ONCE, Hold, Severity
from lossguard_server.rules.lifecycle import (
    COOL_DOWN,
    RESOLVE_AFTER,
    TABLE,
    Condition,
    Event,
    IllegalTransition,
    State,
    advance,
)

THREE = Hold(3, 3)


def hit(condition: Condition, step: int, hold: Hold = THREE, severity: Severity = Severity.WARNING) -> Event:
    return condition.against(step, severity, hold)


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_listed_or_refused(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert advance(state, event) is TABLE[state, event]
    else:
        with pytest.raises(IllegalTransition, match=state.value):
            advance(state, event)


def test_only_what_fires_can_be_acknowledged() -> None:
    assert [state for state in State if (state, Event.ACKNOWLEDGE) in TABLE] == [State.FIRING]


def test_every_state_can_be_reached_and_left() -> None:
    assert {after for _, after in TABLE.items()} == set(State)
    for state in State:
        assert any(before is state and after is not state for (before, _), after in TABLE.items())


def test_the_whole_life() -> None:
    condition = Condition()
    assert [hit(condition, step) for step in (10, 11, 12)] == [Event.HIT, Event.HIT, Event.CONFIRM]
    assert (condition.state, condition.first_step) == (State.FIRING, 10)
    condition.acknowledge()
    assert [condition.calmly() for _ in range(RESOLVE_AFTER - 1)] == [Event.CALM] * (RESOLVE_AFTER - 1)
    assert condition.state is State.ACKNOWLEDGED
    assert condition.calmly() is Event.CLEAR
    assert condition.state is State.RESOLVED
    for _ in range(COOL_DOWN):
        assert condition.state is State.RESOLVED
        condition.calmly()
    assert condition.state is State.INACTIVE


def test_hits_that_are_too_far_apart_come_to_nothing() -> None:
    condition = Condition()
    for step in range(0, 30, 3):
        assert hit(condition, step) is Event.HIT
        condition.calmly()
        condition.calmly()
    condition.calmly()
    assert condition.state is State.INACTIVE


def test_three_of_five_need_not_follow_each_other() -> None:
    condition, hold = Condition(), Hold(3, 5)
    hit(condition, 0, hold)
    condition.calmly()
    hit(condition, 2, hold)
    condition.calmly()
    assert hit(condition, 4, hold) is Event.CONFIRM
    assert condition.first_step == 0


def test_one_more_hit_begins_the_calm_anew() -> None:
    condition = Condition()
    hit(condition, 0, AT_ONCE)
    for _ in range(RESOLVE_AFTER - 1):
        condition.calmly()
    hit(condition, 30, AT_ONCE)
    for _ in range(RESOLVE_AFTER - 1):
        condition.calmly()
    assert condition.state is State.FIRING


def test_within_the_cool_down_the_same_alert_fires_again() -> None:
    condition = Condition()
    hit(condition, 0, AT_ONCE)
    for _ in range(RESOLVE_AFTER + 5):
        condition.calmly()
    assert condition.state is State.RESOLVED
    assert hit(condition, 40, AT_ONCE) is Event.CONFIRM
    assert condition.state is State.FIRING


def test_a_single_critical_step_does_not_worsen_what_holds_three_steps() -> None:
    condition = Condition()
    for step in range(3):
        hit(condition, step)
    assert hit(condition, 3, severity=Severity.CRITICAL) is Event.CONFIRM
    assert hit(condition, 4, severity=Severity.CRITICAL) is Event.CONFIRM
    assert hit(condition, 5, severity=Severity.CRITICAL) is Event.WORSEN
    assert hit(condition, 6, severity=Severity.CRITICAL) is Event.CONFIRM
    assert condition.severity is Severity.CRITICAL


def test_worse_than_what_was_acknowledged_fires_again() -> None:
    condition = Condition()
    hit(condition, 0, AT_ONCE)
    condition.acknowledge()
    assert hit(condition, 1, AT_ONCE, Severity.CRITICAL) is Event.WORSEN
    assert condition.state is State.FIRING
