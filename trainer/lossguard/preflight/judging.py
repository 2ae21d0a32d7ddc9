"""What each stage makes of the losses that were seen: the look-ahead of the server's rules, before there is a run.

    contribution = w L      share = |w L| / sum of |w L|      jump = sum of w L / the same with the weights just before
    critical   a loss or a gradient that is not finite; a jump above 2 that no ramp is long enough for; an auxiliary
               component above half of the total; one beside which float32 loses all others; a gradient whose square
               overflows
    warning    a jump above 1.5, or ramped; a new component below 1e-4; an auxiliary component with more than half of
               the gradients, one of several equal ones with 99 % of them; one without a gradient; a total that was not
               above 0, moved by a new component; a loss beyond half precision; an unseen one
    Auxiliary: its weight is not the largest of the stage. New: its weight grows more than 10 times.

Rules of this file: pure; limits and arithmetic are those of protocol/magnitudes.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, isfinite, log, nan

from ..curriculum import Curriculum, Ramp, Stage
from ..protocol import magnitudes as limits
from .report import CRITICAL, WARNING, Component, Finding, Report, Row, StageReport


def judged(components: Sequence[Component], curriculum: Curriculum, batches: int, notes: Sequence[str] = ()) -> Report:
    """The report of what was seen in `batches` batches under these stages."""
    stages = tuple(_stage(Prospect(components, curriculum, index)) for index in range(len(curriculum.stages)))
    return Report(batches, tuple(components), stages, tuple(notes))


@dataclass(frozen=True)
class Prospect:
    """One stage of a curriculum and the components that were seen before it."""

    components: Sequence[Component]
    curriculum: Curriculum
    index: int

    @property
    def stage(self) -> Stage:
        return self.curriculum.stages[self.index]

    def before(self, name: str) -> float:
        """The weight just before the stage; 0 before the first."""
        return 0.0 if self.index == 0 else self.curriculum.weights_at(self.stage.start - 1).get(name, 0.0)

    def after(self, name: str) -> float:
        """The weight that the stage leads to."""
        planned = self.stage.weights.get(name, 0.0)
        return planned.end if isinstance(planned, Ramp) else planned

    def is_new(self, name: str) -> bool:
        return abs(self.after(name)) > limits.INTRODUCED * abs(self.before(name))

    def is_auxiliary(self, name: str) -> bool:
        largest = max(abs(self.after(each)) for each in self.curriculum.components)
        return abs(self.after(name)) < limits.AUXILIARY * largest

    @property
    def total_before(self) -> float:
        """NaN before the first stage."""
        return nan if self.index == 0 else sum(self.before(each.name) * each.raw for each in self.components)

    @property
    def unseen(self) -> list[str]:
        """The components of the stage of which nothing is known."""
        known = {each.name for each in self.components if not isfinite(each.raw) or _is_evaluated(each)}
        return [name for name in self.curriculum.components if self.after(name) != 0 and name not in known]

    def rows(self) -> tuple[Row, ...]:
        pairs = [(each, self.after(each.name)) for each in self.components]
        size = sum(abs(weight * each.raw) for each, weight in pairs)
        shared = isfinite(size) and size > 0
        return tuple(
            Row(
                component=each.name,
                weight=weight,
                raw=each.raw,
                contribution=weight * each.raw,
                share=abs(weight * each.raw) / size if shared else nan,
                grad_norm=None if each.grad_norm is None else abs(weight) * each.grad_norm,
            )
            for each, weight in pairs
        )


def _is_evaluated(component: Component) -> bool:
    return max(abs(component.low), abs(component.high)) > limits.NOT_EVALUATED


def _stage(ahead: Prospect) -> StageReport:
    rows = ahead.rows()
    total, before = sum(row.contribution for row in rows), ahead.total_before
    is_known = isfinite(total) and isfinite(before) and before > 0 and not ahead.unseen
    jump = total / before if is_known else None
    found = [*_not_finite(ahead), *_unknown(ahead), *_without_gradient(ahead)]
    if isfinite(total):
        leaps = _blown_up(rows, total, jump, ahead) or _from_nothing(rows, total, ahead)
        found += _alone(rows) or [*leaps, *_dead(rows, ahead)]
        found += _too_large(rows)
        found += _gradients(rows, ahead, {each.component for each in found if each.severity == CRITICAL})
    found.sort(key=lambda each: each.severity != CRITICAL)
    return StageReport(ahead.stage.name, ahead.stage.start, rows, total, jump, tuple(found))


# -- what may be wrong ------------------------------------------------------------------------------------------------


def _not_finite(ahead: Prospect) -> list[Finding]:
    found = []
    for each in ahead.components:
        weight = ahead.after(each.name)
        at = f"at weight {weight:.3g}" if weight else "at weight 0, which does not help, for 0 * NaN is NaN"
        if each.nonfinite:
            text = f"{each.name} is not finite in {each.nonfinite} of {each.seen} batches, {at}: nor is the total then."
            found.append(Finding("not_finite", CRITICAL, each.name, text))
        elif each.grad_nonfinite:
            text = (
                f"The gradient of {each.name} is not finite in {each.grad_nonfinite} of {each.seen} batches, {at}; "
                f"its value is finite ({each.raw:.4g})."
            )
            found.append(Finding("gradient_not_finite", CRITICAL, each.name, text))
    return found


def _unknown(ahead: Prospect) -> list[Finding]:
    text = "{} was not evaluated in these batches (or is exactly 0): nothing can be said of what it adds here."
    return [Finding("unknown", WARNING, name, text.format(name)) for name in ahead.unseen]


def _without_gradient(ahead: Prospect) -> list[Finding]:
    return [
        Finding(
            "no_gradient",
            WARNING,
            each.name,
            f"{each.name} has no gradient in any of the {each.seen} batches: it is not connected to the model's "
            "parameters (detached, or made under no_grad), or flat there, so it teaches nothing.",
        )
        for each in ahead.components
        if ahead.after(each.name) != 0 and _teaches_nothing(each)
    ]


def _teaches_nothing(component: Component) -> bool:
    """Of one that was not evaluated, no gradient says nothing."""
    return 0 < component.seen == component.grad_zero and _is_evaluated(component)


def _alone(rows: Sequence[Row]) -> list[Finding]:
    """A component beside which float32 does not see the others: no weight mends a scale that was forgotten."""
    counting = [row for row in rows if row.contribution != 0]
    size = sum(abs(row.contribution) for row in counting)
    others = {row.component: sum(abs(each.contribution) for each in counting if each is not row) for row in counting}
    return [
        Finding(
            "alone",
            CRITICAL,
            row.component,
            f"{row.component} is all of the total: it adds {row.contribution:.3g} (raw value {row.raw:.4g} at weight "
            f"{row.weight:.3g}), all others together {others[row.component]:.3g}, which float32 loses beside it. "
            f"Look for a scale that is missing in {row.component}.",
        )
        for row in counting
        if len(counting) > 1 and others[row.component] <= limits.ALONE * size
    ]


def _blown_up(rows: Sequence[Row], total: float, jump: float | None, ahead: Prospect) -> list[Finding]:
    """The total jumps, or an auxiliary component takes it over: said once, of the component that adds most."""
    taking = [row for row in rows if ahead.is_auxiliary(row.component) and row.share > limits.SHARE]
    leaps = jump is not None and jump > limits.JUMP_SHOWN
    if not (taking or leaps):
        return []
    # a component below half of the total that grows most is the cause of a jump; else the one that took over
    cause = taking[0] if taking else max(rows, key=lambda row: abs(row.contribution) - _was(row, ahead))
    is_critical = bool(taking) or (jump is not None and jump > limits.JUMP and not _is_ramped(rows, jump, ahead))
    weight, words = _mended(rows, cause, ahead)
    if jump is None:
        said = (
            f"The total is {total:.3g}, {100 * cause.share:.3g} % of it {cause.component}, which has not the stage's "
            f"largest weight: raw value {cause.raw:.4g} at weight {cause.weight:.3g}."
        )
    else:
        said = limits.stage_text(
            ahead.stage.name, ahead.stage.start, ahead.total_before, total, cause.component, cause.share, cause.raw,
            cause.weight,
        )  # fmt: skip
    text = " ".join(part for part in (said, words, _ramp_words(rows, jump, ahead)) if part)
    return [Finding("stage", CRITICAL if is_critical else WARNING, cause.component, text, weight)]


def _was(row: Row, ahead: Prospect) -> float:
    return abs(ahead.before(row.component) * row.raw)


def _from_nothing(rows: Sequence[Row], total: float, ahead: Prospect) -> list[Finding]:
    """A total that was 0 or negative is not so many times as large; it is moved by more than a jump that is shown."""
    before = ahead.total_before
    new = [row for row in rows if row.contribution != 0 and ahead.is_new(row.component)]
    is_moved = isfinite(before) and before <= 0 and abs(total - before) > (limits.JUMP_SHOWN - 1) * abs(before)
    if not (new and is_moved) or ahead.unseen:
        return []
    cause = max(new, key=lambda row: abs(row.contribution))
    text = (
        f"Stage {ahead.stage.name!r} begins at step {ahead.stage.start}. The total is then predicted to go from "
        f"{before:.3g} to {total:.3g}; {cause.component} is new and adds {cause.contribution:.3g}: raw value "
        f"{cause.raw:.4g} at weight {cause.weight:.3g}. Beside a total that is not above 0 nothing tells whether that "
        "is too much."
    )
    return [Finding("stage", WARNING, cause.component, text)]


def _rise(row: Row, ahead: Prospect) -> float:
    """What the component adds to the total more than before; also of a negative one that goes away."""
    return row.contribution - ahead.before(row.component) * row.raw


def _is_slow(row: Row, jump: float, ahead: Prospect) -> bool:
    """Its ramp is long enough for the jump."""
    planned = ahead.stage.weights.get(row.component, 0.0)
    return isinstance(planned, Ramp) and planned.steps >= log(jump) / log(limits.GROWTH_PER_STEP)


def _is_ramped(rows: Sequence[Row], jump: float, ahead: Prospect) -> bool:
    """All that raises the total does so over a ramp that is long enough for it."""
    rising = [row for row in rows if _rise(row, ahead) > 0]
    return bool(rising) and all(_is_slow(row, jump, ahead) for row in rising)


def _ramp_words(rows: Sequence[Row], jump: float | None, ahead: Prospect) -> str:
    """The ramp of what raises the total most and is not planned to come slowly enough; empty where all is."""
    if jump is None or jump <= limits.JUMP_SHOWN:
        return ""
    sudden = [row for row in rows if _rise(row, ahead) > 0 and not _is_slow(row, jump, ahead)]
    if not sudden:
        return ""
    row = max(sudden, key=lambda each: _rise(each, ahead))
    return limits.ramp_text(row.component, ahead.before(row.component), row.weight, jump)


def _mended(rows: Sequence[Row], cause: Row, ahead: Prospect) -> tuple[float | None, str]:
    """The weight that the component should have in the stage, and the words for it; none for a leading loss."""
    name, before = cause.component, ahead.before(cause.component)
    if not ahead.is_auxiliary(name) or not cause.share > limits.TARGET_SHARE:
        return None, ""
    if not ahead.is_new(name) and cause.share <= limits.SHARE:
        return before, f"Keep the weight of {name} at {before:.3g}."
    others = sum(abs(row.contribution) for row in rows if row is not cause)
    value = limits.weight_for_share(others, cause.raw, limits.TARGET_SHARE)
    if value is None or value >= abs(cause.weight):
        return None, ""
    value = copysign(value, cause.weight)
    return value, limits.weight_text(name, cause.weight, value, cause.raw)


def _dead(rows: Sequence[Row], ahead: Prospect) -> list[Finding]:
    return [
        Finding(
            "dead",
            WARNING,
            row.component,
            f"{row.component} comes in and does nothing: it adds {row.contribution:.2g}, {100 * row.share:.1g} % of "
            f"the total (raw value {row.raw:.4g} at weight {row.weight:.3g}); below {100 * limits.SHARE_DEAD:g} % it "
            "is paid for, and hardly counts.",
        )
        for row in rows
        if row.weight != 0 and ahead.is_new(row.component) and 0 < row.share < limits.SHARE_DEAD and not ahead.unseen
    ]


def _too_large(rows: Sequence[Row]) -> list[Finding]:
    found = []
    for row in rows:
        if row.grad_norm is not None and isfinite(row.grad_norm) and row.grad_norm > limits.GRADIENT_MAX:
            text = f"The gradient of {row.component} has the norm {row.grad_norm:.3g}; its square overflows float32."
            found.append(Finding("too_large", CRITICAL, row.component, text))
        elif abs(row.contribution) > limits.HALF_MAX:
            text = (
                f"{row.component} adds {row.contribution:.3g}, more than half precision holds ({limits.HALF_MAX:g}): "
                "where float16 is used a GradScaler skips each step."
            )
            found.append(Finding("too_large", WARNING, row.component, text))
    return found


def _gradients(rows: Sequence[Row], ahead: Prospect, said: set[str]) -> list[Finding]:
    """A component that pulls more than its share of the total tells."""
    silent = {each.name for each in ahead.components if _teaches_nothing(each)}  # said of those, not of the others
    known = [
        (row, row.grad_norm)
        for row in rows
        if row.grad_norm is not None and isfinite(row.grad_norm) and row.component not in silent
    ]
    size = sum(norm for _, norm in known)
    leaders = [norm for row, norm in known if not ahead.is_auxiliary(row.component)]
    found = []
    for row, norm in known:
        name = row.component
        if not (size > 0 and isfinite(size)) or name in said or len(known) < 2:
            continue
        if ahead.is_auxiliary(name) and norm > limits.SHARE * size:
            raw = norm / abs(row.weight)
            even = limits.weight_for_share(size - norm, raw, limits.SHARE)
            mend = "" if even is None else f" At weight {even:.2g} it would be as long as those of all others."
            text = (
                f"{name} is {100 * row.share:.2g} % of the total, and its gradient, of norm {norm:.3g}, "
                f"{100 * norm / size:.2g} % of all gradients together: it leads the training.{mend}"
            )
            found.append(Finding("gradient", WARNING, name, text, even))
        elif len(leaders) > 1 and not ahead.is_auxiliary(name) and norm > limits.LEADER_GRADIENT * sum(leaders):
            text = (
                f"The gradient of {name}, of norm {norm:.3g}, is {100 * norm / sum(leaders):.4g} % of those of the "
                f"components that have the same weight: the others hardly count."
            )
            found.append(Finding("gradient", WARNING, name, text))
    return found
