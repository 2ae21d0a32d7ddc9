"""What is in force at any step: the declared curriculum, and what was done to it since.

Rules of this file:
- Pure, and a function of (stages, operations, step) alone: trainer, server, export and tests all compute it here, so
  the weight at a step follows from the audit trail.
- An operation holds from its step on, until its lease is over or it is reverted; the latest of a kind wins. What lies
  beneath comes back by itself.
- The curriculum has a clock: hold stops it (weights stay as they are, in the middle of a ramp too), release lets it go
  on from there, go_to_stage sets it. A hold that is reverted never was: the clock is where it would have been.
- After a rollback everything that was done since its target is done again at the target: training goes back, intentions
  stay.
- Between two edges (steps at which an operation begins or ends) the same operations hold, so they are looked up once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .messages import Operation, RampSpec, StageSpec
from .stages import planned_weight, ramp_at, stage_index

SET, SCALE, GATE = "set_weight", "scale_weights", "gate"
HOLD, RELEASE, GO_TO = "hold_stage", "release_stage", "go_to_stage"
LR, CLIP, REVERT = "set_lr_scale", "set_clip", "revert"
STEERING_KINDS = (SET, SCALE, GATE, HOLD, RELEASE, GO_TO, LR, CLIP, REVERT)
LEASED_KINDS = (SET, SCALE, GATE, HOLD, LR, CLIP)
CLOCK_KINDS = (HOLD, RELEASE, GO_TO)
_NEVER: tuple[list[int], list[int]] = ([], [])


class NotPossible(Exception):
    """The operation makes no sense where it was asked for; the text is the reason, for a person."""


@dataclass(frozen=True)
class Clock:
    """The curriculum's clock from step `at` on: it stands at `position`, and runs, or is held (`until` a step)."""

    at: int = 0
    position: int = 0
    runs: bool = True
    until: int | None = None

    def at_step(self, step: int) -> "Clock":
        """The clock at a later step."""
        if self.runs:
            return Clock(step, self.position + step - self.at)
        if self.until is not None and step >= self.until:
            return Clock(step, self.position + step - self.until)
        return Clock(step, self.position, False, self.until)


@dataclass(frozen=True)
class _Span:
    """What holds between two edges, by number of operation: a component's set, and the scales over it."""

    sets: dict[str, int]
    scales: dict[str, tuple[float, ...]]
    gated: frozenset[str]
    lr_scale: float
    clip: float | None
    clock: Clock


