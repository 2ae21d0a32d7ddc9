"""Killed at any rows and brought back from what is stored, the engine says exactly what an unbroken one says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, StageSpec
from lossguard_server.services.engine import RULE_HEALTH, Engine
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import Trace, new_engine, noisy, rows_of, summed

N = 420
NAMES = ["ce", "aux"]
LATE = 150  # at which series appear
ROLLBACK, TO = 300, 260
DECLARED = (0, 120, 200)  # before which rows the run declares itself, differently


def declaration(number: int) -> Declaration:
    stages = [StageSpec("ce", 0, {"ce": 1.0, "aux": 0.0}), StageSpec("both", 220, {"ce": 1.0, "aux": 0.01})]
    contracts = [
        ContractSpec("matrix/A/fro", 30.0, 60.0, "range"),
        ContractSpec("matrix/M", kind="blend", of=["matrix/A", "matrix/B"]),
        ContractSpec("matrix/M/fro", 30.0, 60.0, "range"),
        ContractSpec("count/masked", 32.0, None, "count", expected=1000.0),
    ]
    controls = ControlsSpec(["set_weight", "pause", "rollback"])
    return Declaration(seq=1, components=NAMES, stages=stages[: number + 1], contracts=contracts[: 2 * number],
                       controls=controls)  # fmt: skip


def stormy(seed: int) -> Trace:
    """Dominance, NaN, a signed series, a scaler that skips, matrices and counts that are off: in random places."""
    rng, at = np.random.default_rng(seed), np.arange(N)
    aux = noisy(300.0 * rng.choice([0.1, 1.0, 3.0]), N, 0.1, seed + 1)
    trace = summed({"ce": 1.0, "aux": np.where(at < 220, 0.0, 0.01)}, {"ce": noisy(2.0, N, 0.05, seed), "aux": aux})
    trace["grad_norm/total"] = noisy(1.0, N, 0.4, seed + 2)
    trace["loss_scale"] = np.where(at % 97 < 90, 65536.0, 32768.0)
    trace["skipped"] = (rng.random(N) < 0.02).astype(float)
    trace["reward"] = rng.normal(0.0, 5.0, N).cumsum()
    trace["lr"] = 1e-3 * np.where(at < 330, 1.0, 30.0)
    for name in ("A", "B", "M"):
        trace[f"matrix/{name}/fro"] = noisy(45.0, N, 0.1, seed + ord(name))
    trace["count/masked"] = rng.binomial(4000, 0.25, N).astype(float)
    trace = {name: values.copy() for name, values in trace.items()}
    for begin in rng.integers(40, N - 20, 6).tolist():
        name = str(rng.choice([each for each in trace if each not in ("skipped", "lr")]))
        trace[name][begin : begin + int(rng.integers(1, 15))] *= float(rng.choice([0.01, 3.0, 30.0, 1e4, np.nan]))
    for name in ("loss/total", "grad_norm/total"):  # ... and one that lasts, before and behind the rollback
        trace[name][180:190] *= 30.0
        trace[name][350:] *= 30.0
    return trace


@dataclass(frozen=True)
class Action:
    """What happens to the engine, in order."""

    do: Callable[[Engine], object]
    declares: Declaration | None = None


def actions(seed: int, cuts: list[int]) -> Iterator[Action]:
    trace = stormy(seed)
    early = {name: values for name, values in trace.items() if not name.startswith(("matrix/", "count/"))}
    edges = sorted({0, *DECLARED, LATE, ROLLBACK, N, *cuts})
    for a, b in pairwise(edges):
        if a in DECLARED:
            given = declaration(DECLARED.index(a))
            yield Action(partial(Engine.declare, run_id="run", declaration=given), given)
        shown: Trace = early if a < LATE else trace
        if a == ROLLBACK:
            yield Action(lambda engine: engine.rewind("run", ROLLBACK, TO))
            before = rows_of(trace, LATE, TO)
            yield Action(lambda engine, rows=before: engine.warm("run", [rows]))  # type: ignore[misc]
        steps = np.arange(N) - (ROLLBACK - TO if a >= ROLLBACK else 0)
        part: Rows = rows_of(shown, a, b, steps.tolist())
        yield Action(lambda engine, rows=part: engine.observe("run", [rows]))  # type: ignore[misc]
        if a % 7 == 3:
            data = {"trips": [{"name": "loss", "value": "nan"}], "nonfinite": ["net.weight"]}
            yield Action(lambda engine, step=int(steps[a]), data=data: engine.tripped("run", step, data))  # type: ignore[misc]
    yield Action(lambda engine: engine.flush("run"))


def judged(seed: int, cuts: list[int], kills: frozenset[int]) -> str:
    """Every change of an alert and of an incident. Killed before the actions with these numbers."""
    engine, told, declared = new_engine(), list[object](), Declaration(seq=0)
    for number, action in enumerate(actions(seed, cuts)):
        if number in kills:
            stored, engine = engine.dump("run"), new_engine()
            engine.declare("run", declared)
            engine.load("run", stored)
        found = action.do(engine)
        declared = action.declares or declared
        told += found if isinstance(found, list) else []
        told += engine.news("run")
    return repr(told)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, N - 1), min_size=2, max_size=8),
    st.frozensets(st.integers(0, 24), min_size=1),
)
def test_a_kill_at_any_row_changes_nothing(seed: int, cuts: list[int], kills: frozenset[int]) -> None:
    unbroken = judged(seed, cuts, frozenset())
    assert RULE_HEALTH not in unbroken
    assert judged(seed, cuts, kills) == unbroken


def test_the_storm_is_one() -> None:
    """What is compared is worth it: many rules speak, incidents open, escalate, close, and a rollback undoes some."""
    told = [judged(seed, [50, 77, 103, 260], frozenset(range(40))) for seed in range(4)]
    rules = {rule for rule in ("contract", "count", "nonfinite", "loss_jump", "grad_norm_high", "update_ratio")
             if any(f"rule='{rule}'" in each for each in told)}  # fmt: skip
    assert len(rules) >= 5, rules
    for news in ("opened", "escalated", "closed"):
        assert any(f"news='{news}'" in each for each in told), news
    assert any("rolled_back_to" in each for each in told)
