"""Worked, no effect or worse: what two stretches of a run say of the command between them.

In this order; the first that applies is the verdict:
    not judged   the run went back over these steps, or there are too few to compare             no effect, not decided
    broke        the total is not finite in more than 10 % of the steps since, and was before    worse
    new alert    a critical alert began since, and is open                                       worse
    alert over   of a command that answers an alert: it ended                                    worked
    went back    (of a rollback) the total is no higher than before where it went back to        worked
    recovered    the total was not finite in half of the steps before or more, and is            worked
    not judged   the weights changed, and the total is not positive on both sides                no effect, not decided
    total rose   above its noise, its way and what the new weights make of the old losses        worse
    gradient     twice as large or more, where no weight was raised                              worse
    mended       the total was not finite in more than 10 % of the steps before, and is          worked
    alert open   of a command that answers an alert: it did not end                              no effect
    share        of the commanded component: it went with its weight, or against it              worked, worse
    calmer       (where no component is commanded) the total fell below what the new weights make of the old losses,
                 the gradient fell where the weights are what they were, or alerts ended         worked
    else         its noise explains what moved                                                   no effect

Rules of this file: pure. A weight moves the total by itself, which is what was asked for: the total is compared with
the old losses at the new weights, for a rise and for a fall; so is where it was going, which a ramp would hide. What is
told is medians. Of a total that was mostly not finite the rest is no level: nothing that comes is a rise from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .robust import Change, Samples, change
from .sentence import Clauses, number, percent, sentence, step_name, went
from .stretch import Stretch

WORKED, NO_EFFECT, WORSE = "worked", "no effect", "worse"
TOTAL_LEAST = 0.05  # log ratio: 5 %
SHARE_LEAST = 0.1
GRADIENT_LEAST = 0.1
GRADIENT_WORSE = 0.69  # twice
UNEXPLAINED = "the weights changed, and what they make of a total that is not positive cannot be told"
SHARE_MATTERS = 0.001  # a share that is smaller before and after decides nothing
ROLLBACK = "rollback"


@dataclass(frozen=True)
class Sides:
    """A series in both stretches; `past` ends with `before` and begins earlier, None where that is not known."""

    before: Samples
    after: Samples
    past: Samples | None = None

    def medians(self) -> list[float | None]:
        return [self.before.median(), self.after.median()]


@dataclass(frozen=True)
class Answered:
    """The alert that the command is an answer to. `over_step`: where it ended, None while it is open."""

    rule: str
    over_step: int | None


@dataclass(frozen=True)
class Alerts:
    """How many alerts were open, before and after; `new_critical`: (rule, step) of those that began since."""

    open: tuple[int, int] = (0, 0)
    critical: tuple[int, int] = (0, 0)
    new_critical: tuple[tuple[str, int], ...] = ()
    answered: Answered | None = None


@dataclass(frozen=True)
class Case:
    """All that is known. `undone`: why these steps say nothing, for a person.

    `whose`: the component whose weight was commanded, `way`: -1 where it was lowered, 1 where it was raised; `share`
    None: no component is commanded. `by_weights`: the log ratio by which the new weights alone change the total; None
    where they changed and there is none. `level`: the total on both sides, had the new weights always been in force;
    None where it is as measured, or not known.
    """

    kind: str
    stretch: Stretch
    total: Sides
    grad_norm: Sides
    whose: str = ""
    way: int = 0
    share: Sides | None = None
    by_weights: float | None = 0.0
    level: Sides | None = None
    alerts: Alerts = field(default_factory=Alerts)
    undone: str | None = None


@dataclass(frozen=True)
class Effect:
    """`steps`: so many after `at_step` were looked at; `decided` False: nothing can be said, and `text` says why."""

    verdict: str
    at_step: int
    steps: int
    text: str
    numbers: Mapping[str, Any]
    decided: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class _Seen:
    """A case, and how its series moved; None where too little is known."""

    case: Case
    total: Change | None
    share: Change | None
    gradient: Change | None

    @property
    def by_weights(self) -> float:
        return self.case.by_weights or 0.0

    @property
    def explained(self) -> float:
        """What of the total's change is the weights' and not the losses'; of a level it is taken out already."""
        return 0.0 if self.case.level is not None else self.by_weights

    def told(self) -> Clauses:
        """What moved, the commanded share first."""
        case = self.case
        share = [] if case.share is None else went(f"the share of {case.whose}", case.share.medians(), percent)
        return share + went("the total", case.total.medians(), number)


