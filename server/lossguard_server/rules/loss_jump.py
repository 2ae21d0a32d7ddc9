"""The total loss left its level upwards, and stays there.

Formula   y = log(total), level m and spread s from baseline.py, r = (y - m) / max(s, 1 %):
          a hit is  r > z  and  y - m > ln(factor), z being what healthy samples of *this* run exceed once in 1,000
          (its own measured tail, at least `deviations_min`). Fires at 2 hits of 3, or at one hit above `factor_at_once`
          that healthy samples exceed once in 100,000.
Stages    where weights moved, the level follows what they say (history.py) up to a factor of 2, so a planned stage is
          quiet; a schedule that more than doubles the total is reported, and the blame says that it was the schedule.
Defaults  factor 1.5, at once 10, 2 of 3. Warm-up 30 samples.
Source    measured on public logs (docs/rules.md): Lightning's 3x mean, OLMo's 6 sigma and a +20 % rule give 4, 126 and
          190 false alarms per 100,000 healthy samples.
False     two of three samples must agree, so one bad batch is silent; a run with a heavy tail (RL) raises its own z;
alarms    the level follows a slow growth.
Remedy    the weight of the auxiliary component that did it; its old weight when the schedule raised the leading one;
          otherwise a pause.
"""

from dataclasses import dataclass
from math import isfinite, log

from lossguard.protocol.names import TOTAL

from . import advice
from .base import AT_ONCE, Finding, Hold, Rule, Severity, Verdict
from .blame import Blame, decompose
from .remedy import Remedy
from .window import Window

NAME = "loss_jump"
HOLD = Hold(2, 3)
_NOTHING = log(1e-12)  # a total that was exactly 0 has no ratio to anything


@dataclass(frozen=True)
class Parameters:
    """`factor`s are of the level; `rate`s are how often healthy samples may be as far out."""

    factor: float = 1.5
    factor_at_once: float = 10.0
    rate: float = 1e-3
    rate_at_once: float = 1e-5
    deviations_min: float = 4.0
    hold: Hold = HOLD
    dominant_share: float = 0.5


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(NAME, lambda window: judge(window, parameters))


def judge(window: Window, parameters: Parameters) -> list[Verdict]:
    """At most one verdict, about loss/total."""
    number = window.number(TOTAL)
    if number is None or not window.base.judged[number]:
        return []
    base = window.base
    deviation, rise = float(base.deviation[number]), float(base.y[number] - base.level[number])
    if rise <= log(parameters.factor) or base.level[number] < _NOTHING:
        return []
    if deviation <= base.threshold(number, parameters.rate, parameters.deviations_min):
        return []
    extreme = rise > log(parameters.factor_at_once) and deviation > base.threshold(
        number, parameters.rate_at_once, parameters.deviations_min
    )
    hold = AT_ONCE if extreme else parameters.hold
    return [Verdict(TOTAL, Severity.CRITICAL, hold, lambda: _explain(window, number, parameters))]


def _blame(window: Window, total: float, level: float) -> Blame | None:
    """None also where the components do not explain the rise: then the total holds something that nobody declared."""
    reference = window.reference
    blame = None if reference is None else decompose(reference.step, window.step, window.changes())
    if blame is not None and isfinite(blame.delta_total) and blame.delta_total < (total - level) / 2:
        return None
    return blame


def _culprit(window: Window, blame: Blame | None, parameters: Parameters) -> str | None:
    """The auxiliary component that dominates now, so that every alert of one cause names one component; else the
    component that gave most of the rise."""
    k = window.dominant(parameters.dominant_share)
    if k is not None:
        return window.components.names[k]
    return blame.parts[0].component if blame is not None and blame.parts else None


def _explain(window: Window, number: int, parameters: Parameters) -> Finding:
    base = window.base
    total = float(window.values[number])
    level = float(base.natural(base.level)[number])
    blame = _blame(window, total, level)
    deviation = float(base.deviation[number])
    text = (
        f"log({total:.4g}) - log({level:.4g}) = {float(base.y[number] - base.level[number]):.2f}, "
        f"{deviation:.0f} spreads of {float(base.scale[number]):.3f}; limits: {log(parameters.factor):.2f} and "
        f"{base.threshold(number, parameters.rate, parameters.deviations_min):.0f} spreads."
    )
    # the level lags behind a falling loss; where blame knows the change, "from" is said so that it adds up
    before = total - blame.delta_total if blame is not None and isfinite(blame.delta_total) else level
    message = f"The total loss went from {before:.3g} to {total:.3g} at step {window.step}."
    message = f"{message} {blame.text if blame is not None else 'The declared components do not explain it.'}"
    numbers = {"level": level, "value": total, "deviations": deviation, "factor": total / level if level else 0.0}
    return Finding(
        message, text, _culprit(window, blame, parameters), numbers, blame, _remedy(window, blame, parameters)
    )


def _remedy(window: Window, blame: Blame | None, parameters: Parameters) -> Remedy | None:
    k = window.dominant(parameters.dominant_share)
    if k is not None:
        return advice.lower_weight(window, k)
    top = blame.parts[0] if blame is not None and blame.parts else None
    if top is not None and top.cause == "schedule" and window.reference is not None:
        before = window.reference.of(top.component)
        if before is not None and before[0] != 0:
            return advice.set_back(window, top.component, before[0])
        return advice.lower_weight(window, window.components.names.index(top.component))
    return advice.pause(
        window.schedule, "no schedule explains the jump; look at the batch and the learning rate before it goes on."
    )
