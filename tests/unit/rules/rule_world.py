"""Runs made of arrays, for the tests of the rules: a trace is a dict of series, each [n].

Rules of this file: seeded, no judgement of its own; what a trace must or must not cause is said by its test.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.base import Hits, Info, Rule
from lossguard_server.rules.memory import Memory
from lossguard_server.rules.moment import Moment
from lossguard_server.rules.page import Page
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import Engine
from lossguard_server.store.rows import Rows

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


def little_rule(name: str, judge: Callable[[Window], Sequence[Hits]]) -> Rule:
    """A rule without parameters and memory."""
    info = Info("R99", name, name, "any", "", "", "")
    return Rule(info, None, lambda window, parameters, memory: judge(window))


def new_engine(*rules: Rule) -> Engine:
    return Engine(lambda: 0.0, rules or None)


def rows_of(trace: Trace, first: int = 0, last: int | None = None, steps: Sequence[int] | None = None) -> Rows:
    """The rows of a trace, `first` up to but without `last`; its steps count from 0 unless they are given."""
    every = np.arange(len(next(iter(trace.values()))), dtype=np.int64) if steps is None else np.array(steps, np.int64)
    return Rows(every[first:last], tuple(trace), np.array(list(trace.values()))[:, first:last])


def judged(
    trace: Trace, declaration: Declaration | None = UNDECLARED, *rules: Rule, cut: int = 100
) -> list[AlertChange]:
    """Every change of an alert in a run that logs the whole trace, step by step from 0, `cut` rows at a time."""
    engine = new_engine(*rules)
    if declaration is not None:
        engine.declare("run", declaration)
    changes = []
    for first in range(0, len(next(iter(trace.values()))), cut):
        changes += engine.observe("run", [rows_of(trace, first, first + cut)])
    return changes + engine.flush("run")


def windows(
    trace: Trace, declaration: Declaration | None = UNDECLARED, cut: int = 100, steps: Sequence[int] | None = None
) -> list[Window]:
    """The whole trace, `cut` rows a window; a NaN that stands for "not logged" is to be left out by `absent`."""
    memory = Memory()
    if declaration is not None:
        memory.declare(declaration)
    ids = memory.numbers_of(list(trace))
    rows = rows_of(trace, steps=steps)
    values = np.full((len(rows.steps), memory.count), np.nan)
    values[:, ids] = rows.columns.T
    fresh = np.ones_like(values, dtype=np.bool_)
    pages = [Page(rows.steps, values, fresh).part(at, at + cut) for at in range(0, len(rows.steps), cut)]
    return [window for page in pages for window in memory.windows(page)]


def hits_of(
    rule: Rule, trace: Trace, declaration: Declaration | None = UNDECLARED, cut: int = 100
) -> dict[tuple[str, str, bool], list[int]]:
    """By (series, severity, sustains): the steps that count against it."""
    kept: dict[str, object] = {}
    found: dict[tuple[str, str, bool], list[int]] = {}
    for window in windows(trace, declaration, cut):
        for hits in rule.judge(window, rule.parameters, kept):
            steps = found.setdefault((hits.series, hits.severity.word, hits.sustains), [])
            steps += window.steps[hits.rows].tolist()
    return found


def window_at(trace: Trace, step: int, declaration: Declaration | None = UNDECLARED) -> Window:
    """The window that is the row of `step` alone, everything before it learned."""
    return windows({name: values[: step + 1] for name, values in trace.items()}, declaration, cut=1)[-1]


def moment_at(trace: Trace, step: int, declaration: Declaration | None = UNDECLARED) -> Moment:
    """The row of `step`, everything before it learned."""
    return Moment(window_at(trace, step, declaration), 0)


def hits_at(rule: Rule, trace: Trace, step: int, declaration: Declaration | None = UNDECLARED) -> list[Hits]:
    """What the rule says of the row of `step`, having judged all before it."""
    kept: dict[str, object] = {}
    own = {name: values[: step + 1] for name, values in trace.items()}
    said = [rule.judge(window, rule.parameters, kept) for window in windows(own, declaration, cut=1)]
    return list(said[-1])


def said(changes: list[AlertChange]) -> list[tuple[str, str, int]]:
    """(transition, rule, last step) of each change."""
    return [(change.transition, change.alert.rule, change.alert.last_step) for change in changes]
