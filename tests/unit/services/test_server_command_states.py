"""The life of a command goes along its table and nowhere else."""

from itertools import product

import pytest

from lossguard_server.errors import IllegalTransition
from lossguard_server.services import command_states as states

FINAL = (states.APPLIED, states.REJECTED, states.EXPIRED, states.SUPERSEDED, states.CANCELLED)


def test_a_final_state_leads_nowhere() -> None:
    for state, to_state in product(FINAL, (*states.OPEN, *FINAL)):
        with pytest.raises(IllegalTransition):
            states.check(state, to_state)


def test_a_command_goes_forward_only() -> None:
    order = {states.QUEUED: 0, states.SENT: 1, states.RECEIVED: 2} | dict.fromkeys(FINAL, 3)
    legal = [pair for pair in product(order, order) if states.is_legal(*pair)]
    assert all(order[to_state] > order[state] for state, to_state in legal)
    assert {state for state, _ in legal} == set(states.OPEN), "every open state leads somewhere"


def test_only_what_has_not_gone_out_is_taken_back() -> None:
    for to_state in (states.SUPERSEDED, states.CANCELLED):
        assert [state for state in states.OPEN if states.is_legal(state, to_state)] == [states.QUEUED]
