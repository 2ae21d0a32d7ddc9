"""Commands between their arrival and their boundary, and the pause.

Rules of this file:
- `offer` runs in the link thread and only queues; `apply` runs in the training thread, at a boundary, on every rank:
  what the ranks have agreed on, in this order: stop, rollback, checkpoint, steering by number, pause and resume.
- A command is applied at most once, by its id. (Not its number: a server that was restored from a backup counts again
  from an older one.) What became of one that comes again is told again: that server does not know it any more.
- What was applied is on disk before the next step begins: a step that a command changed must not outlive its record.
- A command that an earlier life applied, behind the checkpoint that this one goes on from, is applied at its old step.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .deeds import Caught, Deeds
from .protocol.commands import ORDER, checked
from .protocol.frames import MAX_STEP
from .protocol.messages import Command
from .protocol.steering import NotPossible
from .ranks import COMMANDS_MAX, Agreed, Ranks, Wants
from .resuming import Resumed

log = logging.getLogger("lossguard")

_WAKE_S = 1.0  # how often a paused trainer looks at the clock; commands wake it at once
JOURNAL_S = 1.0  # the disk that takes longer is slower than training is willing to wait
_LOOK_S = 0.02  # while a resumed run waits for what the server offers again
QUIET_S = 0.5  # how long after its last word the server has said all: it reads the commands from its disk
ROUNDS_MAX = 40  # of COMMANDS_MAX each, that a run takes up as it goes on: a server must not hold it up for ever
OUTCOMES_MAX = 10_000  # the newest, that are told again; of older ones the server has backups
LATE = (
    "it was applied at step {} in the attempt before, behind the checkpoint, "
    "and came too late to be applied there again"
)
_STATES = ("pause", "resume")

Report = Callable[[Command, int, dict[str, Any]], None]
Outcome = tuple[Command, int, dict[str, Any]]  # as it was reported


class Wire(Protocol):
    """What a controller needs of the link."""

    def journal(self, timeout_s: float) -> bool:
        """What was told so far is on the disk; waits for that, at most so long."""

    def hears(self) -> bool:
        """Commands may come."""

    def is_heard(self) -> bool:
        """The server has everything that was told so far."""


class NoWire:
    """Nobody listens."""

    def journal(self, timeout_s: float) -> bool:
        """There is no disk."""
        return False

    def hears(self) -> bool:
        """No command can come."""
        return False

    def is_heard(self) -> bool:
        """Nobody hears."""
        return False


class Controller:
    """The commands of one run, on one rank."""

    def __init__(
        self,
        deeds: Deeds,
        ranks: Ranks,
        pause_max_s: float,
        report: Report,
        clock: Callable[[], float],
        tell: Callable[[int, str], None] = lambda step, text: None,
    ) -> None:
        self.paused = self.stopping = False
        self.applied_upto = 0  # the highest number that was settled
        self.wire: Wire = NoWire()
        self._deeds, self._ranks, self._report = deeds, ranks, report
        self._pause_max_s, self._clock, self._tell = pause_max_s, clock, tell
        self._queue: deque[tuple[Command, float]] = deque()  # and when it came
        self._later: list[Command] = []  # for a step that is yet to come
        self._wake = threading.Event()
        self._has_more = False  # than one boundary takes
        self._seen: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}  # by id, the newest last
        self._wants, self._why = Wants.NOTHING, ""
        self._stays_because = ""
        self._paused_at_s = 0.0
        self._resume_wait_s: float | None = None  # until the first boundary after a resume

    def offer(self, command: Command) -> None:
        """Queue a command; of a repeat it is told again what became of it. Called by the link thread."""
        if command.id in self._seen:
            self._tell_again(command.id)
            return
        self._seen.add(command.id)
        self._report(command, -1, {"state": "received"})
        self._queue.append((command, self._clock()))
        self._wake.set()

    def resume(self, resumed: Resumed, wait_s: float) -> None:
        """Go on from a checkpoint: its commands are not applied again; what the server offers again is waited for.

        Before the first step, and once more where another checkpoint takes this one's place.
        """
        self._seen.clear()
        self._outcomes.clear()
        for operation in resumed.operations:
            self._seen.add(operation.id)
            applied = Command(id=operation.id, number=0, kind=operation.kind, args=operation.args)
            result = {"state": "applied", "args": operation.args, "ranks": self._ranks.count}
            self._keep(applied, operation.step, result)
        self.applied_upto, self._resume_wait_s = resumed.applied_upto, wait_s

    def hold(self, step: int, reason: str) -> None:
        """Pause, all ranks, without a command: the script asked for it."""
        self._wants, self._why = self._wants | Wants.PAUSE, reason

    def apply(self, step: int, wants: Wants = Wants.NOTHING) -> bool:
        """What all ranks do at the boundary before `step`; stay while paused. False when the run must stop."""
        wants, self._wants = self._wants | wants, Wants.NOTHING
        wait_s, self._resume_wait_s = self._resume_wait_s, None
        if wait_s is None:
            step = self._obey(self._ranks.agree(self._offered(step), step, wants), step)
        else:
            step = self._begin_again(step, wants, wait_s)
        while self.paused and not self.stopping:
            wants = self._rest() if self._ranks.is_first else Wants.NOTHING
            step = self._obey(self._ranks.wait(self._offered(step), step, wants), step)
        return not self.stopping

    # -- what is offered ----------------------------------------------------------------------------------------

    def _offered(self, step: int) -> list[Command]:
        """What has come and has not expired, at most COMMANDS_MAX; what has is refused here, before anybody agrees."""
        offered: list[Command] = []
        kept: list[tuple[Command, float]] = []
        come = [self._queue.popleft() for _ in range(len(self._queue))]
        for command, came_s in sorted(come, key=lambda each: _order(each[0])):
            waited_s = self._clock() - came_s
            if 0 < command.expires_in_s < waited_s:
                text = f"it expired: it waited {waited_s:.3g} s for a step boundary, and had {command.expires_in_s:g} s"
                self._refuse(command, step, text)
            elif command.number > MAX_STEP:
                self._refuse(command, step, f"its number {command.number} is more than can be counted")
            elif command.expires_in_s > 0 and command.at_step > step + 1:
                kept.append((command, came_s))  # only this rank's clock says whether it expires: not agreed on before
            elif len(offered) == COMMANDS_MAX:
                kept.append((command, came_s))
            else:
                offered.append(command)
        self._queue.extend(kept)
        self._has_more = len(offered) == COMMANDS_MAX
        return offered

    def _begin_again(self, step: int, wants: Wants, wait_s: float) -> int:
        """The first boundary after a resume: what the server offers again is applied before anything that is new."""
        if self._ranks.is_first:
            self._listen(wait_s)
        step = self._obey(self._ranks.agree([], step, wants), step)
        # as in a pause: it is for this boundary, and not for the next. The first round ends what `agree` has begun
        for number in range(ROUNDS_MAX):
            agreed = self._ranks.wait(self._offered(step), step)
            step = self._obey(agreed, step)
            if number > 0 and len(agreed.commands) < COMMANDS_MAX:  # as every rank sees
                break
        return step

    def _listen(self, wait_s: float) -> None:
        """Until the server has said all, at most so long."""
        end_s = self._clock() + wait_s
        quiet_since_s: float | None = None
        while self.wire.hears() and (now_s := self._clock()) < end_s:
            has_come = self._wake.wait(_LOOK_S)
            self._wake.clear()
            if has_come or not self.wire.is_heard():
                quiet_since_s = None
            elif quiet_since_s is None:
                quiet_since_s = now_s
            elif now_s - quiet_since_s >= QUIET_S:
                return

    def _rest(self) -> Wants:
        """While paused, until something comes or it is time to say that this rank is there."""
        self._wake.wait(0.0 if self._has_more else min(_WAKE_S, self._ranks.keep_alive_s))
        self._wake.clear()
        return Wants.RESUME if self._clock() - self._paused_at_s > self._pause_max_s else Wants.NOTHING

    # -- what is applied ----------------------------------------------------------------------------------------

    def _obey(self, agreed: Agreed, step: int) -> int:
        """Apply what is agreed on; returns the coming step, which a rollback sets back."""
        for command in agreed.refused:
            self._refuse(command, step, agreed.over)
        if self.paused and (agreed.over or agreed.wants & Wants.RESUME):
            self.paused = False
            why = agreed.over or f"after {self._pause_max_s:g} s, as the script asks for"
            self._tell(step, f"the pause ended by itself: {why}")
        self.stopping = self.stopping or agreed.stop
        if agreed.wants & Wants.ROLLBACK:
            step = self._go_back(step)
        has_applied = False
        for command in sorted(self._due(agreed.commands, step), key=_order):
            result = self._apply(command, step)
            has_applied = has_applied or result is not None
            if command.kind == "rollback" and result is not None:
                step = int(result["new"])
        if agreed.wants & Wants.PAUSE and not self.paused:
            self._pause()
            self._tell(step, f"paused: {self._why or 'another rank asked for it'}")
            self._why = ""
        if has_applied:
            self.wire.journal(JOURNAL_S)
        return step

    def _due(self, commands: list[Command], step: int) -> list[Command]:
        """What is for this boundary, or for one that is past; what is for a later one is kept."""
        known = [*self._later, *commands]
        self._later = [command for command in known if command.at_step > step]
        return [command for command in known if command.at_step <= step]

    def _apply(self, command: Command, step: int) -> dict[str, Any] | None:
        """What it did, as told; None when it was refused."""
        caught = Caught("lossguard failed at it")
        result: dict[str, Any] | None = None
        try:
            with caught:
                result = self._done(command, step)
            if result is None:
                raise NotPossible(caught.text)
        except NotPossible as refusal:
            self._refuse(command, step, str(refusal))
            return None
        self.applied_upto = max(self.applied_upto, command.number)
        self._settle(command, step, {"state": "applied", **result, "ranks": self._ranks.count})
        return result

    def _done(self, command: Command, step: int) -> dict[str, Any]:
        if 0 <= command.at_step < step:
            raise NotPossible(LATE.format(command.at_step))
        args = checked(command.kind, command.args)
        self._deeds.check(command.kind, args, step)
        if command.kind == "stop":
            result = {"old": self._state, "new": "stopped"}
            self.stopping = True
        elif command.kind in _STATES:
            result = {"old": self._state, "new": "paused" if command.kind == "pause" else "running"}
            if command.kind == "pause":
                self._pause()
            else:
                self.paused = False
        else:
            result = self._deeds.do(command, args, step)
        return {**result, "args": args}

    def _go_back(self, step: int) -> int:
        """By a wish of the script's. Where there is nowhere to go back to, nothing happens."""
        try:
            return self._deeds.roll_back(step, None, None)[1]
        except NotPossible as reason:
            if str(reason) != self._stays_because:  # a script may ask at every step
                self._stays_because = str(reason)
                log.warning("lossguard: run.rollback() changed nothing at step %d: %s", step, reason)
            return step

    def _pause(self) -> None:
        self.paused, self._paused_at_s = True, self._clock()

    @property
    def _state(self) -> str:
        return "paused" if self.paused else "running"

    def _refuse(self, command: Command, step: int, reason: str) -> None:
        if command.number <= MAX_STEP:  # no checkpoint with a higher one could be read
            self.applied_upto = max(self.applied_upto, command.number)
        self._settle(command, step, {"state": "rejected", "reason": reason})

    # -- what is told -------------------------------------------------------------------------------------------

    def _settle(self, command: Command, step: int, result: dict[str, Any]) -> None:
        self._report(command, step, result)
        self._keep(command, step, result)

    def _keep(self, command: Command, step: int, result: dict[str, Any]) -> None:
        self._outcomes[command.id] = (command, step, result)
        if len(self._outcomes) > OUTCOMES_MAX:
            del self._outcomes[next(iter(self._outcomes))]

    def _tell_again(self, id: str) -> None:
        """Nothing of one that waits for its boundary. The server takes the same word twice for one."""
        if (outcome := self._outcomes.get(id)) is not None:
            command, step, result = outcome
            self._report(command, self._deeds.in_force_from(id, step), result)


def _order(command: Command) -> tuple[int, bool, int]:
    """Of those for one boundary; what was applied once already goes before what is new."""
    rank = ORDER.index(command.kind) if command.kind in ORDER else len(ORDER) + (command.kind in _STATES)
    return rank, command.at_step < 0, command.number
