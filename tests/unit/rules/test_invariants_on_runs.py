"""The invariants on whole runs: the coverage that the report computes, silence on healthy runs, and restarts."""

import numpy as np
import pytest

import curves
from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import bound, contract, contribution_dominates, count, nonfinite, train_eval
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import (
    Trace,
    declared,
    judged,
    new_engine,
    noisy,
    report,
    report_declaration,
    rows_of,
    summed,
)

RULES = tuple(each.rule() for each in (nonfinite, count, contract, bound, train_eval, contribution_dominates))

RIS = declared(
    ContractSpec("matrix/R_samp/fro", 30, 60, "range"),
    ContractSpec("matrix/R_blend/fro", 50, 100, "range"),
    ContractSpec("matrix/R_samp", kind="psd", expected=144.0),
    ContractSpec("matrix/R_blend", kind="blend", of=["matrix/R_samp", "matrix/R_pred"]),
    ContractSpec("loss/spectrum", 0.0, 2.0, "bound"),
    ContractSpec("count/masked", None, None, "count", expected=1229.0),
    spectrum=1.0,
)


def healthy(n: int = 600) -> Trace:
    """The ris system after its mend."""
    masked = np.random.default_rng(1).binomial(8192, 0.15, n).astype(np.float64)
    return summed({"spectrum": 1.0}, {"spectrum": noisy(0.8, n, 0.1)}) | {
        "matrix/R_samp/fro": noisy(46.0, n, 0.05),
        "matrix/R_samp/trace": noisy(144.0, n, 0.001),
        "matrix/R_pred/fro": noisy(65.0, n, 0.02),
        "matrix/R_blend/fro": noisy(58.0, n, 0.02),
        "eval/matrix/R_samp/fro": noisy(46.6, n, 0.05),
        "grad_norm/total": noisy(0.5, n, 0.3),
        "count/masked": masked,
    }


def broken(**last: float) -> Trace:
    """The same run, broken from its first step on."""
    return healthy() | {name.replace("__", "/"): np.full(600, value) for name, value in last.items()}


def first(changes: list[AlertChange]) -> dict[str, tuple[str, int, str]]:
    """By rule: the first alert's series, step and severity."""
    found: dict[str, tuple[str, int, str]] = {}
    for change in changes:
        alert = change.alert
        found.setdefault(alert.rule, (alert.series, alert.last_step, alert.severity))
    return found


def test_a_healthy_run_with_everything_declared_is_silent() -> None:
    assert judged(healthy(), RIS, *RULES) == []


def test_failure_1_at_the_first_steps_of_its_stage() -> None:
    """Lead to NaN in the report: 1,600 steps."""
    found = first(judged(report(), report_declaration(), *RULES))
    assert found == {"contribution_dominates": ("contribution/precursor", 302, "critical")}


def test_failure_3_before_the_first_update_is_taken() -> None:
    trace = broken(
        matrix__R_samp__fro=2.85e-4, matrix__R_samp__trace=8.8e-4, matrix__R_blend__fro=3.46e12, loss__spectrum=1.7e25
    )
    found = first(judged(trace, RIS, *RULES))
    assert {step for _, step, _ in found.values()} == {0}
    assert {severity for *_, severity in found.values()} == {"critical"}
    assert set(found) == {"contract", "train_eval", "bound"}


def test_failure_4_at_its_first_batch() -> None:
    found = first(judged(broken(count__masked=0.0), RIS, *RULES))
    assert found == {"count": ("count/masked", 0, "critical")}


def test_what_follows_is_told_by_nonfinite_with_what_was_still_finite() -> None:
    trace = broken(matrix__R_blend__fro=3.46e12, grad_norm__total=np.nan)
    (alert,) = [change.alert for change in judged(trace, RIS, *RULES) if change.alert.rule == "nonfinite"]
    assert alert.step == 0
    assert "matrix/R_blend/fro 3.46e+12" in alert.evidence["text"]


def test_two_healthy_runs_of_many_losses_are_silent() -> None:
    cyclegan = curves.curve("gan01").components
    one = dict.fromkeys(cyclegan, 1.0)
    assert judged(summed(one, cyclegan), declared(**one), *RULES) == []
    n = 4000
    policy = noisy(1.0, n, 0.2) * np.exp(-np.arange(n) / 400)
    losses = {"policy": policy, "value": noisy(0.4, n, 0.3, 1), "entropy": noisy(1.4, n, 0.05, 2)}
    weights = {"policy": 1.0, "value": 0.5, "entropy": 0.01}
    assert judged(summed(weights, losses), declared(**weights), *RULES) == []


@pytest.mark.parametrize(("name", "pages"), [("pinn05", False), ("pinn03", False), ("pinn02", True)])
def test_physics_informed_runs_with_equal_weights(name: str, pages: bool) -> None:
    """pinn05 recovers from a share of 0.996; pinn03 is all one component; pinn02 blows up at 549."""
    components = curves.curve(name).components
    quarter = dict.fromkeys(components, 0.25)
    alerts = [change.alert for change in judged(summed(quarter, components), declared(**quarter), *RULES)]
    assert (alerts == []) == (name == "pinn05")
    assert any(alert.severity == "critical" for alert in alerts) == pages


@pytest.mark.parametrize("at", [1, 37, 300])
def test_after_a_restart_the_alerts_are_those_of_an_unbroken_run(at: int) -> None:
    trace = healthy()
    trace["matrix/R_blend/fro"][350:] = 70.0
    trace["count/masked"][400:] = 3.0
    trace["loss/spectrum"][40:290] = 1.96
    whole = judged(trace, RIS, *RULES)
    assert {change.alert.rule for change in whole} == {"contract", "count", "bound"}
    engine, restarted = new_engine(*RULES), new_engine(*RULES)
    engine.declare("run", RIS)
    restarted.declare("run", RIS)
    before = engine.observe("run", [rows_of(trace, 0, at)])
    restarted.load("run", engine.dump("run"))
    after = restarted.observe("run", [rows_of(trace, at)]) + restarted.flush("run")
    assert [change.alert.id for change in before + after] == [change.alert.id for change in whole]
    assert [change.alert.evidence["text"] for change in before + after] == [c.alert.evidence["text"] for c in whole]
