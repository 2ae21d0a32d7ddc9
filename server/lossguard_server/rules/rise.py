"""Why the total rose, as loss_jump and drift tell it: blame, the component to name, and what to press.

Rules of this file: every alert of one cause names one component; a weight is lowered only where the component is
auxiliary, because a leading loss cannot be weighed away; then the run goes back, else it waits for a person.
"""

from math import isfinite, log
from typing import Any

import numpy as np

from lossguard.protocol.magnitudes import AUXILIARY
from lossguard.protocol.names import TOTAL

from . import advice
from .base import parameter
from .blame import Blame, decompose
from .moment import Moment
from .remedy import Remedy

NOTHING = log(1e-12)  # a loss that was exactly 0 has no ratio to anything
MOST = 50  # percent of the total's change


def share_parameter() -> Any:
    """A field of the rules' `Parameters`: the `dominant_share` of all that name a component."""
    return parameter(0.5, "the share of the total at which an auxiliary component is named", 0.01, 1.0)


def blame_of(moment: Moment, total: float, level: float) -> Blame | None:
    """None also where the components do not explain the rise: then the total holds something that nobody declared."""
    reference = moment.reference
    blame = None if reference is None else decompose(reference.step, moment.step, moment.changes())
    if blame is not None and isfinite(blame.delta_total) and blame.delta_total < (total - level) / 2:
        return None
    return blame


def culprit(moment: Moment, blame: Blame | None, dominant_share: float) -> str | None:
    """The auxiliary component that dominates now; else the component that gave most of the rise."""
    k = moment.dominant(dominant_share)
    if k is not None:
        return moment.components.names[k]
    return blame.parts[0].component if blame is not None and blame.parts else None


def largest_drift(moment: Moment, least: float) -> str | None:
    """The component whose own raw loss drifted most, if its CUSUM is above `least`."""
    drift, index = moment.window.levels.drift[moment.row], moment.index
    own = {name: float(drift[index[f"loss/{name}"]]) for name in moment.components.names}
    name = max(own, key=lambda name: own[name], default=None)
    return name if name is not None and own[name] > least else None


def mover(moment: Moment, blame: Blame | None, least: float) -> str | None:
    """That component, if it also made most of the total's rise; a loss that drifts and hardly counts moved nothing."""
    name = largest_drift(moment, least)
    parts = [] if name is None or blame is None else [part for part in blame.parts if part.component == name]
    return name if sum(part.percent for part in parts) >= MOST else None


def words(moment: Moment, blame: Blame | None, total: float, level: float) -> str:
    """From what to what, and whose doing it is."""
    # the level lags behind a falling loss; where blame knows the change, "from" is said so that it adds up
    before = total - blame.delta_total if blame is not None and isfinite(blame.delta_total) else level
    if blame is not None:
        why = f" {blame.text}"
    else:
        why = " The declared components do not explain it." if moment.components.names else ""
    return f"from {before:.3g} to {total:.3g} at step {moment.step}.{why}"


def remedy(
    moment: Moment, component: str | None, blame: Blame | None, dominant_share: float, why: str
) -> Remedy | None:
    """The weight of the auxiliary component that did it; its old weight where the schedule raised the leading one;
    otherwise back to before it, or a pause, saying `why`."""
    k = moment.dominant(dominant_share)
    if k is not None:
        return advice.lower_weight(moment, k)
    top = blame.parts[0] if blame is not None and blame.parts else None
    if top is not None and top.cause == "schedule" and moment.reference is not None:
        before = moment.reference.of(top.component)
        if before is not None and before[0] != 0:
            return advice.set_back(moment, top.component, before[0])
        return advice.lower_weight(moment, moment.components.names.index(top.component))
    lowered = None if component is None else lower_auxiliary(moment, component)
    return lowered or advice.pause(moment.schedule, why)


def lower_auxiliary(moment: Moment, component: str) -> Remedy | None:
    """Lower the weight of a component that is not the leading one; None where that is no help."""
    k = moment.components.names.index(component)
    return advice.lower_weight(moment, k) if moment.rank(k) < AUXILIARY else None


def standing(moment: Moment, number: int) -> tuple[float, float, float]:
    """(level, rise in log units, deviation in spreads) of a series at the moment's row."""
    levels = moment.window.levels
    rise = float(levels.y[moment.row, number] - levels.level[moment.row, number])
    return moment.window.natural_level(moment.row, number), rise, float(levels.deviation[moment.row, number])


def total_of(moment: Moment) -> float:
    """The row's total; NaN where it carries none."""
    value = moment.value(TOTAL)
    return np.nan if value is None else value
