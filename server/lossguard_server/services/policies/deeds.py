"""What a policy makes of an alert: a command, or the reason why there is none.

Rules of this file:
- Pure: a function of the policy, the alert, what is known of the run and what was done before.
- The training script has the last word: what it does not allow is not asked for.
- Each reason is for a person, who reads it in the audit trail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossguard.protocol.names import weight

from ..live import LiveRun
from .records import Past
from .wishes import KIND_OF, LOWER_WEIGHT, PAUSE, ROLLBACK, SKIP, Policy

SKIPPING = ("device", "trip")  # modes of the guard


@dataclass(frozen=True)
class Deed:
    """The command to give."""

    kind: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Left:
    """Nothing is done about the alert, for good. `once`: it holds for every alert of the run, and is said once."""

    reason: str
    once: bool = False


@dataclass(frozen=True)
class Waits:
    """Nothing is done about the alert now."""

    reason: str


@dataclass(frozen=True)
class ToGuard:
    """The guard does what is to be done."""

    reason: str


Answer = Deed | Left | Waits | ToGuard


def refusal(policy: Policy, run: LiveRun) -> str | None:
    """Why the training script does not let the policy act; None: it does."""
    kind, declaration = KIND_OF[policy.do], run.declaration
    if kind is not None and kind not in declaration.controls.kinds:
        allowed = ", ".join(declaration.controls.kinds) or "nothing"
        return f"The training script does not allow {kind!r}; it allows {allowed}."
    if kind is None and not set(declaration.guard.modes) & set(SKIPPING):
        modes = ", ".join(dict.fromkeys(declaration.guard.modes)) or "off"
        return f"The run's guard skips nothing; its mode is {modes}."
    return None


def answer_to(policy: Policy, alert: Mapping[str, Any], run: LiveRun, past: Past, now_s: float) -> Answer:
    """`alert` as it is stored now; `now_s` wall seconds."""
    if alert["state"] != "firing":
        return Left(f"The alert is {alert['state']}; it was so before the policy acted.")
    if past.others:
        return Left(f"A person answered the alert first, with command {past.others[0].number} ({past.others[0].id}).")
    if (refused := refusal(policy, run)) is not None:
        return Left(refused, once=True)
    if past.used >= policy.budget:
        return Left(f"The budget is spent: {past.used} of {policy.budget} in this run.", once=True)
    found = _deed(policy, alert, run)
    return _paced(policy, past, now_s) or found if isinstance(found, Deed) else found


def reason_of(rule: str, policy: Policy, set_by: str, past: Past) -> str:
    """What a command of a policy says of itself."""
    left = policy.budget - past.used - 1
    return f"The policy for {rule} (set by: {set_by}) does {policy.do} when it fires; {left} of {policy.budget} left."


def _paced(policy: Policy, past: Past, now_s: float) -> Waits | None:
    if (earlier := past.unjudged()) is not None:
        state = "its effect is not known yet" if earlier.state == "applied" else f"it is {earlier.state}"
        return Waits(f"The policy's earlier command {earlier.number} ({earlier.id}) has no verdict: {state}.")
    if (until_s := past.rests_until_s(policy.pause_s, now_s)) is not None:
        return Waits(f"The policy acts at most once in {policy.pause_s:g} s; that is over in {until_s - now_s:.0f} s.")
    return None


def _deed(policy: Policy, alert: Mapping[str, Any], run: LiveRun) -> Answer:
    if policy.do == SKIP:
        modes = ", ".join(dict.fromkeys(run.declaration.guard.modes))
        then = f"on_trip is {run.declaration.guard.on_trip}"
        return ToGuard(f"The guard keeps steps that are not finite out of the weights (mode {modes}; {then}).")
    if policy.do == LOWER_WEIGHT:
        return _lower(alert, run)
    if policy.do == PAUSE and run.heartbeat is not None and run.heartbeat.state == "paused":
        return Left("The run is paused already.")
    kind = KIND_OF[policy.do]
    assert kind is not None
    # training goes back to before the first step that counted against it
    return Deed(kind, {"before_step": max(0, int(alert["step"]))} if policy.do == ROLLBACK else {})


def _lower(alert: Mapping[str, Any], run: LiveRun) -> Answer:
    remedy = alert.get("remedy")
    if not remedy or remedy["kind"] != "set_weight":
        other = f"its remedy is {remedy['kind']}" if remedy else "it has no remedy"
        return Left(f"The alert does not say which weight to lower: {other}.")
    component, value = str(remedy["args"]["component"]), float(remedy["args"]["value"])
    now = _in_force(run, component)
    if now is not None and not abs(value) < abs(now):
        return Left(f"The alert's remedy would not lower the weight of {component}: it is {now:.3g}, not {value:.3g}.")
    return Deed("set_weight", dict(remedy["args"]))


def _in_force(run: LiveRun, component: str) -> float | None:
    """At the coming step: the last row was before what was applied since. As reported where no stage says."""
    planned = run.plan.weight_at(component, run.next_step)
    is_planned = planned != 0 or any(component in stage.weights for stage in run.plan.stages)
    return planned if is_planned else run.values.get(weight(component))
