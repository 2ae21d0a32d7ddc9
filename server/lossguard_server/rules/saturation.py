"""A loss that is large and carries almost no gradient: the further off, the less it learns.

Formula   static   contributes more than `part` of the total and makes less than `pull` of the gradient, 3 probes on end
          dynamic  G_k = gamma_k / |w_k| * grad_norm / |sum of gamma_j e_j| estimates the gradient of the raw loss; over
                   the last 100 probes (50 at least), with x = log L_k and z = log G_k, trends taken out by second
                   differences: correlation(x, z) < -`correlation`, or G in the third of largest losses below `ratio` of
                   G in the third of smallest ones; asked every 25 probes, twice in a row
Defaults  0.5 and 0.02; 0.5; 0.1. Only warnings. At one probe in 10 steps the dynamic form takes 750 steps.
Source    the report: d/dppm of 100 log1p(ppm / 100) is 0.003 at ppm = 33,200, for a component that is 98 % of the
          total. The correlation's limit is a proposal; by chance 100 probes reach it about once in 10,000.
False     gradients that grow while the loss falls (every language model) are a trend, and taken out; a gradient of
alarms    exactly 0 counts only after it was not; a leading loss whose value is mostly an offset has its usual gradient.
Remedy    words: a linear tail (Huber), a clamp, the ratio in logs. Another weight does not mend it.
"""

from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any

import numpy as np

from lossguard.protocol import names
from lossguard.protocol.names import GRAD_NORM_TOTAL

from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rule, Severity, parameter
from .component_gradients import has_pulled
from .pulls import Pulls, pulls
from .window import Floats, Window

NAME = "saturation"
INFO = Info(
    "R11",
    NAME,
    "A large loss carries almost no gradient",
    "grad_share/<component>, loss/<component>, grad_norm/total",
    "above half of the total with below 2 % of the gradient; or correlation(log L, log G) < -0.5 over 100 probes",
    "the report: 98 % of the total at a derivative of 0.003; the correlation's limit is a proposal",
    "trends are taken out by second differences, and the finding must come twice",
)
HOLD = Hold(3, 3)
KEPT_PROBES, LEAST_PROBES, EVERY_PROBES = 100, 50, 25
LEAST_SPREAD = 1e-3  # of log L: below it the loss does not vary enough to say anything


@dataclass(frozen=True)
class Parameters:
    """Of a component's contribution, and of its gradient at the shared activation."""

    part: float = parameter(0.5, "a component that contributes more than this part of the total ...", 0.01, 1.0)
    pull: float = parameter(0.02, "... and makes less than this part of the gradient is saturated", 0.0, 0.5)
    correlation: float = parameter(0.5, "how strongly gradients may shrink as the loss grows", 0.1, 1.0)
    ratio: float = parameter(0.1, "the least gradient of large losses, of that of small ones", 1e-6, 1.0)


