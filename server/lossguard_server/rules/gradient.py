"""What the rules about the gradient norm have in common: the loss gate, where the norm comes from, and what to press.

Rules of this file: a rising norm is no alarm while the loss improves (83 of 104 false alarms of a prototype came then,
mostly on leaving the first plateau), unless it is so far up that a falling loss is no excuse. A component is named only
where something measured says that it is the one: a raw loss that drifts alone says nothing of gradients (denovo with
the Gaussian spectrum loss: the precursor drifts, the spectrum pulls 16 times as hard as the cross-entropy).
"""

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL, TOTAL

from . import advice, rise
from .base import Finding, parameter
from .moment import Moment
from .remedy import Remedy
from .window import Floats, Mask, Window

SHARE_PREFIX = "grad_share/"
MOSTLY = 0.5  # of the gradient
DRIFTED, ROSE = 10.0, 2.0  # spreads: of a raw loss's CUSUM, and of the total now
NOT_KNOWN = " Which component pulls is not known."
TO_KNOW = "Component gradients are not measured: mark what all losses depend on with run.shared(activation)."


def gate_parameter() -> Any:
    """A field of the rules' `Parameters`: the gate that `stalled` and `outliers` take."""
    return parameter(0.5, "the loss improves when its fast level is so far below its level", 0.0, 10.0, "spreads")


def stalled(window: Window, gate: float, up: Floats | None = None, ungated_factor: float = 0.0) -> Mask:
    """[T]: the loss does not improve, so the norm counts; or it is up by more than `ungated_factor`."""
    open_rows = ~window.improving(gate)
    return open_rows if up is None else np.asarray(open_rows | (up > log(ungated_factor)))


def outliers(window: Window, number: int, factor: float, rate: float, gate: float, ungated_factor: float) -> Mask:
    """[T]: rows whose norm healthy samples of this run exceed with probability `rate`, and `factor` times the level."""
    up = window.rise(number)
    high = up > log(factor)
    if not high.any():
        return high
    high &= window.levels.deviation[:, number] > window.limit(number, rate)
    return np.asarray(high & stalled(window, gate, up, ungated_factor))


def driver(moment: Moment, dominant_share: float) -> str | None:
    """The component to name: the auxiliary one that dominates the total, else the one with most of the gradient, else
    the one whose drift lifted the total; None where nothing measured says so."""
    k = moment.dominant(dominant_share)
    if k is not None:
        return moment.components.names[k]
    return _largest_share(_pulls(moment)) or _mover(moment)


def _mover(moment: Moment) -> str | None:
    number = moment.number(TOTAL)
    if number is None:
        return None
    level, _, spreads = rise.standing(moment, number)
    if not spreads > ROSE:
        return None
    return rise.mover(moment, rise.blame_of(moment, rise.total_of(moment), level), DRIFTED)


def _pulls(moment: Moment) -> dict[str, float]:
    """The last `grad_share/<component>` of each; empty where the script marks no shared activation."""
    last: dict[str, float] = {}
    for name in moment.components.names:
        number = moment.index.get(SHARE_PREFIX + name)
        if number is not None:
            samples = moment.window.samples(number)
            known = samples.values[(samples.row <= moment.row) & np.isfinite(samples.values)]
            last |= {name: float(known[-1])} if len(known) else {}
    return last


def _largest_share(pulls: Mapping[str, float]) -> str | None:
    component = max(pulls, key=lambda name: pulls[name], default=None)
    return component if component is not None and pulls[component] > MOSTLY else None


def _is_unknown(moment: Moment) -> bool:
    """Several components have a weight, and nothing says how they pull."""
    return int(np.count_nonzero(np.nan_to_num(moment.components.weights))) > 1 and not _pulls(moment)


def remedy(moment: Moment, component: str | None) -> Remedy | None:
    """Less weight for an auxiliary component; for all else the advice is words."""
    return None if component is None else rise.lower_auxiliary(moment, component)


def largest_group(moment: Moment) -> tuple[str, float]:
    """(name, share of the sum of squares) of the group with the largest norm; ("", 0) without groups."""
    norms = {
        name.removeprefix("grad_norm/"): abs(float(moment.values[number]))
        for name, number in moment.index.items()
        if name.startswith("grad_norm/") and name != GRAD_NORM_TOTAL and moment.live[number]
    }
    if not norms:
        return "", 0.0
    group = max(norms, key=lambda name: norms[name])
    largest = norms[group]
    # parts of the largest: the square of a norm may be no float
    return group, 1 / sum((norm / largest) ** 2 for norm in norms.values()) if largest > 0 else 0.0


def finding(
    moment: Moment, said: str, text: str, component: str | None, more: dict[str, Any], otherwise: str, go_back: bool
) -> Finding:
    """What all of them tell: the norm and its level, the group, the component (or that it is not known), and
    `otherwise` as the words where there is no weight to lower. `go_back`: then offer a rollback too."""
    number = moment.index[GRAD_NORM_TOTAL]
    value, level = float(moment.values[number]), moment.window.natural_level(moment.row, number)
    group, share = largest_group(moment)
    where = f" Most of it is in {group} ({100 * share:.0f} % of the square)." if group else ""
    if component is not None:
        where = f"{where} {component} drives it."
    elif _is_unknown(moment):
        where, otherwise = f"{where}{NOT_KNOWN}", f"{otherwise} {TO_KNOW}"
    lowered = remedy(moment, component)
    if lowered is None:
        text = f"{text} {otherwise}"
    if lowered is None and go_back:
        lowered = advice.rollback(moment.schedule, "the gradient is exploding; skip these batches.")
    numbers = {"value": value, "level": level, "group": group, "group_share": share, **more}
    return Finding(f"{said}{where}", text, component, numbers, None, lowered)