class Plan:
    """Immutable: `plus` and `rolled_back` give another one."""

    def __init__(
        self, stages: Sequence[StageSpec], components: Sequence[str], operations: Sequence[Operation] = ()
    ) -> None:
        self.stages = tuple(sorted(stages, key=lambda stage: stage.start))
        self.components = tuple(components)
        # in the order in which they begin: of a curriculum file some are only due later than what is done now
        self.operations = tuple(sorted(operations, key=lambda operation: operation.step))
        self._roots = _roots(self.operations)
        self._reverts = _reverts(self.operations, self._roots)
        edges = {0}
        for operation in self.operations:
            edges |= {operation.step, lease_end(operation) or 0}
        self._edges = sorted(edges)
        self._spans: dict[int, _Span] = {}
        self._begins: dict[tuple[int, str], float] = {}

    # -- what is in force ---------------------------------------------------------------------------------------------

    def weights_at(self, step: int) -> dict[str, float]:
        """The weight of every component; 0 of one that is gated."""
        span = self._span(step)
        return {name: self._weight(span, name, step) for name in self.components}

    def weight_at(self, component: str, step: int) -> float:
        """The weight of one component; 0 where it is gated, or no stage names it."""
        return self._weight(self._span(step), component, step)

    def gated_at(self, step: int) -> frozenset[str]:
        """Components that take no part: they are left out of the graph."""
        return self._span(step).gated

    def lr_scale_at(self, step: int) -> float:
        """What every learning rate is multiplied by."""
        return self._span(step).lr_scale

    def clip_at(self, step: int) -> float | None:
        """The norm that gradients are clipped to; None: what the script says."""
        return self._span(step).clip

    def clock_at(self, step: int) -> Clock:
        """The curriculum's clock: `position` is the step whose stage and ramp are in force."""
        return self._span(step).clock.at_step(step)

    def stage_index_at(self, step: int) -> int | None:
        """The index of the stage in force; None before the first, or where none is declared."""
        return stage_index(self.stages, self.clock_at(step).position)

    def began_at(self, step: int) -> int:
        """The first step of the stay in the stage that is in force at `step`; 0 where none is declared."""
        index, last = self.stage_index_at(step), step
        while True:
            edge = self._edges[bisect_right(self._edges, max(last, 0)) - 1]
            clock = self.clock_at(edge)
            entered = 0 if index is None else self.stages[index].start
            if clock.runs and clock.position < entered:  # within this span, which is all of one pace
                return edge + entered - clock.position
            if edge == 0 or self.stage_index_at(edge - 1) != index:
                return edge
            last = edge - 1

    def begins_at(self, index: int, step: int) -> int | None:
        """The step at which stage `index` will begin, seen from `step`, if nothing more is done; None: never again."""
        clock = self.clock_at(step)
        left = self.stages[index].start - clock.position
        if left <= 0:
            return None
        if clock.runs:
            return step + left
        return None if clock.until is None else clock.until + left

    def changes_after(self, step: int) -> list[int]:
        """Steps after `step`, in order, at which something begins or ends by itself: stages, ramps, leases."""
        found = set(self._edges)
        found |= {each.step + int(each.args["ramp_steps"]) for each in self.operations if each.args.get("ramp_steps")}
        clock = self.clock_at(step)
        base = step if clock.runs else clock.until
        if base is not None:
            for stage in self.stages:
                ramps = [each.steps for each in stage.weights.values() if isinstance(each, RampSpec)]
                ends = [stage.start + more for more in (0, *ramps)]
                found |= {base + end - clock.position for end in ends if end > clock.position}
        return sorted(at for at in found if at > step)

    # -- what is done to it -------------------------------------------------------------------------------------------

    def plus(self, operation: Operation) -> "Plan":
        """The plan with one operation more, which is the latest. Raises NotPossible."""
        check = _CHECKS.get(operation.kind)
        if check is None:
            raise NotPossible(f"{operation.kind!r} changes nothing of a curriculum")
        if any(each.id == operation.id for each in self.operations):
            raise NotPossible(f"command {operation.id!r} was applied already")
        check(self, operation)
        more = Plan(self.stages, self.components, (*self.operations, operation))
        if more.operations[-1] is operation:  # what lies beneath earlier ramps is what it was
            more._begins = self._begins
        return more

    def rolled_back(self, to_step: int, from_step: int | None = None) -> "Plan":
        """After training went back to `to_step`: what was done later is done there.

        `from_step`: the step that came next before; what is only due after it (of a curriculum file) stays where it is.
        """
        moved = [
            each
            if from_step is not None and each.step > from_step
            else Operation(min(each.step, to_step), each.id, each.kind, each.args)
            for each in self.operations
        ]
        return Plan(self.stages, self.components, moved)

    def is_live(self, number: int, step: int, before: int | None = None) -> bool:
        """Operation `number` holds at `step`; `before`: by the operations before that number."""
        operation = self.operations[number]
        end, before = lease_end(operation), len(self.operations) if before is None else before
        return operation.step <= step and (end is None or step < end) and not self._is_reverted(number, step, before)

    def root_of(self, number: int) -> int:
        """The operation that a revert, or a revert of a revert, is about."""
        return self._roots[number]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _span(self, step: int) -> _Span:
        number = bisect_right(self._edges, max(step, 0)) - 1
        if number not in self._spans:
            self._spans[number] = self._span_from(self._edges[number])
        return self._spans[number]

    def _span_from(self, edge: int, before: int | None = None) -> _Span:
        sets: dict[str, int] = {}
        scales: dict[str, tuple[float, ...]] = {}
        closed: dict[str, bool] = {}
        lr_scale, clip = 1.0, None
        for number, operation in enumerate(self.operations[:before]):
            args = operation.args
            if not self.is_live(number, edge, before):
                continue
            if operation.kind == SET:
                sets[args["component"]] = number
                scales.pop(args["component"], None)
            elif operation.kind == SCALE:
                for name in args.get("components") or self.components:
                    scales[name] = (*scales.get(name, ()), float(args["factor"]))
            elif operation.kind == GATE:
                closed[args["component"]] = not args["open"]
            elif operation.kind == LR:
                lr_scale = float(args["value"])
            elif operation.kind == CLIP:
                clip = float(args["value"])
        gated = frozenset(name for name, is_closed in closed.items() if is_closed)
        return _Span(sets, scales, gated, lr_scale, clip, self._clock_from(edge, before))

    def _clock_from(self, edge: int, before: int | None = None) -> Clock:
        clock, among = Clock(), self.operations[:before]
        for number, operation in enumerate(among):
            is_about_it = operation.kind in CLOCK_KINDS and operation.step <= edge
            if not is_about_it or self._is_reverted(number, edge, len(among)):
                continue
            clock = clock.at_step(operation.step)
            if operation.kind == HOLD:
                clock = Clock(clock.at, clock.position, False, lease_end(operation))
            elif operation.kind == RELEASE:
                clock = Clock(clock.at, clock.position)
            else:
                start = next(each.start for each in self.stages if each.name == operation.args["stage"])
                clock = Clock(clock.at, start, clock.runs, clock.until)
        return clock.at_step(edge)

    def _weight(self, span: _Span, component: str, step: int) -> float:
        if component in span.gated:
            return 0.0
        return self._ungated(component, step, span.sets.get(component), span.scales.get(component, ()), span.clock)

    def _ungated(
        self, component: str, step: int, number: int | None, factors: tuple[float, ...], clock: Clock
    ) -> float:
        if number is None:
            position = clock.at_step(step).position
            index = stage_index(self.stages, position)
            weight = 0.0 if index is None else planned_weight(self.stages[index], component, position)
        else:
            weight = self._set_weight(component, number, step)
        for factor in factors:
            weight *= factor
        return weight

    def _set_weight(self, component: str, number: int, step: int) -> float:
        operation = self.operations[number]
        value, steps = float(operation.args["value"]), operation.args.get("ramp_steps")
        if not steps:
            return value
        if (number, component) not in self._begins:
            self._fill_begins(component, number)
        return ramp_at(self._begins[number, component], value, int(steps), step - operation.step)

    def _fill_begins(self, component: str, up_to: int) -> None:
        """What was in force beneath each ramp when it began; earlier ones first, so that none asks for another."""
        for number in range(up_to + 1):
            operation = self.operations[number]
            is_ramp = operation.kind == SET and operation.args.get("ramp_steps")
            if is_ramp and operation.args["component"] == component and (number, component) not in self._begins:
                span = self._span_from(operation.step, number)
                below, factors = span.sets.get(component), span.scales.get(component, ())
                self._begins[number, component] = self._ungated(component, operation.step, below, factors, span.clock)

    def _is_reverted(self, number: int, step: int, before: int) -> bool:
        """By the operations before number `before`. Reverts of it, and of these, cancel each other out."""
        steps, numbers = self._reverts.get(number, _NEVER)
        return min(bisect_right(steps, step), bisect_left(numbers, before)) % 2 == 1


