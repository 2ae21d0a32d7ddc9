"""Which command would help here, made from what a moment knows.

Rules of this file: a remedy is a command that the trainer would accept (kinds and bounds are asked first); where there
is none, the advice is words in the finding and the remedy is None. One cause has one remedy: what an open alert already
advises for a component is repeated, not worked out anew from the next step's noise.
"""

from math import copysign, inf

from .moment import Moment
from .remedy import TARGET_SHARE, Remedy, ramp_steps, weight_for_share
from .schedule import Schedule

# a trainer that can hold a stage is one whose set_weight takes `ramp`: both are of one version of the protocol
HOLDS_AND_RAMPS = "hold_stage"


def lower_weight(moment: Moment, k: int, target_share: float = TARGET_SHARE) -> Remedy | None:
    """Bring component k down to `target_share` of the total. None when it cannot be done."""
    known = moment.components
    name, share = known.names[k], float(known.shares[k])
    if name in moment.remedies:
        return moment.remedies[name]
    if not 0 < share < 1:
        return None
    others = abs(float(known.contributions[k])) * (1 - share) / share
    return to_share(moment.schedule, name, float(known.weights[k]), float(known.losses[k]), others, target_share)


def to_share(
    schedule: Schedule, component: str, weight: float, loss: float, others: float, target_share: float = TARGET_SHARE
) -> Remedy | None:
    """A weight below `weight` (in force, or planned) that makes the raw value `loss` hold `target_share` of the whole,
    `others` being the sum of all other |contributions|. None when it cannot be done."""
    value = weight_for_share(others, loss, target_share)
    if not schedule.allows("set_weight") or value is None or value >= abs(weight):
        return None
    wanted = copysign(value, weight)
    bounded = _bounded(schedule, component, wanted)
    held = "" if bounded == wanted else f" (the script's bound; {wanted:.2g} would be the share aimed at)"
    adds = f"it would add {abs(bounded * loss):.2g}"
    text = f"Set the weight of {component} from {weight:.3g} to {bounded:.2g}{held}: {adds}."
    return Remedy("set_weight", {"component": component, "value": bounded}, text)


def set_back(moment: Moment, component: str, weight: float) -> Remedy | None:
    """Give a component the weight that it had at the last healthy point."""
    if component in moment.remedies:
        return moment.remedies[component]
    if not moment.schedule.allows("set_weight") or _bounded(moment.schedule, component, weight) != weight:
        return None
    text = f"Set the weight of {component} back to {weight:.3g}, as it was before the total rose."
    return Remedy("set_weight", {"component": component, "value": weight}, text)


def ramp_text(component: str, value: float, jump: float) -> str:
    """A ramp by which a total that becomes `jump` times as large grows by at most 2 % a step, as words to write into
    the curriculum; empty where the total does not grow."""
    steps = ramp_steps(jump)
    if steps is None:
        return ""
    return (
        f"A ramp of {component} from 0 to {value:.3g} over {steps} steps "
        f"(lossguard.ramp(0.0, {value:.3g}, {steps})) lets the total grow by at most 2 % a step."
    )


def hold(schedule: Schedule, why: str) -> Remedy | None:
    """Keep the run in its stage; a pause where the trainer cannot hold one."""
    if schedule.allows(HOLDS_AND_RAMPS):
        return Remedy(HOLDS_AND_RAMPS, {}, f"Hold the run in its stage: {why}")
    return pause(schedule, why)


def rollback(schedule: Schedule, why: str, before_step: int | None = None) -> Remedy | None:
    """Go back to the newest healthy snapshot (before that step) and go on with new data; a pause where the script
    allows none."""
    if not schedule.allows("rollback"):
        return pause(schedule, why)
    args = {} if before_step is None else {"before_step": before_step}
    to = "the last healthy snapshot" if before_step is None else f"the last healthy snapshot before step {before_step}"
    return Remedy("rollback", args, f"Roll back to {to}: {why}")


def pause(schedule: Schedule, why: str) -> Remedy | None:
    """Hold the trainer at its next step boundary while a person looks."""
    return Remedy("pause", {}, f"Pause the run: {why}") if schedule.allows("pause") else None


def _bounded(schedule: Schedule, component: str, weight: float) -> float:
    low, high = schedule.weight_bounds.get(component, (-inf, inf))
    return min(max(weight, low), high)
