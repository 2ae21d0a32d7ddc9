"""Runs with a curriculum, and series that do not come at every step, for the tests of the rules about them.

Rules of this file: no judgement of its own; NaN in a series that is named sparse means that the row does not carry it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol.messages import ContractSpec, Declaration, RampSpec, StageSpec
from lossguard.protocol.stages import planned_weights
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.base import Rule
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import ANYTHING, UNDECLARED, Trace, new_engine

CUTS = (1, 7, 64)


def curriculum(
    *stages: dict[str, float | RampSpec], every: int = 1000, contracts: Sequence[ContractSpec] = ()
) -> Declaration:
    """Stages of `every` steps each."""
    specs = [StageSpec(f"stage {i + 1}", i * every, dict(weights)) for i, weights in enumerate(stages)]
    components = list(dict.fromkeys(name for weights in stages for name in weights))
    return Declaration(seq=1, components=components, stages=specs, controls=ANYTHING, contracts=list(contracts))


def trained(declaration: Declaration, losses: Trace, **more: npt.NDArray[np.float64]) -> Trace:
    """The run as planned: weights by the curriculum, the total their sum."""
    n = len(next(iter(losses.values())))
    plans = [planned_weights(declaration.stages, list(losses), step) for step in range(n)]
    weights = {name: np.array([plan[name] for plan in plans]) for name in losses}
    total = sum((weights[name] * loss for name, loss in losses.items()), np.zeros(n))
    trace = {"loss/total": total, **{f"loss/{name}": loss for name, loss in losses.items()}}
    return {**trace, **{f"weight/{name}": weight for name, weight in weights.items()}, **more}


def at_every(n: int, every: int, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """[n]: `values` where a sample comes, each `every`-th row, NaN between."""
    return np.where(np.arange(n) % every == 0, np.broadcast_to(np.asarray(values, np.float64), n), np.nan)


def blocks(trace: Trace, first: int, last: int, steps: npt.NDArray[np.int64]) -> list[Rows]:
    """Rows `first` up to `last`; a value that is NaN in a series that has other values too is absent."""
    names = list(trace)
    table = np.array([trace[name][first:last] for name in names]).T
    found = []
    position = 0
    for pattern, group in groupby(table, key=lambda row: tuple(np.isnan(row).tolist())):
        rows = np.array(list(group))
        kept = [i for i, absent in enumerate(pattern) if not absent]
        at = slice(first + position, first + position + len(rows))
        found.append(Rows(steps[at], tuple(names[i] for i in kept), rows[:, kept].T))
        position += len(rows)
    return found


def told(
    trace: Trace,
    declaration: Declaration | None = UNDECLARED,
    *rules: Rule,
    cut: int = 64,
    steps: npt.NDArray[np.int64] | None = None,
) -> list[AlertChange]:
    """Every change of an alert in the run, `cut` rows at a time."""
    engine = new_engine(*rules)
    if declaration is not None:
        engine.declare("run", declaration)
    n = len(next(iter(trace.values())))
    every = np.arange(n, dtype=np.int64) if steps is None else steps
    changes: list[AlertChange] = []
    for first in range(0, n, cut):
        changes += engine.observe("run", blocks(trace, first, min(first + cut, n), every))
    return changes + engine.flush("run")


def same_for_every_cut(trace: Trace, declaration: Declaration | None, rule: Rule) -> list[AlertChange]:
    """The changes, after seeing that they are the same, words and numbers too, however the rows were cut."""
    of_cuts = [told(trace, declaration, rule, cut=cut) for cut in CUTS]
    plain: list[list[Any]] = [[(change.transition, asdict(change.alert)) for change in changes] for changes in of_cuts]
    assert plain[0] == plain[1] == plain[2]
    return of_cuts[0]


def fired(changes: list[AlertChange]) -> list[tuple[str, str, str]]:
    """(transition, series, severity) of each change."""
    return [(change.transition, change.alert.series, change.alert.severity) for change in changes]
