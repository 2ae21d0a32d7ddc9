"""Many ranks that agree: what rank 0 is offered at one boundary, all apply at the next.

Rules of this file:
- One exchange a boundary, begun there and waited for at the next one, so that it travels while a step is made.
- The exchanges are counted, and every rank makes the same ones in the same order: which comes next follows from what
  was exchanged before, and never from a clock or from what one rank alone knows.
- When a rank is gone, or they are no longer at the same step, it is over: said once, commands are refused, training
  goes on. Nothing is raised, and nothing is exchanged any more.
"""

import os
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ..protocol.messages import Command
from . import COMMANDS_MAX, ENDED, KEEP_ALIVE_S, Agreed, NotSettled, Wants
from .header import Decision, Word, decide

END_S = 5.0
LEAVE_S = 60.0  # a rank whose loader has ended and that exits must not wait longer for ranks that wait for it
ANSWER_BYTES = 2_048


class WireBroken(Exception):
    """The ranks cannot reach each other any more; the text is what the transport said."""


class Pending(Protocol):
    """An exchange on its way."""

    def result(self, limit_s: float | None = None) -> list[int] | None:
        """The maximum over all ranks; None when it is not there within `limit_s`. Raises WireBroken."""


class Wire(Protocol):
    """What carries the ranks' words. All of it raises WireBroken."""

    rank: int
    world: int

    def start(self, values: Sequence[int], timeout_s: float | None = None) -> Pending: ...

    def broadcast(self, content: bytes, nbytes: int) -> bytes: ...

    def gather(self, content: bytes) -> list[bytes]: ...

    def close(self) -> None: ...


