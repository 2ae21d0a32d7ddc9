"""Which command would help here, made from what the window knows.

Rules of this file: a remedy is a command that the trainer would accept (kinds and bounds are asked first); where there
is none, the advice is words in the finding and the remedy is None. One cause has one remedy: what an open alert already
advises for a component is repeated, not worked out anew from the next step's noise.
"""

from math import copysign, inf

from .remedy import TARGET_SHARE, Remedy, weight_for_share
from .schedule import Schedule
from .window import Window


def lower_weight(window: Window, k: int, target_share: float = TARGET_SHARE) -> Remedy | None:
    """Bring component k down to `target_share`. None when it cannot be done."""
    known = window.components
    name, loss, weight = known.names[k], float(known.losses[k]), float(known.weights[k])
    if name in window.remedies:
        return window.remedies[name]
    share = float(known.shares[k])
    if not window.schedule.allows("set_weight") or not 0 < share < 1:
        return None
    value = weight_for_share(abs(float(known.contributions[k])) * (1 - share) / share, loss, target_share)
    if value is None or value >= abs(weight):
        return None
    low, high = window.schedule.weight_bounds.get(name, (-inf, inf))
    wanted = copysign(value, weight)
    bounded = min(max(wanted, low), high)
    held = "" if bounded == wanted else f" (the script's bound; {wanted:.2g} would be the share aimed at)"
    text = f"Set the weight of {name} from {weight:.3g} to {bounded:.2g}{held}: it would add {abs(bounded * loss):.2g}."
    return Remedy("set_weight", {"component": name, "value": bounded}, text)


def set_back(window: Window, component: str, weight: float) -> Remedy | None:
    """Give a component the weight that it had at the last healthy point."""
    if component in window.remedies:
        return window.remedies[component]
    low, high = window.schedule.weight_bounds.get(component, (-inf, inf))
    if not window.schedule.allows("set_weight") or not low <= weight <= high:
        return None
    text = f"Set the weight of {component} back to {weight:.3g}, as it was before the total rose."
    return Remedy("set_weight", {"component": component, "value": weight}, text)


def pause(schedule: Schedule, why: str) -> Remedy | None:
    """Hold the trainer at its next step boundary while a person looks."""
    return Remedy("pause", {}, f"Pause the run: {why}") if schedule.allows("pause") else None
