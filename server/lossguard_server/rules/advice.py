"""Which command would help here, made from what a moment knows.

Rules of this file: a remedy is a command that the trainer would accept (kinds and bounds are asked first); where there
is none, the advice is words in the finding and the remedy is None. One cause has one remedy: what an open alert already
advises for a component is repeated, not worked out anew from the next step's noise.
"""

from collections.abc import Sequence
from math import copysign, inf, isfinite

import numpy as np

from lossguard.protocol.magnitudes import AUXILIARY, TARGET_SHARE, weight_for_share, weight_text

from .moment import Moment
from .remedy import Remedy
from .schedule import Schedule
from .window import Components

# a trainer that can hold a stage is one whose set_weight takes `ramp`: both are of one version of the protocol
HOLDS_AND_RAMPS = "hold_stage"
GATE = "gate"
# times all others together: what no weight was ever meant to do. The report's covariance is 10^20 times the rest
ABSURD = 1e6
ROUNDING = 1e-6  # of a sum in float32


def lower_weight(moment: Moment, k: int, target_share: float = TARGET_SHARE) -> Remedy | None:
    """Bring component k down to `target_share` of the total. None when it cannot be done."""
    known = moment.components
    name, share = known.names[k], float(known.shares[k])
    if name in moment.remedies:
        return moment.remedies[name]
    if not share > 0:
        return None
    others = _others(known, k)
    return to_share(moment.schedule, name, float(known.weights[k]), float(known.losses[k]), others, target_share)


def _others(known: Components, k: int) -> float:
    """What the total holds beside component k, also of what nobody declared; but not what rounding leaves of a sum."""
    sizes, rest = np.abs(known.contributions), float(known.rest)
    return float(np.nansum(np.delete(sizes, k))) + (rest if rest > ROUNDING * float(sizes[k]) else 0.0)


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
    text = weight_text(component, weight, bounded, loss, held)
    return Remedy("set_weight", {"component": component, "value": bounded}, text)


def set_back(moment: Moment, component: str, weight: float) -> Remedy | None:
    """Give a component the weight that it had at the last healthy point."""
    if component in moment.remedies:
        return moment.remedies[component]
    if not moment.schedule.allows("set_weight") or _bounded(moment.schedule, component, weight) != weight:
        return None
    text = f"Set the weight of {component} back to {weight:.3g}, as it was before the total rose."
    return Remedy("set_weight", {"component": component, "value": weight}, text)


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


def take_out(moment: Moment, why: str) -> Remedy | None:
    """Close the gate of the one auxiliary component that is broken, or absurdly large beside all others, which then
    train on; a pause where there is no such component, or none would be left."""
    name = _outlier(moment) if moment.schedule.allows(GATE) else None
    if name is None:
        return pause(moment.schedule, why)
    text = f"Take {name} out of the total until the code is mended, the others train on: {why}"
    return Remedy(GATE, {"component": name, "open": False}, text)


def _outlier(moment: Moment) -> str | None:
    """A gated component is no part of the graph, so its NaN is gone too, which no weight can do."""
    known = moment.components
    sizes = {
        k: abs(float(known.weights[k]) * float(known.losses[k]))
        for k, name in enumerate(known.names)
        if moment.number(f"loss/{name}") is not None and known.weights[k] != 0
    }
    broken = [k for k, size in sizes.items() if not isfinite(size)]
    if len(broken) > 1 or len(sizes) < 2:
        return None
    top = broken[0] if broken else max(sizes, key=lambda k: sizes[k])
    others = sum(size for k, size in sizes.items() if k != top)
    stands_out = others > 0 and (bool(broken) or sizes[top] > ABSURD * others)
    return known.names[top] if stands_out and _is_auxiliary(moment, top, list(sizes)) else None


def _is_auxiliary(moment: Moment, k: int, among: Sequence[int]) -> bool:
    """Meant to be, and in force: what the run is about is not taken out because the others are small beside it, nor
    while it is ramped in or a person has lowered it. A weight that is NaN is below nothing."""
    weights = np.abs(moment.components.weights)
    largest = np.nan_to_num(weights[list(among)]).max()
    return moment.rank(k) < AUXILIARY and bool(weights[k] < AUXILIARY * largest)


def pause(schedule: Schedule, why: str) -> Remedy | None:
    """Hold the trainer at its next step boundary while a person looks."""
    return Remedy("pause", {}, f"Pause the run: {why}") if schedule.allows("pause") else None


def _bounded(schedule: Schedule, component: str, weight: float) -> float:
    low, high = schedule.weight_bounds.get(component, (-inf, inf))
    return min(max(weight, low), high)
