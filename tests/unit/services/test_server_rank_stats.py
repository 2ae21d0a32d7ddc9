"""Which rank holds the others up, and which was the first to go bad."""

import math
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import Event
from lossguard_server.services.rank_stats import RANKS_MAX, Ranks
from lossguard_server.store.rows import Rows


def rows(first: int = 0, **columns: list[float]) -> Rows:
    named = {name.replace("__", "/"): values for name, values in columns.items()}
    n = len(next(iter(columns.values())))
    return Rows(np.arange(first, first + n), tuple(named), np.array(list(named.values()), dtype=np.float64))


def paced(*step_times_s: float) -> list[bool]:
    ranks = Ranks()
    for rank, each in enumerate(step_times_s):
        ranks.observe(rank, rows(step_time_s=[each] * 5))
    return [each["is_straggler"] for each in ranks.view()]


@pytest.mark.parametrize(
    ("step_times_s", "stragglers"),
    [
        ((0.1, 0.1, 0.14), [False, False, True]),
        ((0.1, 0.1, 0.133), [False, False, False]),
        ((0.01, 0.01, 0.019), [False, False, False]),  # nearly twice, but by 9 ms
        ((0.01, 0.01, 0.021), [False, False, True]),
        ((0.1, 5.0), [False, True]),
        ((5.0,), [False]),
        ((0.1, 0.1, math.nan), [False, False, False]),
        ((0.1, math.inf, 0.2, 0.1), [False, False, True, False]),
    ],
)
def test_a_straggler_is_slower_by_a_third_and_by_ten_milliseconds(
    step_times_s: tuple[float, ...], stragglers: list[bool]
) -> None:
    assert paced(*step_times_s) == stragglers


def test_the_last_twenty_steps_count() -> None:
    ranks = Ranks()
    ranks.observe(0, rows(step_time_s=[9.0] * 50, data_wait_s=[1.0] * 50))
    ranks.observe(0, rows(50, step_time_s=[0.1] * 19))
    assert ranks.view()[0]["step_time_s"] == 0.1
    assert ranks.view()[0]["data_wait_s"] == 1.0
    ranks.observe(0, rows(69, step_time_s=[math.nan] * 20))
    assert (ranks.view()[0]["step_time_s"], ranks.view()[0]["step"]) == (None, 88)


def bad_steps(ranks: Ranks) -> dict[int, Any]:
    return {each["rank"]: each["first_bad_step"] for each in ranks.view()}


def test_the_first_bad_step_is_that_of_the_loss_the_norm_or_what_the_rank_said() -> None:
    ranks = Ranks()
    ranks.observe(0, rows(system__x=[math.nan], step_time_s=[math.inf]))
    ranks.observe(1, rows(5, grad_norm__total=[1.0, math.inf, math.nan]))
    ranks.tell(2, Event(seq=1, kind="trip", step=4))
    ranks.tell(2, Event(seq=1, kind="trip", step=9))
    ranks.tell(3, Event(seq=1, kind="stage", step=4))
    assert bad_steps(ranks) == {0: None, 1: 6, 2: 4}
    ranks.rolled_back(5)
    assert bad_steps(ranks) == {0: None, 1: None, 2: 4}, "what was before it stays"
    assert [each["step"] for each in ranks.view()] == [0, 4, None]


def test_a_run_of_any_size_takes_no_more_than_so_much() -> None:
    ranks = Ranks()
    for rank in range(RANKS_MAX + 5):
        ranks.observe(rank, rows(step_time_s=[0.1]))
    assert len(ranks.view()) == RANKS_MAX
