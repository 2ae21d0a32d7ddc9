"""Probation, promotion and removal of snapshots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard.snapshots.shelf import Shelf


def shelf_with(*steps: int, slots: int = 2, healthy_after: int = 10) -> Shelf[str]:
    """A shelf on which the snapshots of `steps` were promoted."""
    shelf: Shelf[str] = Shelf(slots, healthy_after)
    for step in steps:
        shelf.put(step, f"s{step}")
        assert shelf.graduate_at(step + healthy_after) == f"s{step}"
        shelf.promote()
    return shelf


def steps_of(shelf: Shelf[str]) -> list[int]:
    return [place.step for place in shelf.healthy]


def test_a_candidate_graduates_after_its_probation_and_not_before() -> None:
    shelf: Shelf[str] = Shelf(2, 10)
    shelf.put(5, "s5")
    assert shelf.graduate_at(14) is None
    assert shelf.newest() is None
    assert shelf.graduate_at(15) == "s5"
    shelf.promote()
    assert steps_of(shelf) == [5]


def test_the_oldest_healthy_one_makes_room() -> None:
    assert steps_of(shelf_with(0, 10, 20, 30)) == [20, 30]
    assert steps_of(shelf_with(0, 10, 20, 30, slots=1)) == [30]


def test_a_second_candidate_is_a_defect() -> None:
    shelf: Shelf[str] = Shelf(2, 10)
    shelf.put(5, "s5")
    with pytest.raises(ValueError, match="step 5 is still on probation"):
        shelf.put(6, "s6")


@pytest.mark.parametrize(("step", "survives"), [(19, False), (20, False), (29, False), (30, True)])
def test_an_unhealthy_step_drops_the_candidate_whose_probation_it_is_in(step: int, survives: bool) -> None:
    shelf: Shelf[str] = Shelf(2, 10)
    shelf.put(20, "s20")
    shelf.unhealthy(step)
    assert (shelf.candidate is not None) == survives  # the state before step 20 holds what step 19 did


def test_late_news_finds_out_a_healthy_one_too() -> None:
    shelf = shelf_with(0, 20)
    shelf.unhealthy(29)
    assert steps_of(shelf) == [0]


def test_after_a_rollback_news_of_the_old_branch_does_no_harm() -> None:
    shelf = shelf_with(0, 20, 30, slots=3)
    shelf.cut_after(20)
    for step in (19, 20, 25, 29, 35):
        shelf.unhealthy(step)
    assert steps_of(shelf) == [0, 20]


def test_a_rollback_drops_what_came_later() -> None:
    shelf = shelf_with(0, 20)
    shelf.put(40, "s40")
    shelf.cut_after(0)
    assert shelf.contents() == ["s0"]


def test_the_newest_before_a_step_is_strictly_before_it() -> None:
    shelf = shelf_with(0, 20)
    found = [shelf.newest(before) for before in (None, 21, 20, 1, 0)]
    assert [place and place.step for place in found] == [20, 20, 0, 0, None]


@examples(150)
@given(st.data())
def test_nothing_restorable_has_an_unhealthy_step_in_its_probation(data: st.DataObject) -> None:
    slots, healthy_after = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    bad = data.draw(st.sets(st.integers(0, 60)))
    late = data.draw(st.integers(0, 4))
    shelf: Shelf[int] = Shelf(slots, healthy_after)
    for step in range(60):
        if step - late - 1 in bad:  # the news of a step comes at a later boundary
            shelf.unhealthy(step - late - 1)
        if shelf.graduate_at(step) is not None:
            shelf.promote()
        if shelf.candidate is None and data.draw(st.booleans()):
            shelf.put(step, step)
        assert len(shelf.contents()) <= slots + 1
        told = {known for known in bad if known <= step - late - 1}
        for place in shelf.healthy:
            assert not told & set(range(place.step, min(place.step + healthy_after, step)))
