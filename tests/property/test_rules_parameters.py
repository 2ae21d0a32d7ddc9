"""Whatever a person sets a rule's parameters to, and however often while the run goes on: no rule breaks.

Rules of this file: the engine empties what a rule remembers when its parameters change. Here the rules are asked
without it, with the memory that other parameters left.
"""

from dataclasses import fields, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import default_rules
from lossguard_server.rules.base import Memory, Rule
from unit.rules.rule_world import Trace, declared, noisy, summed, windows

N, CUT = 240, 30
DECLARED = declared(
    ContractSpec("matrix/R/fro", 30.0, 60.0, "range"),
    ContractSpec("loss/aux", 0.0, 10.0, "bound"),
    ContractSpec("count/mask", 1.0, None, "count", [], 20.0),
    ce=1.0,
    aux=0.01,
)


def eventful(seed: int) -> Trace:
    """Flat, so that windows of samples fill, with bursts, a leak, skips, matrices and an evaluation that is off."""
    rng, at = np.random.default_rng(seed), np.arange(N)
    trace = summed({"ce": 1.0, "aux": 0.01}, {"ce": noisy(2.0, N, 0.02, seed), "aux": noisy(8.0, N, 0.1, seed + 1)})
    trace["grad_norm/total"] = noisy(1.0, N, 0.3, seed + 2)
    trace["matrix/R/fro"], trace["matrix/P/fro"] = noisy(45.0, N, 0.1, 3), noisy(45.0, N, 0.1, 4)
    trace["eval/matrix/R/fro"] = noisy(9.0, N, 0.1, 5)
    trace["count/mask"] = rng.poisson(20.0, N).astype(float)
    trace["loss_scale"], trace["skipped"] = 2.0 ** rng.integers(1, 17, N), (rng.random(N) < 0.1).astype(float)
    trace["memory/cuda:0/total_gib"], trace["memory/cuda:0/peak_gib"] = np.full(N, 80.0), 40.0 + at / 6
    trace["time/step_s"], trace["lr"] = noisy(0.1, N, 0.1, 6), np.where(at < 100, 1e-3, 0.5)
    trace["update_ratio/a"] = noisy(1e-3, N, 2.0, 7)
    for name in ("grad_share/ce", "grad_share/aux"):
        trace[name] = rng.random(N)
    trace["grad_cos/ce|aux"] = rng.uniform(-1.0, 1.0, N)
    trace = {name: values.copy() for name, values in trace.items()}
    for begin in rng.integers(40, N - 20, 8).tolist():
        trace[str(rng.choice(list(trace)))][begin : begin + int(rng.integers(1, 15))] *= float(rng.choice([0.1, 30.0]))
    return trace


def tuned(data: st.DataObject, rule: Rule) -> Rule:
    """The rule with each parameter somewhere between its bounds, at one of them, or as it is by default."""
    given = {}
    for entry in fields(rule.parameters):
        low, high, default = entry.metadata["low"], entry.metadata["high"], entry.default
        likely = [low, high, default, min(high, 3 * default)]
        value = data.draw(st.sampled_from(likely) | st.floats(low, high), label=entry.name)
        given[entry.name] = float(round(value)) if entry.metadata["whole"] else value
    try:
        return replace(rule, parameters=replace(rule.parameters, **given))
    except ValueError:  # one above another, which a person is told
        return rule


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_parameters_that_change_while_the_run_goes_on_break_no_rule(data: st.DataObject) -> None:
    seen = windows(eventful(data.draw(st.integers(0, 20), label="seed")), DECLARED, CUT)
    rule = data.draw(st.sampled_from(default_rules()), label="rule")
    memory: Memory = {}
    with np.errstate(all="ignore"):  # as the engine asks them
        for window in seen:
            now = tuned(data, rule) if data.draw(st.booleans(), label="set") else rule
            for hits in now.judge(window, now.parameters, memory):
                for row in hits.rows.tolist():
                    assert hits.explain(row).message


def test_every_parameter_may_be_at_either_of_its_bounds_in_the_middle_of_a_run() -> None:
    """Each rule goes through its parameters one by one: default, lowest, highest, default."""
    seen = windows(eventful(0), DECLARED, CUT)
    for rule in default_rules():
        for entry in fields(rule.parameters):
            memory: Memory = {}
            bounds = [entry.default, entry.metadata["low"], entry.metadata["high"], entry.default]
            for number, window in enumerate(seen):
                try:
                    parameters = replace(rule.parameters, **{entry.name: bounds[number // 2 % 4]})
                except ValueError:
                    continue
                with np.errstate(all="ignore"):
                    for hits in rule.judge(window, parameters, memory):
                        assert all(hits.explain(row).message for row in hits.rows[:1].tolist())
