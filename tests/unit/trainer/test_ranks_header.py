"""What follows from the ranks' words is a function of their maximum alone."""

import random

import pytest

from lossguard.ranks import Wants
from lossguard.ranks.header import LENGTH, UNKNOWN, Decision, Word, decide


def together(*words: Word) -> Decision:
    packed = [word.packed() for word in words]
    assert {len(each) for each in packed} == {LENGTH}
    return decide([max(column) for column in zip(*packed, strict=True)])


def of(world: int, **changed: object) -> list[Word]:
    return [Word(**{"rank": rank, "world": world, "boundary": 7, "step": 12, **changed}) for rank in range(world)]  # type: ignore[arg-type]


def test_nothing_follows_from_nothing() -> None:
    assert together(*of(3)) == Decision()


def test_commands_are_those_of_the_only_rank_that_has_any() -> None:
    first = Word(0, 2, 7, 12, commands=3, payload_bytes=91, payload_crc=0xFFFF_FFFF)
    found = together(first, Word(1, 2, 7, 12))
    assert (found.commands, found.payload_bytes, found.payload_crc) == (3, 91, 0xFFFF_FFFF)


def test_what_any_rank_wants_all_get() -> None:
    words = [Word(0, 3, 7, 12, Wants.PAUSE), Word(1, 3, 7, 12), Word(2, 3, 7, 12, Wants.STOP | Wants.SNAPSHOT)]
    assert together(*words).wants == Wants.PAUSE | Wants.STOP | Wants.SNAPSHOT


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"step": 13}, "the ranks are no longer together: one is at step 12, another at 13"),
        ({"boundary": 6}, "the ranks are no longer together: one is at boundary 6, another at 7"),
        ({"leaves": True}, "rank 1 makes no more steps, and rank 2 does"),
    ],
)
def test_a_rank_that_is_elsewhere_ends_it_with_a_reason(change: dict[str, int], sentence: str) -> None:
    words = of(3)
    words[1] = Word(**{"rank": 1, "world": 3, "boundary": 7, "step": 12, **change})  # type: ignore[arg-type]
    assert together(*words).over == sentence


def test_all_may_leave_at_once_because_that_is_an_epoch() -> None:
    assert together(*of(3, leaves=True)) == Decision()


@pytest.mark.parametrize(
    ("left", "ends"),
    [
        ((1, 2), True),  # said a boundary ago: the first has none for the step that comes
        ((2, 1), True),
        ((2, 3), False),
        ((1, 1), False),  # they end together, as they would without us
        ((None, 1), False),
        ((None, None), False),
        ((-3, -3), False),  # a loader with more batches than it says
    ],
)
def test_the_shortest_loader_ends_it_for_all(left: tuple[int | None, int | None], ends: bool) -> None:
    words = [Word(rank, 2, 7, 12, steps_left=each) for rank, each in enumerate(left)]
    assert together(*words).ends is ends


def test_the_words_of_a_thousand_ranks_fit_their_int64() -> None:
    chance = random.Random(0)
    for _ in range(200):
        word = Word(
            chance.randrange(1000), 1000, chance.randrange(2**40), chance.randrange(2**40),
            Wants(chance.randrange(32)), bool(chance.randrange(2)), chance.choice([None, 0, 10**9]),
            chance.randrange(256), chance.randrange(2**31), chance.randrange(2**32),
        )  # fmt: skip
        assert all(-UNKNOWN <= value <= UNKNOWN for value in word.packed())
