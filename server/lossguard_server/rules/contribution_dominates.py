"""A component that was meant to help has taken over the total.

Formula   contribution c_k = w_k * L_k; share = |c_k| / (sum of |c_j| + what the total holds beside them).
          A step counts when the share of an auxiliary component is above `share` and
            it grew   |c_k| > `growth` times what it was at the last healthy point (0 before its stage: any growth), or
            it began so: the run is younger than `young_samples`, the weight at most `minor_weight` of the largest.
          Auxiliary: the weight that the stage leads to is not the largest of the stage.
Defaults  share 0.5 for 3 steps of 3, growth 10, minor weight 0.1; open until the share is below 0.4. No warm-up.
          Critical when it grew, warning when the run began so.
Source    two healthy CycleGAN runs (14,111 samples, weights declared equal): largest share ever 0.74. Of seven PINN
          runs with a share above 0.996 in the median, six ended dead. The report: 0.01 * 700 on top of 2.2.
False     a single loss and equal weights have no auxiliary component; a leading loss that fades below an auxiliary one
alarms    (PPO's entropy, a converged reconstruction) is no growth.
Remedy    set_weight at the target share (0.005): w' = X / (1 - X) * others / L_k.
"""

from dataclasses import dataclass

from lossguard.protocol.names import contribution

from . import advice
from .base import Finding, Hold, Rule, Severity, Verdict
from .blame import decompose
from .remedy import TARGET_SHARE
from .window import Window

NAME = "contribution_dominates"
HOLD = Hold(3, 3)


@dataclass(frozen=True)
class Parameters:
    """`share`s are of the whole; `growth` is a factor; `minor_weight` is relative to the stage's largest weight."""

    share: float = 0.5
    share_open: float = 0.4
    growth: float = 10.0
    minor_weight: float = 0.1
    young_samples: int = 5
    target_share: float = TARGET_SHARE
    hold: Hold = HOLD


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(NAME, lambda window: judge(window, parameters))


def judge(window: Window, parameters: Parameters) -> list[Verdict]:
    """At most one verdict: only one component can hold more than half."""
    k = window.dominant(parameters.share_open)
    if k is None:
        return []
    name = window.components.names[k]
    is_open = (NAME, contribution(name)) in window.open
    grew = _has_grown(window, k, parameters)
    if window.components.shares[k] <= parameters.share and not is_open:
        return []
    if not (grew or is_open or _began_so(window, k, parameters)):
        return []
    severity = Severity.CRITICAL if grew else Severity.WARNING
    return [Verdict(contribution(name), severity, parameters.hold, lambda: _explain(window, k, parameters))]


def _has_grown(window: Window, k: int, parameters: Parameters) -> bool:
    reference = window.reference
    if reference is None or reference.samples < parameters.young_samples:
        return False
    before = reference.of(window.components.names[k])
    size_before = 0.0 if before is None else abs(before[0] * before[1])
    return abs(float(window.components.contributions[k])) > parameters.growth * size_before


def _began_so(window: Window, k: int, parameters: Parameters) -> bool:
    is_young = window.reference is None or window.reference.samples < parameters.young_samples
    return is_young and window.rank(k) <= parameters.minor_weight


def _explain(window: Window, k: int, parameters: Parameters) -> Finding:
    known = window.components
    name, weight, loss = known.names[k], float(known.weights[k]), float(known.losses[k])
    amount, share = float(known.contributions[k]), float(known.shares[k])
    remedy = advice.lower_weight(window, k, parameters.target_share)
    message = (
        f"{name} adds {amount:.3g}, {100 * share:.0f} % of the total: raw value {loss:.4g} at weight {weight:.3g}, "
        f"which was meant to be a minor one."
    )
    if remedy is not None and remedy.kind == "set_weight":
        value = float(remedy.args["value"])
        message += f" At weight {value:.2g} it would add {abs(value * loss):.2g}."
    reference = window.reference
    others = abs(amount) * (1 - share) / share
    text = (
        f"|{weight:.3g} * {loss:.4g}| / (|{amount:.3g}| + {others:.3g}) = {share:.3f}, limit {parameters.share}; "
        f"{parameters.target_share} / {1 - parameters.target_share:.3f} * {others:.3g} / {abs(loss):.4g} is the weight "
        f"for a share of {100 * parameters.target_share:.2g} %."
    )
    return Finding(
        message,
        text,
        name,
        {"share": share, "contribution": amount, "raw": loss, "weight": weight, "others": others},
        None if reference is None else decompose(reference.step, window.step, window.changes()),
        remedy,
    )
