"""Runs made of arrays, for the tests of the rules: a trace is a dict of series, each [n].

Rules of this file: seeded, no judgement of its own; what a trace must or must not cause is said by its test.
"""

from itertools import count

import numpy as np
import numpy.typing as npt

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules.base import Rule, Verdict
from lossguard_server.rules.history import History
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import AlertChange, Engine

ANYTHING = ControlsSpec(list(COMMAND_KINDS))  # a script that allows every kind of command
UNDECLARED = Declaration(seq=1, controls=ANYTHING)

Trace = dict[str, npt.NDArray[np.float64]]


def noisy(level: npt.ArrayLike, n: int, sigma: float = 0.03, seed: int = 0) -> npt.NDArray[np.float64]:
    """Lognormal noise about a level (a number, or [n])."""
    return np.asarray(level) * np.exp(np.random.default_rng(seed).normal(0.0, sigma, n))


def summed(weights: dict[str, npt.ArrayLike], losses: Trace, **more: npt.NDArray[np.float64]) -> Trace:
    """A run's series from its weights and raw losses: the total is the weighted sum."""
    n = len(next(iter(losses.values())))
    columns = {name: np.broadcast_to(np.asarray(weight, dtype=np.float64), n) for name, weight in weights.items()}
    with np.errstate(all="ignore"):
        total = sum((columns[name] * loss for name, loss in losses.items()), np.zeros(n))
    trace = {"loss/total": total}
    trace |= {f"loss/{name}": loss for name, loss in losses.items()}
    trace |= {f"weight/{name}": column for name, column in columns.items()}
    return trace | more


def report(n: int = 400, start: int = 300, seed: int = 0) -> Trace:
    """The incident of the report: a total of 2.2 until a component of raw value 700 comes in at weight 0.01."""
    weight = np.where(np.arange(n) < start, 0.0, 0.01)
    losses = {"ce": noisy(2.2, n, 0.02, seed), "precursor": noisy(700.0, n, 0.02, seed + 1)}
    return summed({"ce": 1.0, "precursor": weight}, losses)


def report_declaration(start: int = 300, low: float = 0.0, high: float = 0.1) -> Declaration:
    stages = [
        StageSpec("ce only", 0, {"ce": 1.0}),
        StageSpec("precursor", start, {"ce": 1.0, "precursor": 0.01}),
    ]
    controls = ControlsSpec(list(COMMAND_KINDS), {"precursor": (low, high)})
    return Declaration(seq=1, components=["ce", "precursor"], stages=stages, controls=controls)


def declared(*contracts: ContractSpec, **stage: float | RampSpec) -> Declaration:
    """One stage with these weights, and these contracts."""
    return Declaration(
        seq=1,
        components=list(stage),
        stages=[StageSpec("all", 0, dict(stage))],
        controls=ANYTHING,
        contracts=list(contracts),
    )


def new_engine(*rules: Rule) -> Engine:
    ids = count(1)
    return Engine(lambda: 0.0, lambda: f"alert-{next(ids)}", rules or None)


def judged(trace: Trace, declaration: Declaration | None = UNDECLARED, *rules: Rule) -> list[AlertChange]:
    """Every change of an alert in a run that logs the whole trace, step by step from 0."""
    engine = new_engine(*rules)
    if declaration is not None:
        engine.declare("run", declaration)
    steps = np.arange(len(next(iter(trace.values()))), dtype=np.int64)
    return engine.observe("run", steps, list(trace), np.array(list(trace.values()))) + engine.flush("run")


def window_at(trace: Trace, step: int, declaration: Declaration | None = UNDECLARED) -> Window:
    """What a rule sees at `step`, everything before it learned."""
    history = History()
    if declaration is not None:
        history.declare(declaration)
    ids, rows = history.numbers_of(list(trace)), np.array(list(trace.values())).T
    for earlier in range(step):
        history.learn(history.see(earlier, ids, rows[earlier]))
    return history.see(step, ids, rows[step])


def verdicts_at(rule: Rule, trace: Trace, step: int, declaration: Declaration | None = UNDECLARED) -> list[Verdict]:
    return rule.judge(window_at(trace, step, declaration))


def said(changes: list[AlertChange]) -> list[tuple[str, str, int]]:
    """(transition, rule, last step) of each change."""
    return [(change.transition, change.alert.rule, change.alert.last_step) for change in changes]