Found = tuple[str, Clauses] | None


def judge(case: Case) -> Effect:
    """The verdict, with its numbers and its sentence."""
    seen = _Seen(
        case, *(None if each is None else change(each.before, each.after, each.past) for each in _series(case))
    )
    if (why := case.undone or _too_little(seen)) is not None:
        return _effect(case, NO_EFFECT, f"Not judged: {why}.", decided=False)
    found = _first(_HAPPENED, seen)
    if found is None and _is_unexplained(seen):
        return _effect(case, NO_EFFECT, f"Not judged: {UNEXPLAINED}.", decided=False)
    verdict, clauses = found or _first(_COMPARED, seen) or _nothing(seen)
    return _effect(case, verdict, sentence(clauses, case.stretch, verdict))


def not_judged(kind: str, at_step: int, why: str) -> Effect:
    """What is said of a command that could not be looked at."""
    nothing = Samples(np.empty(0, np.int64), np.empty(0))
    none = Sides(nothing, nothing)
    return judge(Case(kind, Stretch(at_step, at_step, at_step, at_step), none, none, undone=why))


def _first(checks: Sequence["_Check"], seen: _Seen) -> "Found":
    return next((found for check in checks if (found := check(seen)) is not None), None)


def _series(case: Case) -> tuple[Sides, Sides | None, Sides]:
    return case.level or case.total, case.share, case.grad_norm


def _effect(case: Case, verdict: str, text: str, decided: bool = True) -> Effect:
    total = case.total
    numbers: dict[str, Any] = {"total": total.medians(), "grad_norm": case.grad_norm.medians()}
    if case.share is not None:
        numbers["share"] = {case.whose: case.share.medians()}
    numbers["alerts"], numbers["critical"] = list(case.alerts.open), list(case.alerts.critical)
    numbers["not_finite"] = [len(each.values) - len(each.finite().values) for each in (total.before, total.after)]
    return Effect(verdict, case.stretch.at_step, case.stretch.steps, text, numbers, decided)


def _too_little(seen: _Seen) -> str | None:
    """Why nothing can be compared; None where something can, or where no comparison is needed."""
    case, stretch = seen.case, seen.case.stretch
    answered = case.alerts.answered
    told = seen.total or seen.share or (answered is not None and answered.over_step is not None)
    if told or case.total.before.is_broken or case.total.after.is_broken:
        return None
    if not (case.total.after.is_enough or (case.share is not None and case.share.after.is_enough)):
        until = "" if stretch.cut_by is None else f", because {stretch.cut_by.text}"
        return f"{stretch.steps} steps after it are too few to tell from{until}"
    return f"the {stretch.at_step - stretch.before_first} steps before it are too few to compare with"


def _is_unexplained(seen: _Seen) -> bool:
    """The weights changed, and what that makes of the total is no ratio; where it stayed broken, that says enough."""
    total, by_weights = seen.case.total, seen.case.by_weights
    if seen.total is None or total.after.is_broken or by_weights == 0:
        return False
    sides = [each for each in (total.before, total.after, total.past) if each is not None]
    return by_weights is None or any(bool((each.finite().values <= 0).any()) for each in sides)


# -- the checks, in order ----------------------------------------------------------------------------------------------


def _broke(seen: _Seen) -> Found:
    before, after = seen.case.total.before, seen.case.total.after
    if not after.is_broken or before.is_broken:
        return None
    bad, of = len(after.values) - len(after.finite().values), len(after.values)
    return WORSE, [f"the total broke ({bad} of {of} rows are not finite)"]


def _new_alert(seen: _Seen) -> Found:
    new = seen.case.alerts.new_critical
    if not new:
        return None
    rule, step = new[0]
    return WORSE, [*seen.told(), f"a critical alert ({rule}) began at step {step_name(step)}"]


def _alert_over(seen: _Seen) -> Found:
    answered = seen.case.alerts.answered
    if answered is None or answered.over_step is None:
        return None
    told = seen.told() or ["too few rows came to compare"]
    return WORKED, [*told, f"the alert ended at step {step_name(answered.over_step)}"]


def _went_back(seen: _Seen) -> Found:
    case, total = seen.case, seen.total
    if case.kind != ROLLBACK or total is None:
        return None
    if total.rose(TOTAL_LEAST):
        again = f"the total rose again, from {number(total.before)} to {number(total.after)}"
        return NO_EFFECT, [again]
    if case.alerts.answered is not None:
        return None
    went_back = f"before step {step_name(case.stretch.at_step)}, where it went back to,"
    return WORKED, [f"the total went from {number(total.before)} {went_back} to {number(total.after)}"]