@dataclass(frozen=True)
class Measured:
    """What the last probes say of one component: the correlation, and G at large losses over G at small ones."""

    correlation: float
    ratio: float
    probes: int

    def fails(self, parameters: Parameters) -> bool:
        return self.correlation < -parameters.correlation or self.ratio < parameters.ratio


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Hits on grad_share/<component>, so that only probes count."""
    probed = pulls(window, memory)
    if probed is None:
        return []
    with np.errstate(all="ignore"):
        static = (probed.parts > parameters.part) & (probed.shares < parameters.pull)
        static &= (probed.shares > 0) | has_pulled(probed, memory)
    hits = []
    for k in np.flatnonzero(static.any(axis=0)).tolist():
        explain = partial(_explain_static, probed, k, parameters)
        rows = probed.rows[static[:, k]]
        hits.append(Hits(names.grad_share(probed.names[k]), rows, Severity.WARNING, HOLD, explain))
    for start, end, k, measured in _measured(window, probed, parameters, memory):
        rows = probed.rows[start:end][~static[start:end, k]]
        if len(rows):
            explain_one = partial(_explain_dynamic, probed, k, measured, parameters)
            hits.append(Hits(names.grad_share(probed.names[k]), rows, Severity.WARNING, AT_ONCE, explain_one))
    return hits


def _measured(
    window: Window, probed: Pulls, parameters: Parameters, memory: Memory
) -> list[tuple[int, int, int, Measured]]:
    """(first probe, end, component, what was measured) wherever a component is saturated: what was found at one asking
    holds until the next."""
    x, z = _behind(memory.get("x"), _log(probed.losses)), _behind(memory.get("z"), _gradients(window, probed))
    count, kept = int(memory.get("probes", 0)), len(x) - len(probed.rows)
    states: dict[str, list[Any]] = memory.setdefault("states", {})  # component: [failures in a row, what was measured]
    found: list[tuple[int, int, int, Measured]] = []
    begin = 0
    asked = [i for i in range(len(probed.rows)) if (count + i + 1) % EVERY_PROBES == 0]
    for end in (*asked, len(probed.rows)):
        found += [(begin, end, k, measured) for k, measured in _saturated(states, probed)]
        if end < len(probed.rows):
            last = kept + end + 1
            _ask(x[max(0, last - KEPT_PROBES) : last], z[max(0, last - KEPT_PROBES) : last], states, probed, parameters)
        begin = end
    memory["x"], memory["z"] = x[-KEPT_PROBES:].copy(), z[-KEPT_PROBES:].copy()
    memory["probes"] = count + len(probed.rows)
    return found


def _saturated(states: dict[str, list[Any]], probed: Pulls) -> list[tuple[int, Measured]]:
    known = ((probed.names.index(name), state) for name, state in states.items() if state[0] >= 2)
    return [(k, Measured(state[1], state[2], state[3])) for k, state in known]


def _ask(x: Floats, z: Floats, states: dict[str, list[Any]], probed: Pulls, parameters: Parameters) -> None:
    for k, name in enumerate(probed.names):
        measured = measure(x[:, k], z[:, k])
        failures = 0 if measured is None or not measured.fails(parameters) else states.get(name, [0])[0] + 1
        if failures and measured is not None:
            states[name] = [failures, measured.correlation, measured.ratio, measured.probes]
        else:
            states.pop(name, None)


def measure(x: Floats, z: Floats) -> Measured | None:
    """`x`, `z` [n]: logs of loss and gradient, oldest first; None where they are too few or the loss does not vary."""
    with np.errstate(invalid="ignore"):
        a, b = (v[1:-1] - (v[:-2] + v[2:]) / 2 for v in (x, z))
        usable = np.isfinite(a) & np.isfinite(b)
    a, b = a[usable], b[usable]
    if len(a) < LEAST_PROBES - 2 or a.std() < LEAST_SPREAD or b.std() == 0:
        return None
    order, third = np.argsort(a, kind="stable"), len(a) // 3
    ratio = float(np.exp(b[order[-third:]].mean() - b[order[:third]].mean()))
    return Measured(float(np.corrcoef(a, b)[0, 1]), ratio, len(a) + 2)


def _gradients(window: Window, probed: Pulls) -> Floats:
    """[P, K]: log of an estimate of each raw loss's gradient norm; NaN where it is not known."""
    number = window.number(GRAD_NORM_TOTAL)
    norm = np.full(len(probed.rows), nan) if number is None else window.values[probed.rows, number]
    with np.errstate(all="ignore"):
        return _log(probed.shares / np.abs(probed.weights) * (norm / probed.length)[:, None])


def _log(values: Floats) -> Floats:
    with np.errstate(all="ignore"):
        logs = np.log(values)
    return np.where(np.isfinite(logs), logs, nan)


def _behind(before: Floats | None, now: Floats) -> Floats:
    """`now` [P, K] behind what is kept; components that were not known then are NaN."""
    if before is None:
        return now
    more = np.full((len(before), now.shape[1] - before.shape[1]), nan)
    return np.vstack([np.hstack([before, more]), now])


# -- words ------------------------------------------------------------------------------------------------------------

_ADVICE = (
    "A linear tail (Huber), a clamp or the ratio in logs would give it a gradient again; another weight would not."
)


def _explain_static(probed: Pulls, k: int, parameters: Parameters, row: int) -> Finding:
    i, name = int(np.searchsorted(probed.rows, row)), probed.names[k]
    pull, part, raw = float(probed.shares[i, k]), float(probed.parts[i, k]), float(probed.losses[i, k])
    message = (
        f"{name} is a saturating loss: it contributes {100 * part:.0f} % of the total and carries almost no gradient "
        f"({100 * pull:.2g} %)."
    )
    text = (
        f"share {part:.3f} > {parameters.part}, grad_share {pull:.3g} < {parameters.pull:.3g}, raw {raw:.4g}. {_ADVICE}"
    )
    return Finding(message, text, name, {"share": part, "grad_share": pull, "raw": raw})


def _explain_dynamic(probed: Pulls, k: int, measured: Measured, parameters: Parameters, row: int) -> Finding:
    i, name = int(np.searchsorted(probed.rows, row)), probed.names[k]
    message = (
        f"{name} saturates: the larger its loss, the smaller its gradient "
        f"({measured.ratio:.2g} times as large in the worst third of the probes as in the best)."
    )
    text = (
        f"correlation(log L, log G) = {measured.correlation:.2f}, limit -{parameters.correlation}; G at large L / G at "
        f"small L = {measured.ratio:.2g}, limit {parameters.ratio}; over {measured.probes} probes. {_ADVICE}"
    )
    numbers = {"correlation": measured.correlation, "ratio": measured.ratio, "share": float(probed.parts[i, k])}
    return Finding(message, text, name, numbers)
