"""The life of a command goes along its table and nowhere else."""

from itertools import product

import pytest

from lossguard_server.errors import IllegalTransition
from lossguard_server.services import command_states as states

VOID = (states.REJECTED, states.SUPERSEDED, states.CANCELLED)
SETTLED = (*VOID, states.APPLIED, states.EXPIRED, states.ROLLED_BACK)


def test_what_never_came_into_force_leads_nowhere() -> None:
    for state, to_state in product(VOID, states.STATES):
        with pytest.raises(IllegalTransition):
            states.check(state, to_state)


def test_while_it_is_open_a_command_goes_forward_only() -> None:
    order = {states.QUEUED: 0, states.SENT: 1, states.RECEIVED: 2} | dict.fromkeys(SETTLED, 3)
    legal = [pair for pair in product(states.OPEN, states.STATES) if states.is_legal(*pair)]
    assert all(order[to_state] > order[state] for state, to_state in legal)
    assert {state for state, _ in legal} == set(states.OPEN), "every open state leads somewhere"


def test_only_what_an_attempt_may_have_lost_is_taken_up_again() -> None:
    again = {pair for pair in product(SETTLED, states.STATES) if states.is_legal(*pair)}
    assert again == {
        (states.APPLIED, states.QUEUED),
        (states.APPLIED, states.ROLLED_BACK),
        (states.EXPIRED, states.APPLIED),
        (states.EXPIRED, states.QUEUED),
        (states.EXPIRED, states.ROLLED_BACK),
        (states.ROLLED_BACK, states.APPLIED),
    }


def test_only_what_has_not_gone_out_is_taken_back() -> None:
    for to_state in (states.SUPERSEDED, states.CANCELLED):
        assert [state for state in states.STATES if states.is_legal(state, to_state)] == [states.QUEUED]