def _recovered(seen: _Seen) -> Found:
    return _mended(seen) if seen.case.total.before.is_mostly_broken else None


def _mended(seen: _Seen) -> Found:
    before, after = seen.case.total.before, seen.case.total.after
    if not before.is_broken or after.is_broken or not after.is_enough:
        return None
    bad, of = len(before.values) - len(before.finite().values), len(before.values)
    still = ["the alert is still open"] if _is_unanswered(seen) else []
    return WORKED, [f"the total recovered ({bad} of {of} rows before were not finite)", *still]


def _is_unanswered(seen: _Seen) -> bool:
    answered = seen.case.alerts.answered
    return answered is not None and answered.over_step is None


def _total_rose(seen: _Seen) -> Found:
    total = seen.total
    if total is None or not total.rose(TOTAL_LEAST, seen.explained):
        return None
    more = ["which is more than the new weights explain"] if abs(seen.by_weights) > TOTAL_LEAST else []
    return WORSE, [*seen.told(), *more]


def _gradient_rose(seen: _Seen) -> Found:
    gradient = seen.gradient
    if gradient is None or seen.by_weights > 0 or seen.case.way > 0 or not gradient.rose(GRADIENT_WORSE):
        return None
    return WORSE, [*seen.told(), *went("the gradient norm", seen.case.grad_norm.medians(), number)]


def _alert_open(seen: _Seen) -> Found:
    if seen.case.alerts.answered is None:
        return None
    return NO_EFFECT, [*seen.told(), "the alert is still open"]


def _share_moved(seen: _Seen) -> Found:
    share, way = seen.share, seen.case.way
    if share is None or way == 0 or max(share.before, share.after) < SHARE_MATTERS:
        return None
    rose, fell = share.rose(SHARE_LEAST), share.fell(SHARE_LEAST)
    if not (rose or fell):
        return None
    if rose == (way > 0):
        return WORKED, seen.told()
    return WORSE, [*seen.told(), f"although its weight was {'raised' if way > 0 else 'lowered'}"]


def _calmer(seen: _Seen) -> Found:
    total, gradient, alerts = seen.total, seen.gradient, seen.case.alerts
    if seen.case.share is not None:
        return None
    gradients = went("the gradient norm", seen.case.grad_norm.medians(), number)
    if total is not None and total.fell(TOTAL_LEAST, seen.explained):
        less = ["which is less than the new weights explain"] if abs(seen.by_weights) > TOTAL_LEAST else []
        return WORKED, [*seen.told(), *less, *gradients]
    # a lower weight makes the gradient smaller by itself, and one that was growing hid that it was
    if gradient is not None and 0 <= seen.by_weights <= TOTAL_LEAST and gradient.fell(GRADIENT_LEAST):
        return WORKED, [*seen.told(), *gradients]
    if alerts.open[1] < alerts.open[0]:
        return WORKED, [*seen.told(), f"of {alerts.open[0]} open alerts {alerts.open[1]} are left"]
    return None


def _nothing(seen: _Seen) -> tuple[str, Clauses]:
    case, moved = seen.case, seen.share or seen.total
    if case.total.before.is_broken and case.total.after.is_broken:
        return NO_EFFECT, ["the total stayed not finite"]
    if moved is None:
        return NO_EFFECT, ["nothing that was measured moved"]
    if seen.share is not None and max(seen.share.before, seen.share.after) < SHARE_MATTERS:
        return NO_EFFECT, [*seen.told(), "which is too small a share to matter"]
    if seen.share is not None and case.way == 0:
        return NO_EFFECT, [*seen.told(), "its weight is what it was"]
    if seen.share is None and abs(seen.by_weights) > max(TOTAL_LEAST, moved.noise):
        if case.level is not None and moved.is_its_way:
            return NO_EFFECT, [*seen.told(), "as the new weights and where its losses were going explain"]
        return NO_EFFECT, [*seen.told(), "which the new weights alone explain"]
    return NO_EFFECT, [*seen.told(), "as it was going before" if moved.is_its_way else "which is within its noise"]


_Check = Callable[[_Seen], Found]
_HAPPENED: tuple[_Check, ...] = (_broke, _new_alert, _alert_over, _went_back, _recovered)
_COMPARED: tuple[_Check, ...] = (_total_rose, _gradient_rose, _mended, _alert_open, _share_moved, _calmer)