class Together:
    """One of several ranks."""

    def __init__(
        self,
        wire: Wire,
        timeout_s: float,
        joins: Callable[[], bool] = lambda: False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`timeout_s`: after which the wire gives up a rank that does not come.

        `joins`: the loop is made for loaders of different lengths, so that none is cut short.
        """
        self.count, self.is_first = wire.world, wire.rank == 0
        self.ends, self.over, self.tell = False, "", tell
        self._wire, self._joins, self._pid = wire, joins, os.getpid()
        self._keep_alive_s = min(KEEP_ALIVE_S, timeout_s / 3)
        self._boundary = self._step = 0
        self._waiting: list[Command] = []  # offered, and in no exchange yet
        self._sent: list[Command] = []  # in the exchange that is on its way
        self._payload = b""
        self._pending: Pending | None = None
        self._early: tuple[Decision, list[Command]] = (Decision(), [])  # agreed on when the loader ended
        self._asked, self._granted = Wants.NOTHING, Wants.NOTHING
        self._bad_rank: int | None = None
        self._steps_left: int | None = None
        self._sent_step = self._ends_at = -1
        self._has_left = False

    @property
    def keep_alive_s(self) -> float:
        """See Ranks."""
        return 0.0 if self._waiting else self._keep_alive_s

    def agree(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """See Ranks."""
        self._take(offered, step, wants)
        decision, commands = self._finish()
        self.ends = self._ends_at == step and not self._is_over
        self._begin()
        return self._agreed(decision, commands)

    def wait(self, offered: Sequence[Command], step: int, wants: Wants = Wants.NOTHING) -> Agreed:
        """See Ranks."""
        self._take(offered, step, wants)
        if self._pending is None:
            self._begin()
        return self._agreed(*self._finish())

    def settle(self, mine: str) -> list[str]:
        """See Ranks."""
        if self._is_over:
            raise NotSettled(self.over)
        answer = mine.encode()[:ANSWER_BYTES]
        try:
            every = self._wire.gather(answer + bytes(ANSWER_BYTES - len(answer)))
        except WireBroken as broken:
            self._break_off(broken)
            raise NotSettled(self.over) from broken
        return [each.rstrip(b"\0").decode(errors="replace") for each in every]

    def ask(self, wants: Wants) -> None:
        """See Ranks."""
        self._asked |= wants

    def was_asked(self, wants: Wants) -> bool:
        """See Ranks."""
        was, self._granted = bool(self._granted & wants), self._granted & ~wants
        return was

    def bad_rank(self) -> int | None:
        """See Ranks."""
        found, self._bad_rank = self._bad_rank, None
        return found

    def expect(self, steps_left: int | None) -> None:
        """See Ranks."""
        self._steps_left = None if steps_left is None or self._joins() else steps_left

    def leave(self) -> None:
        """See Ranks."""
        if self._is_over or self._has_left or self._boundary == 0:
            return
        # what comes with the exchange on its way is applied where the loop goes on: at the next boundary
        self._early = self._finish()
        self._ends_at, self._steps_left = -1, None  # of the loader that has ended, not of the next
        self._begin(leaves=True, timeout_s=LEAVE_S)

    def end(self, reason: str = ENDED) -> None:
        """See Ranks."""
        if self._is_over:
            return
        tell, self.tell = self.tell, lambda text: None  # that others go on is theirs to tell
        if not self._has_left:
            self._finish(END_S)
            self._begin(leaves=True, timeout_s=END_S)
        self._finish(END_S)
        self.over, self.tell = reason, tell

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return bool(self.over) or os.getpid() != self._pid  # a forked child is no rank

    def _take(self, offered: Sequence[Command], step: int, wants: Wants) -> None:
        self._waiting += offered
        self._step = step
        self._asked |= wants

    def _begin(self, leaves: bool = False, timeout_s: float | None = None) -> None:
        """The next exchange sets out."""
        if self._is_over:
            return
        self._sent, self._waiting = self._waiting[:COMMANDS_MAX], self._waiting[COMMANDS_MAX:]
        self._payload = msgspec.msgpack.encode(self._sent) if self._sent else b""
        word = Word(
            self._wire.rank, self.count, self._boundary, self._step, self._asked, leaves, self._steps_left,
            len(self._sent), len(self._payload), zlib.crc32(self._payload),
        )  # fmt: skip
        self._asked, self._has_left, self._sent_step = Wants.NOTHING, leaves, self._step
        self._boundary += 1
        try:
            self._pending = self._wire.start(word.packed(), timeout_s)
        except WireBroken as broken:
            self._break_off(broken)

    def _finish(self, limit_s: float | None = None) -> tuple[Decision, list[Command]]:
        """What came of the exchange on its way, and of the one before an epoch's end."""
        pending, self._pending = self._pending, None
        (early, commands), self._early = self._early, (Decision(), [])
        if pending is None or self._is_over:
            return early, commands
        try:
            if (largest := pending.result(limit_s)) is None:
                raise WireBroken(f"a rank did not come within {limit_s:g} s")
            decision = decide(largest)
            more = self._commands(decision)
        except WireBroken as broken:
            self._break_off(broken)
            return early, commands
        if decision.over:
            self._give_up(decision.over)
        if decision.ends:
            self._ends_at = self._sent_step + 1
        self._granted |= decision.wants
        self._bad_rank = self._bad_rank if decision.bad_rank is None else decision.bad_rank
        return Decision(wants=early.wants | decision.wants), commands + more

    def _commands(self, decision: Decision) -> list[Command]:
        """All ranks decode the same bytes, so that none applies what another does not."""
        if not decision.commands:
            return []
        payload = self._wire.broadcast(self._payload, decision.payload_bytes)
        self._sent = []
        if zlib.crc32(payload) != decision.payload_crc:
            raise WireBroken("commands arrived damaged")
        return msgspec.msgpack.decode(payload, type=list[Command])

    def _agreed(self, decision: Decision, commands: list[Command]) -> Agreed:
        refused: list[Command] = []
        if self.over:
            refused, self._sent, self._waiting = self._sent + self._waiting, [], []
        return Agreed(commands, decision.wants, refused, self.over)

    def _break_off(self, broken: WireBroken) -> None:
        self._wire.close()  # the others wait for this rank now
        self._give_up(f"a rank is gone ({broken})")

    def _give_up(self, reason: str) -> None:
        if not self.over:
            self.over = f"this run can be controlled no more: {reason}"
            self.tell(self.over)
