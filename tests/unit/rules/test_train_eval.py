"""train_eval: the same quantity is another in evaluation."""

from math import nan

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration
from lossguard_server.rules import train_eval
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.engine import Engine
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import UNDECLARED, declared, new_engine, noisy, summed

RULE = train_eval.rule()
EVERY = 10


def observed(
    training: dict[str, np.ndarray],
    evaluation: dict[str, np.ndarray],
    declaration: Declaration = UNDECLARED,
    cut: int = 64,
) -> list[AlertChange]:
    """A run that logs `training` at each step and `evaluation` at each tenth, from step 0 on."""
    engine: Engine = new_engine(RULE)
    engine.declare("run", declaration)
    n = len(next(iter(training.values())))
    changes: list[AlertChange] = []
    parts: list[Rows] = []
    for step in range(n):
        names = list(training)
        values = [training[name][step] for name in training]
        if step % EVERY == 0:
            names += [f"eval/{name}" for name in evaluation]
            values += [evaluation[name][step // EVERY] for name in evaluation]
        parts.append(Rows(np.array([step]), tuple(names), np.array(values, dtype=np.float64)[:, None]))
        if len(parts) == cut:
            changes, parts = changes + engine.observe("run", parts), []
    return changes + engine.observe("run", parts) + engine.flush("run")


def one(series: str, ratios: list[float]) -> list[tuple[str, int, int]]:
    """What is said of a series that is 2 in evaluation and `ratios` times as much in training."""
    n = EVERY * len(ratios)
    training = {"loss/total": np.ones(n), series: np.repeat(np.array(ratios) * 2.0, EVERY)}
    changes = observed(training, {series: np.full(len(ratios), 2.0)})
    assert all(change.alert.series == f"eval/{series}" for change in changes)
    return [(c.alert.severity, c.alert.step, c.alert.last_step) for c in changes if c.transition == "fired"]


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([1.0] * 9, []),
        ([1.4] * 9, []),
        ([1.6, 1.6, 1.0, 1.6], []),
        ([1.6, 0.6, 1.6], [("warning", 0, 20)]),
        ([6.0], []),
        ([6.0, 0.1], [("critical", 0, 10)]),
        ([101.0], [("critical", 0, 0)]),
        ([1.0, 0.009], [("critical", 10, 10)]),
    ],
)
def test_what_only_the_mode_may_change(ratios: list[float], expected: list[tuple[str, int, int]]) -> None:
    assert one("matrix/R/fro", ratios) == expected
    assert one("activation/head/rms", ratios) == expected


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([2.5] * 9, []),  # mixup
        ([4.0, 0.3] * 5, []),
        ([6.0, 6.0, 6.0], [("warning", 0, 20)]),
        ([101.0], [("critical", 0, 0)]),  # in training, so it cannot be overfitting
        ([1.0, 0.009], [("critical", 10, 10)]),  # within one evaluation
        ([1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.008], [("warning", 30, 50)]),  # learned by heart
        ([0.001], []),  # a resumed run that has learned by heart
    ],
)
def test_what_the_data_may_change_too(ratios: list[float], expected: list[tuple[str, int, int]]) -> None:
    assert one("loss/ce", ratios) == expected
    assert one("rmse", ratios) == expected


@pytest.mark.parametrize(
    "series",
    ["count/masked", "weight/aux", "lr", "step_time_s", "matrix/R/defect", "matrix/R/worst", "memory/gpu/used"],
)
def test_what_is_not_compared(series: str) -> None:
    assert one(series, [1e6] * 5) == []


@pytest.mark.parametrize("value", [0.0, -2.0, nan, np.inf])
def test_zero_another_sign_and_what_is_not_finite_are_not_compared(value: float) -> None:
    training = {"loss/total": np.ones(30), "loss/policy": np.full(30, value)}
    assert observed(training, {"loss/policy": np.full(3, 2.0)}) == []
    assert (
        observed({"loss/total": np.ones(30), "loss/policy": np.full(30, 2.0)}, {"loss/policy": np.full(3, value)}) == []
    )


def test_negative_losses_are_compared_by_size() -> None:
    training = {"loss/total": np.ones(30), "loss/elbo": np.full(30, -1e4)}
    assert [c.alert.severity for c in observed(training, {"loss/elbo": np.full(3, -2.0)})] == ["critical"]


def test_the_incident_of_the_report_lists_what_differs_and_what_agrees() -> None:
    n = 10
    training = summed({"nll": 1.0}, {"nll": noisy(3.0, n)}) | {
        "matrix/R_samp/fro": np.full(n, 2.85e-4),
        "matrix/R_pred/fro": np.full(n, 65.1),
    }
    evaluation = {"matrix/R_samp/fro": np.array([46.62]), "matrix/R_pred/fro": np.array([64.0]), "loss/nll": np.ones(1)}
    (change,) = observed(training, evaluation, declared(nll=1.0))
    alert = change.alert
    assert (alert.series, alert.severity, alert.step) == ("eval/matrix/R_samp/fro", "critical", 0)
    assert "1.6e5 times as small" in alert.message
    assert alert.evidence["differ"] == ["matrix/R_samp/fro", "loss/nll"]
    assert alert.evidence["alike"] == ["matrix/R_pred/fro"]
    assert alert.remedy is not None
    assert alert.remedy["kind"] == "pause"


def test_an_evaluation_alone_is_compared_with_nothing_until_the_training_has_come() -> None:
    engine = new_engine(RULE)
    series = "matrix/R/fro"
    assert (
        engine.observe("run", [Rows(np.array([0]), (f"eval/{series}", "loss/total"), np.array([[500.0], [1.0]]))]) == []
    )
    assert engine.observe("run", [Rows(np.array([1]), (series, "loss/total"), np.array([[1.0], [1.0]]))]) == []
    (change,) = engine.observe(
        "run", [Rows(np.array([2]), (f"eval/{series}", "loss/total"), np.array([[500.0], [1.0]]))]
    )
    assert change.alert.step == 2


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    training = {"loss/total": noisy(1.0, 400), "matrix/R/fro": noisy(40.0, 400, 0.2)}
    evaluation = {"loss/total": noisy(1.0, 40), "matrix/R/fro": noisy(80.0, 40, 0.6)}
    evaluation["loss/total"][30] = 500.0
    changes = observed(training, evaluation)
    assert {change.alert.series for change in changes} == {"eval/loss/total", "eval/matrix/R/fro"}
    assert repr(observed(training, evaluation, cut=cut)) == repr(changes)
