"""Healthy runs in which something happens that looks like a failure: no rule pages, and no incident becomes critical.

Rules of this file: a multi-loss run of 2,500 rows with all that an instrumented script logs, one event each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, StageSpec
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.engine import Engine
from unit.rules.rule_world import Trace, new_engine, noisy, rows_of, summed

N, SWITCH = 2_500, 1_400
AT = np.arange(N)
WEIGHTS = {"structure": 1.0, "contact": 0.3, "aux": 0.05}
CONTROLS = ControlsSpec(["pause", "set_weight", "rollback"])
CONTRACTS = [
    ContractSpec("matrix/R/fro", 30.0, 60.0, "range"),
    ContractSpec("count/valid", 32.0, None, "count", expected=1_000.0),
    ContractSpec("loss/contact", 0.0, 20.0, "bound"),
]


@dataclass(frozen=True)
class Run:
    """A declaration and rows; `steps` [N]; `seen`: at which rows a series is logged, where not at all."""

    trace: Trace
    weights: dict[str, float]
    stages: tuple[StageSpec, ...] = ()
    steps: np.ndarray = field(default_factory=lambda: AT)
    seen: tuple[tuple[str, np.ndarray], ...] = ()
    attempt_at: int | None = None  # at which row a new attempt goes on, from an earlier step

    @property
    def declaration(self) -> Declaration:
        stages = list(self.stages or (StageSpec("all", 0, dict(self.weights)),))
        return Declaration(seq=1, components=list(self.weights), stages=stages, controls=CONTROLS, contracts=CONTRACTS)


def healthy(seed: int, weights: dict[str, float] | None = None, **factors: np.ndarray) -> Trace:
    """Losses fall by a power of the step; `factors`: [N] of a component, or of "grad"."""
    weights, fall = weights or WEIGHTS, (1 + AT / 50) ** -0.25
    levels = {"structure": 3.0, "contact": 1.5, "aux": 4.0, "second": 2.0}
    losses = {
        name: noisy(levels[name] * (0.3 + 0.7 * fall), N, 0.06, seed + k) * factors.get(name, 1.0)
        for k, name in enumerate(weights)
    }
    grad = factors.get("grad", np.ones(N))
    shares = {"structure": 0.6, "contact": 0.3, "aux": 0.1, "second": 0.4}
    rng = np.random.default_rng(seed)
    more = {
        "grad_norm/total": noisy(0.8, N, 0.2, seed + 10) * grad,
        "grad_norm/backbone": noisy(0.7, N, 0.2, seed + 11) * grad,
        "lr": np.full(N, 1e-3),
        "matrix/R/fro": noisy(45.0, N, 0.03, seed + 12),
        "count/valid": rng.binomial(4_000, 0.25, N).astype(float),
        "step_time_s": noisy(0.2, N, 0.05, seed + 13),
        "update_ratio/backbone": noisy(1e-3, N, 0.1, seed + 14),
    }
    more |= {f"grad_share/{name}": noisy(shares[name], N, 0.1, seed + 20 + k) for k, name in enumerate(weights)}
    return summed(dict(weights), losses, **more)


def nothing_happens(seed: int) -> Run:
    return Run(healthy(seed), WEIGHTS)


def overflow(seed: int) -> Run:
    """float16: the GradScaler searches at first, and doubles after 500 clean steps, which overflows each time."""
    trace, scale = healthy(seed), np.full(N, 65_536.0)
    scale[:9] = 65_536.0 * 0.5 ** np.arange(9) * 256
    probes = np.isin(AT, [*range(8), *range(508, N, 500)])
    scale[probes & (AT > 50)] *= 2
    for name in ("grad_norm/total", "grad_norm/backbone"):
        trace[name][probes] = np.inf
    return Run(trace | {"loss_scale": scale, "skipped": probes.astype(float)}, WEIGHTS)


def planned_stage(seed: int) -> Run:
    """A second loss comes in that was evaluated in its shadow all along: the total rises by 60 %, as foretold."""
    weights = {**WEIGHTS, "second": np.where(AT < SWITCH, 0.0, 1.0)}
    trace = healthy(seed, weights, grad=np.where(AT < SWITCH, 1.0, 1.5))  # type: ignore[arg-type]
    stages = (StageSpec("one", 0, {**WEIGHTS, "second": 0.0}), StageSpec("two", SWITCH, {**WEIGHTS, "second": 1.0}))
    shadow = (AT >= SWITCH) | (AT % 50 == 0)
    return Run(trace, {**WEIGHTS, "second": 1.0}, stages, seen=(("loss/second", shadow),))


def resumed(seed: int) -> Run:
    """It goes on from 100 steps before, as a new attempt; the optimizer's state is a little stale."""
    warm = np.where((AT >= SWITCH) & (AT < SWITCH + 5), 1.1, 1.0)
    factors = dict.fromkeys([*WEIGHTS, "grad"], warm)
    steps = np.where(AT < SWITCH, AT, AT - 100)
    return Run(healthy(seed, **factors), WEIGHTS, steps=steps, attempt_at=SWITCH)


