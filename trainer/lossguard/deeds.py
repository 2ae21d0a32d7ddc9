"""What a command does: each kind but pause, resume and stop, carried out at one boundary.

Rules of this file:
- The server is treated as hostile: a command is a known kind with checked arguments within the script's own bounds, or
  it is refused with a reason that reaches the page.
- What all ranks must do or none (a rollback, a checkpoint) is settled between them before it is told as done.
- Whatever fails here, the script's own function included, is a reason and no error of the training.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .protocol.commands import fits, fits_back
from .protocol.messages import Command, ControlsSpec, Operation
from .protocol.steering import (
    CLIP,
    GATE,
    GO_TO,
    HOLD,
    LR,
    RELEASE,
    REVERT,
    SCALE,
    SET,
    STEERING_KINDS,
    NotPossible,
    Plan,
)
from .ranks import NotSettled, Ranks
from .schedule import Schedule

log = logging.getLogger("lossguard")

Result = dict[str, Any]
CheckpointFunction = Callable[[int], Any]  # step -> path, or None
PATH_CHARS = 512  # of a checkpoint's path, as told
NO_CLIP = "the script has not called run.clip_grad_norm_ yet, so there is no clipping to change"


def _nowhere(before: int | None) -> int | None:
    return None


@dataclass(frozen=True)
class Means:
    """What deeds are done with; the defaults can do nothing.

    `raise_detail` (step, steps, reason) -> last step of full detail; `newest_snapshot` (before) -> its step;
    `obstacle` (before) -> why it does not fit any more, or ""; `roll_back` (before, command) -> (from, to);
    `clip` -> the norm that the script clips to, None while it has not.
    """

    raise_detail: Callable[[int, int, str], int] = lambda step, steps, reason: step + steps - 1
    newest_snapshot: Callable[[int | None], int | None] = _nowhere
    obstacle: Callable[[int | None], str] = lambda before: ""
    roll_back: Callable[[int | None, str | None], tuple[int, int] | None] = lambda before, command: None
    clip: Callable[[], float | None] = lambda: None
    checkpoint: CheckpointFunction | None = None


class Deeds:
    """Carries out commands, one at a time."""

    def __init__(self, schedule: Schedule, spec: ControlsSpec, ranks: Ranks, means: Means) -> None:
        self._schedule, self._spec, self._ranks, self._means = schedule, spec, ranks, means

    def check(self, kind: str, args: Mapping[str, Any], step: int) -> None:
        """Whether the script allows it. Raises NotPossible."""
        fits(kind, args, self._schedule.plan, self._spec, step)

    def do(self, command: Command, args: dict[str, Any], step: int) -> Result:
        """Carry out what was checked, at the boundary before `step`. Raises NotPossible."""
        if command.kind in STEERING_KINDS:
            return self._steer(command, args, step)
        if command.kind == "rollback":
            moved = self.roll_back(step, args.get("before_step"), command.id)
            return {"old": moved[0], "new": moved[1]}
        if command.kind == "checkpoint":
            return {"old": None, "new": self._checkpoint(step)}
        return {"old": None, "new": self._means.raise_detail(step, args["steps"], f"command {command.id}")}

    def roll_back(self, step: int, before: int | None, command: str | None) -> tuple[int, int]:
        """From the boundary before `step`, all ranks to the newest healthy snapshot that all have; (from, to).

        Raises NotPossible.
        """
        if (newest := self._newest_of_all(before)) is None:
            when = "" if before is None else f" before step {before}"
            raise NotPossible(f"there is no healthy snapshot{when}")
        fits_back(self._schedule.plan, newest, step, self._spec)
        self._settle(self._means.obstacle(newest + 1))
        moved = self._means.roll_back(newest + 1, command)
        if moved is None:
            raise NotPossible(f"the snapshot of step {newest} could not be put back")
        return moved

    def in_force_from(self, id: str, step: int) -> int:
        """The step from which what was applied at `step` holds now: a rollback moves it. Asked by any thread."""
        return next((each.step for each in self._schedule.plan.operations if each.id == id), step)

    # -- inside -------------------------------------------------------------------------------------------------

    def _steer(self, command: Command, args: dict[str, Any], step: int) -> Result:
        if command.kind == CLIP and command.at_step < 0 and self._means.clip() is None:
            raise NotPossible(NO_CLIP)
        operation, before = Operation(step, command.id, command.kind, args), self._schedule.plan
        after = before.plus(operation)
        kind, about = _root(after, command.id)
        shown = SHOWN[kind]
        result = {"old": shown(before, about, step), "new": shown(after, about, step)}
        if command.kind == SET and "ramp_steps" in args:
            result["new"] = float(args["value"])  # where it is going to
        if kind == CLIP:
            clip = self._means.clip()
            theirs = None if clip is None else float(clip)
            result = {key: theirs if value is None else value for key, value in result.items()}
        if "component" in about:
            result["component"] = about["component"]
        self._schedule.apply(operation)  # last: what fails above is told as refused, and so must not be in force
        return result

    def _newest_of_all(self, before: int | None) -> int | None:
        while True:
            newest = self._means.newest_snapshot(before)
            said = self._said("" if newest is None else str(newest))
            if "" in said:
                return None
            if len(set(said)) == 1:
                return newest
            before = min(map(int, said)) + 1

    def _checkpoint(self, step: int) -> str | None:
        if self._means.checkpoint is None:
            raise NotPossible("the script gave lg.init no checkpoint function")
        path, text, caught = None, "", Caught("the script's checkpoint function failed")
        with caught:
            path = self._means.checkpoint(step)
            # a path need not be UTF-8, nor short; what the wire does not carry would never be told
            text = str(path).encode("utf-8", errors="replace").decode()[:PATH_CHARS]
        self._settle(caught.text)
        return None if path is None else text

    def _settle(self, fault: str) -> None:
        """All ranks can, or none does. Raises NotPossible with the first fault."""
        for rank, said in enumerate(self._said(fault)):
            if said:
                raise NotPossible(said if self._ranks.count == 1 else f"rank {rank}: {said}")

    def _said(self, mine: str) -> list[str]:
        try:
            return self._ranks.settle(mine)
        except NotSettled as trouble:
            raise NotPossible(str(trouble)) from None


class Caught:
    """A context in which a failure becomes a text, said once in the log as well."""

    def __init__(self, what: str) -> None:
        self._what, self.text = what, ""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if not isinstance(error, Exception) or isinstance(error, NotPossible):
            return False
        self.text = f"{self._what}: {error!r}"[:500]
        log.warning("lossguard: %s", self.text, exc_info=error)
        return True


# -- what a kind is about, as it stands under a plan -------------------------------------------------------------------


def _root(plan: Plan, id: str) -> tuple[str, Mapping[str, Any]]:
    """Kind and arguments of what the operation is, or takes back, or does again."""
    number = next(at for at, each in enumerate(plan.operations) if each.id == id)
    operation = plan.operations[plan.root_of(number)]
    return operation.kind, operation.args


def _weights(plan: Plan, args: Mapping[str, Any], step: int) -> dict[str, float]:
    return {name: plan.weight_at(name, step) for name in args.get("components") or plan.components}


def _stage(plan: Plan, args: Mapping[str, Any], step: int) -> str | None:
    index = plan.stage_index_at(step)
    return None if index is None else plan.stages[index].name


def _pace(plan: Plan, args: Mapping[str, Any], step: int) -> str:
    return "going on" if plan.clock_at(step).runs else "held"


SHOWN: Mapping[str, Callable[[Plan, Mapping[str, Any], int], Any]] = {
    SET: lambda plan, args, step: plan.weight_at(args["component"], step),
    SCALE: _weights,
    GATE: lambda plan, args, step: "closed" if args["component"] in plan.gated_at(step) else "open",
    HOLD: _pace,
    RELEASE: _pace,
    GO_TO: _stage,
    LR: lambda plan, args, step: plan.lr_scale_at(step),
    CLIP: lambda plan, args, step: plan.clip_at(step),
}
assert {*SHOWN, REVERT} == set(STEERING_KINDS)
