"""What all ranks of a run do at the same boundary.

Rules of this file: no torch. Only rank 0 is offered commands, and nobody applies what the ranks have not agreed on:
what `agree` and `wait` give back is the same on every rank, at the same boundary. Alone, that is what was offered.
Nothing here raises into the training, save `settle`, whose caller turns NotSettled into a rejection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Protocol

from ..protocol.messages import Command

COMMANDS_MAX = 256  # of one boundary, and of one exchange; the rest comes with the next
KEEP_ALIVE_S = 10.0  # of a pause: a rank that stands in an exchange gives up after its group's timeout

ENDED = "this run has ended"


class NotSettled(Exception):
    """The ranks could not be asked: one of them is gone; the text is the reason."""


class Wants(IntFlag):
    """What one rank asks of all, without a command; every rank gets what any of them asked for."""

    NOTHING = 0
    STOP = 1
    PAUSE = 2
    ROLLBACK = 4
    RESUME = 8  # a pause has lasted long enough by the clock of rank 0
    SNAPSHOT = 16
    NONFINITE = 32  # nothing is asked: this rank tells that something of it is not finite


@dataclass(frozen=True)
class Agreed:
    """What every rank does at this boundary.

    `refused`: commands that were offered here and will never be agreed on, for the reason `over`. `over` is empty
    while the ranks can agree.
    """

    commands: list[Command] = field(default_factory=list)
    wants: Wants = Wants.NOTHING
    refused: list[Command] = field(default_factory=list)
    over: str = ""

    @property
    def stop(self) -> bool:
        """A rank asked all of them to stop."""
        return bool(self.wants & Wants.STOP)


class Ranks(Protocol):
    """The ranks of a run, seen from one of them."""

    @property
    def count(self) -> int:
        """How many there are: the world's size; 1 alone."""

    @property
    def is_first(self) -> bool:
        """Rank 0: the one whose link receives commands, and whose clock ends a pause."""

    @property
    def keep_alive_s(self) -> float:
        """While paused, rank 0 calls `wait` at least so often; 0 while something waits to be sent."""

    @property
    def ends(self) -> bool:
        """At the boundary of the last `agree`: a rank has no batch for its step, so that none makes it."""

    def agree(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """At the boundary before `step`, once, on every rank: what all apply here.

        `offered` is handed over, and comes back one boundary later, on every rank (alone: at once); so do `wants`.
        """

    def wait(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """While paused, instead of `agree`: what all apply now.

        Rank 0 calls it when it has something to offer, else every `keep_alive_s`; the other ranks at once and always:
        they stand in it until rank 0 comes.
        """

    def settle(self, mine: str) -> list[str]:
        """What every rank says, by rank; each must ask, at the same place. Raises NotSettled.

        For what all do or none: each says why it cannot ("" where it can), and all decide from the same answers.
        """

    def ask(self, wants: Wants) -> None:
        """Ask it of all with the next exchange."""

    def was_asked(self, wants: Wants) -> bool:
        """A rank asked it of all, since this was asked last; the answer is the same on every rank."""

    def bad_rank(self) -> int | None:
        """A rank that told of itself (NONFINITE) since this was asked last, the highest; None: nobody did."""

    def expect(self, steps_left: int | None) -> None:
        """How many steps this rank has batches for, the coming one included; None: nobody knows."""

    def leave(self) -> None:
        """The loader of this rank has ended, and it makes no boundary for a while. Called twice at will."""

    def end(self, reason: str = ENDED) -> None:
        """This rank makes no more boundaries. What is on its way is waited for, at most 5 s. Called twice at will."""


class Alone:
    """The only rank: it agrees with itself, at once."""

    count = 1
    is_first = True
    keep_alive_s = KEEP_ALIVE_S
    ends = False

    def __init__(self) -> None:
        self._asked = Wants.NOTHING

    def agree(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """What is offered."""
        return Agreed(list(offered), wants)

    def wait(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """What is offered."""
        return self.agree(offered, step, wants)

    def settle(self, mine: str) -> list[str]:
        """Its own word."""
        return [mine]

    def ask(self, wants: Wants) -> None:
        """It asks itself."""
        self._asked |= wants

    def was_asked(self, wants: Wants) -> bool:
        """By itself."""
        was, self._asked = bool(self._asked & wants), self._asked & ~wants
        return was

    def bad_rank(self) -> int | None:
        """There is no other."""
        return None

    def expect(self, steps_left: int | None) -> None:
        """Nobody else has to know."""

    def leave(self) -> None:
        """Nobody waits."""

    def end(self, reason: str = ENDED) -> None:
        """Nothing is on its way."""


__all__ = ["COMMANDS_MAX", "ENDED", "KEEP_ALIVE_S", "Agreed", "Alone", "NotSettled", "Ranks", "Wants"]
