"""What is told of a hole, over the connections of a stream."""

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.gaps import Filling, Hole
from lossguard.protocol.messages import Event

HOLE = Hole(3, 5, 30, 59, "it is gone", 60)


def test_a_hole_is_told_under_its_first_number_only() -> None:
    filling = Filling()
    assert [filling.is_told(seq) for seq in (3, 4, 5)] == [False] * 3
    told = decode_sequenced(filling.tell(HOLE))
    data = {"from": 30, "to": 59, "reason": "it is gone", "seqs": [3, 5], "points": 60}
    assert told == Event(seq=3, kind="gap", step=59, data=data)
    assert [filling.is_told(seq) for seq in (2, 3, 4, 5, 6)] == [False, False, True, True, False]


def test_a_gap_that_was_not_acknowledged_is_told_again_and_one_that_was_is_not() -> None:
    filling = Filling()
    filling.tell(HOLE)
    filling.begin(3)
    assert filling.is_told(4), "the server has the gap; its numbers are fillers"
    filling.begin(2)
    assert not filling.is_told(4), "the server may never have got the gap: a filler alone would lose it silently"