def lease_end(operation: Operation) -> int | None:
    """The first step at which it holds no more by itself."""
    lease = operation.args.get("lease_steps")
    return None if lease is None else operation.step + int(lease)


def _roots(operations: Sequence[Operation]) -> list[int]:
    """The number of the operation that each is about: of a revert the earlier one that it names, or what that one is
    about. Only earlier ones, so that no circle can come from a file or a wire."""
    numbers: dict[str, int] = {}
    found: list[int] = []
    for number, operation in enumerate(operations):
        target = numbers.get(operation.args["command"]) if operation.kind == REVERT else None
        found.append(number if target is None else found[target])
        numbers.setdefault(operation.id, number)
    return found


def _reverts(operations: Sequence[Operation], roots: Sequence[int]) -> dict[int, tuple[list[int], list[int]]]:
    """Of each operation that was reverted: the steps and numbers of these reverts, and of theirs, increasing."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for number, root in enumerate(roots):
        if root != number:
            steps, numbers = found.setdefault(root, ([], []))
            steps.append(operations[number].step)
            numbers.append(number)
    return found


# -- what makes sense where --------------------------------------------------------------------------------------------


def _check_component(plan: Plan, operation: Operation) -> None:
    _known(plan, operation.args["component"])


def _check_scale(plan: Plan, operation: Operation) -> None:
    for name in operation.args.get("components") or ():
        _known(plan, name)


def _known(plan: Plan, component: str) -> None:
    if component not in plan.components:
        raise NotPossible(f"this run has no component {component!r}")


def _check_hold(plan: Plan, operation: Operation) -> None:
    _check_stages(plan)
    if not plan.clock_at(operation.step).runs:
        raise NotPossible("the stage is held already")


def _check_release(plan: Plan, operation: Operation) -> None:
    _check_stages(plan)
    if plan.clock_at(operation.step).runs:
        raise NotPossible("the stage is not held")


def _check_go_to(plan: Plan, operation: Operation) -> None:
    _check_stages(plan)
    names = [stage.name for stage in plan.stages]
    if operation.args["stage"] not in names:
        raise NotPossible(f"this run has no stage {operation.args['stage']!r}; it has {', '.join(names)}")


def _check_stages(plan: Plan) -> None:
    if len(plan.stages) < 2:
        raise NotPossible("this run has no stages to hold or to go to")


def _check_nothing(plan: Plan, operation: Operation) -> None:
    """The learning rate and the clip are nobody's but the operator's."""


def _check_revert(plan: Plan, operation: Operation) -> None:
    target, step = operation.args["command"], operation.step
    number = next((at for at, each in enumerate(plan.operations) if each.id == target), None)
    if number is None:
        raise NotPossible(f"no command {target!r} that can be reverted was applied to this run")
    if plan.operations[number].step > step:
        raise NotPossible(f"it is due at step {plan.operations[number].step} only")
    number_of_root = plan.root_of(number)
    root = plan.operations[number_of_root]
    if (end := lease_end(root)) is not None and end <= step:
        raise NotPossible(f"its lease ended at step {end}: there is nothing left to revert")
    latest = max(at for at in range(len(plan.operations)) if at == number_of_root or plan.root_of(at) == number_of_root)
    if number != latest:
        raise NotPossible("it was reverted already, or the revert was; revert the latest of them")
    for at in range(number_of_root + 1, len(plan.operations)):
        if plan.is_live(at, step) and _covers(plan.operations[at], root, plan.components):
            what = plan.operations[at].args.get("component")
            said = f"the weight of {what!r}" if what is not None else "the same"
            raise NotPossible(f"{said} was changed again since; revert the later change first")


def _covers(later: Operation, earlier: Operation, components: Sequence[str]) -> bool:
    """While the later one holds, nobody could see that the earlier one is taken back."""
    if later.kind in CLOCK_KINDS and earlier.kind in CLOCK_KINDS:
        return True
    if later.kind == SET and earlier.kind in (SET, SCALE):
        moved = (earlier.args["component"],) if earlier.kind == SET else earlier.args.get("components") or components
        return later.args["component"] in moved
    if later.kind == GATE and earlier.kind == GATE:
        return bool(later.args["component"] == earlier.args["component"])
    return later.kind == earlier.kind and earlier.kind in (LR, CLIP)


_CHECKS = {
    SET: _check_component,
    SCALE: _check_scale,
    GATE: _check_component,
    HOLD: _check_hold,
    RELEASE: _check_release,
    GO_TO: _check_go_to,
    LR: _check_nothing,
    CLIP: _check_nothing,
    REVERT: _check_revert,
}