def resumed_in_one_stream(seed: int) -> Run:
    """The same, but nobody says that it is a new attempt: the steps come twice."""
    run = resumed(seed)
    return Run(run.trace, WEIGHTS, steps=run.steps)


def cadence(seed: int) -> Run:
    """Every step until 200, then every hundredth: the curve seems to break."""
    steps = np.where(AT < 200, AT, 200 + 100 * (AT - 200))
    return Run(healthy(seed) | {"loss/extra": noisy(1.0, N, 0.05, seed)}, WEIGHTS, steps=steps)


def warm_up_end(seed: int) -> Run:
    """The learning rate reaches its top: the fall of the losses bends, gradients double within 100 steps."""
    bend = np.where(AT < 500, 1.6 - 0.3 * AT / 500, 1.0 + 0.3 * np.exp(-(AT - 500.0) / 200))
    factors = dict.fromkeys(WEIGHTS, bend)
    trace = healthy(seed, grad=1 + np.clip((AT - 500) / 100, 0, 1), **factors)
    return Run(trace | {"lr": 1e-3 * np.minimum((AT + 1) / 500, 1.0)}, WEIGHTS)


def mixup(seed: int) -> Run:
    """Half of the batches are mixed, and have 1.3 to 2.8 times the loss."""
    rng = np.random.default_rng(seed)
    factor = np.where(rng.random(N) < 0.5, np.exp(rng.uniform(np.log(1.3), np.log(2.8), N)), 1.0)
    return Run(healthy(seed, grad=factor**0.4, structure=factor, contact=factor), WEIGHTS)


def growing_returns(seed: int) -> Run:
    """Reinforcement learning that works: returns and the critic's loss grow, the actor's loss is signed."""
    rng, grown = np.random.default_rng(seed), np.exp(np.log(30) * AT / N)
    trace = summed({"critic": 1.0}, {"critic": 0.5 * grown * noisy(1.0, N, 0.4, seed)})
    trace |= {"return": 10 * grown + rng.normal(0, 2, N), "advantage": rng.normal(0, 1, N),
              "actor": -3.0 * grown + rng.normal(0, 1, N), "entropy": 1.4 - AT / N - 0.3 + rng.normal(0, 0.02, N),
              "grad_norm/total": noisy(0.5, N, 0.4, seed + 1) * grown**0.5}  # fmt: skip
    return Run(trace, {"critic": 1.0})


MAKERS: list[Callable[[int], Run]] = [
    nothing_happens, overflow, planned_stage, resumed, resumed_in_one_stream, cadence, warm_up_end, mixup,
    growing_returns,
]  # fmt: skip


def told(run: Run) -> tuple[list[AlertChange], Engine]:
    """What the default rules say, 97 rows at a time."""
    engine, changes = new_engine(), list[AlertChange]()
    engine.declare("run", run.declaration)
    marks = [np.flatnonzero(seen[1:] != seen[:-1]) + 1 for _, seen in run.seen]
    edges = sorted(
        {*range(0, N, 97), N, *(run.attempt_at,) * (run.attempt_at is not None), *np.concatenate([*marks, []])}
    )
    for a, b in pairwise(int(edge) for edge in edges):
        if a == run.attempt_at:
            to_step = int(run.steps[a])
            changes += engine.rewind("run", int(run.steps[a - 1]), to_step)
            engine.warm("run", [rows_of(run.trace, 0, to_step)])
        hidden = {name for name, seen in run.seen if not seen[a]}
        shown = {name: values for name, values in run.trace.items() if name not in hidden}
        changes += engine.observe("run", list(parts_of(shown, a, b, run.steps)))
    return changes + engine.flush("run"), engine


def parts_of(trace: Trace, a: int, b: int, steps: np.ndarray) -> Iterator:  # type: ignore[type-arg]
    """The rows, cut where steps go back, as frames are."""
    back = [a + int(i) + 1 for i in np.flatnonzero(np.diff(steps[a:b]) <= 0)]
    for first, last in pairwise([a, *back, b]):
        yield rows_of(trace, first, last, steps.tolist())


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_nobody_is_paged(make: Callable[[int], Run], seed: int) -> None:
    changes, engine = told(make(100 * seed))
    assert [change.alert.message for change in changes if change.alert.severity == "critical"] == []
    assert [change.alert.message for change in changes if change.alert.rule == "rule_health"] == []
    critical = [each.incident.cause["text"] for each in engine.news("run") if each.incident.severity == "critical"]
    assert critical == []


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_real_failure_in_the_same_run_is_paged(make: Callable[[int], Run]) -> None:
    """The trace is one in which a page is possible."""
    run = make(100)
    run.trace["loss/total"][2_000:] *= 30.0
    for name in [*run.weights]:
        run.trace[f"loss/{name}"][2_000:] *= 30.0
    changes, _ = told(run)
    assert any(change.alert.severity == "critical" for change in changes)
