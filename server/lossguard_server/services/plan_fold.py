"""The Plan of an attempt, folded from what its trainer declared and told, in order.

Rules of this file:
- Pure, and of one attempt: a newer one begins with what it declares, or with the checkpoint that its `resume` names.
- The trainer is the truth of what it applied: nothing is refused here because it makes no sense. What could not be
  computed with (no such kind, arguments that are none, a revert of nothing) is left out, whoever sent it.
- A trainer repeats its word to a server that was set back and offers again what is settled. A repeat changes nothing:
  what a `resume` of the same attempt left out since stays out.
- A trainer before wire 1.4 tells no arguments; they are those of the command that it obeyed (`given`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from lossguard.protocol.commands import checked
from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import Declaration, Event, Operation, StageSpec
from lossguard.protocol.steering import GO_TO, REVERT, STEERING_KINDS, NotPossible, Plan

from ..store.branches import step_of, target_of

APPLIED = "applied"

Given = Callable[[str], tuple[str, Mapping[str, Any]] | None]  # of a command's id: its kind and arguments, if known


def nothing_given(command_id: str) -> None:
    """No command is known."""


class PlanFold:
    """What one attempt has said so far; `plan` is computed when it is asked for."""

    def __init__(self) -> None:
        self.has_declared = False
        self.resumed_step: int | None = None  # where it goes on from a checkpoint
        self.reached_step = 0  # the latest boundary of which it told; rows may be behind it
        self._declared = Declaration(seq=0)
        self._stages: list[StageSpec] = []
        self._components: list[str] = []
        self._operations: dict[str, Operation] = {}  # by id, in order
        self._told: set[tuple[str, int]] = set()  # what it said it applied, and where
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """What is in force at any step."""
        if self._plan is None:
            self._plan = Plan(self._stages, self._components, list(self._operations.values()))
        return self._plan

    @property
    def declaration(self) -> Declaration:
        """The newest, its operations being all that hold."""
        return msgspec.structs.replace(self._declared, operations=list(self.plan.operations))

    def declare(self, declaration: Declaration) -> None:
        """Stages and components, from now on. What a patch did comes before what was done since."""
        self.has_declared, self._plan, self._declared = True, None, declaration
        self._stages, self._components = list(declaration.stages), list(declaration.components)
        known = [each for each in declaration.operations if each.id not in self._operations]
        self._replace([*known, *self._operations.values()])

    def tell(self, event: Event, given: Given = nothing_given) -> None:
        """One of its events; those that steer nothing change nothing."""
        if event.kind == "resume":
            self.resumed_step = self.reached_step = max(event.step, 0)
            self._replace(operations_of(event))
        elif event.kind == "rollback" and (to_step := target_of(event)) is not None:
            self.reached_step = to_step
            moved = self.plan.rolled_back(to_step, step_of(event, "from")).operations
            self._operations, self._plan = {each.id: each for each in moved}, None
        elif event.kind == "command" and (operation := applied_by(event, given)) is not None:
            self._applied(operation)

    def _applied(self, operation: Operation) -> None:
        if (word := (operation.id, operation.step)) in self._told:
            return
        self._told.add(word)
        self.reached_step = max(self.reached_step, operation.step)
        self._add(operation)

    def _replace(self, operations: Iterable[Operation]) -> None:
        self._operations, self._plan = {}, None
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        if operation.id not in self._operations and self._can_be_computed(operation):
            self._operations[operation.id], self._plan = operation, None

    def _can_be_computed(self, operation: Operation) -> bool:
        try:
            args = checked(operation.kind, operation.args)
        except NotPossible:
            return False
        if operation.kind == GO_TO:
            return any(stage.name == args["stage"] for stage in self._stages)
        is_known = operation.kind != REVERT or args["command"] in self._operations
        return is_known and operation.kind in STEERING_KINDS and 0 <= operation.step <= MAX_STEP


def fold(messages: Iterable[Declaration | Event], given: Given = nothing_given) -> PlanFold:
    """The same of all that an attempt has said."""
    folded = PlanFold()
    for message in messages:
        if isinstance(message, Declaration):
            folded.declare(message)
        else:
            folded.tell(message, given)
    return folded


def steered(declaration: Declaration, event: Event) -> Declaration:
    """A declaration whose operations are those that hold after one event more."""
    return fold([declaration, event]).declaration


def applied_by(event: Event, given: Given) -> Operation | None:
    """What a `command` event says was applied; None when it says something else."""
    command_id, kind, args = (event.data.get(name) for name in ("id", "kind", "args"))
    if event.data.get("state") != APPLIED or not isinstance(command_id, str):
        return None
    if isinstance(args, dict) and isinstance(kind, str):
        return Operation(event.step, command_id, kind, args)
    known = given(command_id)
    return None if known is None else Operation(event.step, command_id, known[0], dict(known[1]))


def operations_of(event: Event) -> list[Operation]:
    """The operations that a `resume` event lists as [step, id, kind, args]; those that are none are left out."""
    listed = event.data.get("operations")
    found = []
    for each in listed if isinstance(listed, list | tuple) else ():
        if isinstance(each, list | tuple) and len(each) == 4:
            step, command_id, kind, args = each
            if type(step) is int and isinstance(command_id, str) and isinstance(kind, str) and isinstance(args, dict):
                found.append(Operation(step, command_id, kind, args))
    return found
