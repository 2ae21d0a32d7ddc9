"""What the ranks exchange at a boundary: a vector of int64, of which each rank gets the element-wise maximum.

Rules of this file: pure. What is decided is a function of the maximum alone, so that all ranks decide the same. A
least value travels as the greatest of its negative; a rank travels as its number + 1, because 0 is nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from . import Wants

MAGIC = 0x6C67_0002  # "lg" and the version of this vector: ranks of different versions must not believe each other
UNKNOWN = 1 << 62  # steps left: nobody knows
FLAGS = tuple(flag for flag in Wants if flag)
LENGTH = 15 + len(FLAGS)


@dataclass(frozen=True)
class Word:
    """What one rank contributes. Commands (their number, the payload's bytes and its CRC-32) are rank 0's alone."""

    rank: int
    world: int
    boundary: int
    step: int
    wants: Wants = Wants.NOTHING
    leaves: bool = False
    steps_left: int | None = None
    commands: int = 0
    payload_bytes: int = 0
    payload_crc: int = 0

    def packed(self) -> list[int]:
        """As it is exchanged, [LENGTH]."""
        left, me = UNKNOWN if self.steps_left is None else self.steps_left, self.rank + 1
        alike = [MAGIC, self.world, self.boundary, self.step]
        return [
            *alike,
            *(-value for value in alike),
            self.commands,
            self.payload_bytes,
            self.payload_crc,
            left,
            -left,
            me if self.leaves else 0,
            0 if self.leaves else me,
            *(me if flag in self.wants else 0 for flag in FLAGS),
        ]


@dataclass(frozen=True)
class Decision:
    """What follows for every rank. `over`: they can agree on nothing any more, and why."""

    commands: int = 0
    payload_bytes: int = 0
    payload_crc: int = 0
    wants: Wants = Wants.NOTHING
    ends: bool = False
    over: str = ""
    bad_rank: int | None = None  # the highest that told of itself


def decide(largest: Sequence[int]) -> Decision:
    """From the maximum over all ranks [LENGTH]; nothing else may enter, or the ranks would part."""
    greatest, least = largest[:4], [-value for value in largest[4:8]]
    commands, payload_bytes, payload_crc, most_left, minus_least_left, leaver, stayer = largest[8:15]
    # first who left: its step is an older one
    if (fault := _left_alone(leaver, stayer)) or (fault := _parted(greatest, least)):
        return Decision(over=fault)
    wants = Wants.NOTHING
    for flag, rank in zip(FLAGS, largest[15:], strict=True):
        wants |= flag if rank else Wants.NOTHING
    least_left = -minus_least_left
    # this was said one boundary ago. Where all have as many left, the user's loaders end as they would without us
    ends = most_left < UNKNOWN and least_left < most_left and least_left <= 1
    bad = largest[15 + FLAGS.index(Wants.NONFINITE)]
    return Decision(commands, payload_bytes, payload_crc, wants, ends, bad_rank=bad - 1 if bad else None)


def _parted(greatest: Sequence[int], least: Sequence[int]) -> str:
    """Why they do not stand at the same boundary; empty when they do."""
    if greatest[0] != MAGIC or least[0] != MAGIC:
        return "the ranks run different versions of lossguard"
    for what, high, low in zip(("worlds of", "boundary", "step"), greatest[1:], least[1:], strict=True):
        if high != low:
            return f"the ranks are no longer together: one is at {what} {low}, another at {high}"
    return ""


def _left_alone(leaver: int, stayer: int) -> str:
    """That some leave is the end; that all leave at once is the end of an epoch."""
    if leaver and stayer:
        return f"rank {leaver - 1} makes no more steps, and rank {stayer - 1} does"
    return ""
