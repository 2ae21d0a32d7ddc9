"""Windows: weights in force, the total's expected level, the last healthy point."""

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, RampSpec, StageSpec
from lossguard_server.rules.history import History, order_of
from unit.rules.rule_world import noisy, report, report_declaration, summed, window_at


def test_a_window_knows_its_stage() -> None:
    window = window_at(report(), 310, report_declaration())
    assert window.stage is not None
    assert (window.stage.index, window.stage.name, window.steps_in_stage) == (1, "precursor", 10)
    assert window.steps_since_start == 310


def test_contributions_are_weight_times_raw_and_shares_add_up() -> None:
    window = window_at(report(), 310, report_declaration())
    assert window.components.names == ("ce", "precursor")
    assert window.components.contributions == pytest.approx(window.components.weights * window.components.losses)
    assert window.components.shares.sum() == pytest.approx(1.0)
    assert window.components.rest == pytest.approx(0.0, abs=1e-12)


def test_a_weight_that_is_not_reported_is_as_declared() -> None:
    n = 50
    trace = {"loss/total": noisy(2.0, n), "loss/ce": noisy(2.0, n), "loss/aux": noisy(1.0, n)}
    stages = [StageSpec("a", 0, {"ce": 1.0, "aux": RampSpec(0.0, 0.4, 100)})]
    window = window_at(trace, 25, Declaration(seq=1, components=["ce", "aux"], stages=stages))
    assert window.components.weights == pytest.approx([1.0, 0.1])


def test_a_weight_that_is_reported_is_the_truth_though_declared_otherwise() -> None:
    trace = report()
    trace["weight/precursor"] = np.full(400, 0.003)
    assert window_at(trace, 310, report_declaration()).components.weights == pytest.approx([1.0, 0.003])


def test_components_that_nobody_declared_are_found_by_their_weights() -> None:
    assert window_at(report(), 5).components.names == ("ce", "precursor")


def test_the_reference_stands_before_the_jump_while_the_jump_lasts() -> None:
    for step in (300, 305, 390):
        reference = window_at(report(), step, report_declaration()).reference
        assert reference is not None
        assert reference.step == 299
        assert reference.of("precursor") == (0.0, pytest.approx(700.0, rel=0.02))


def test_the_reference_follows_a_calm_run() -> None:
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 200)})
    reference = window_at(trace, 150).reference
    assert reference is not None
    assert reference.step >= 145


def test_weights_that_move_re_base_the_total_up_to_a_factor_of_two() -> None:
    n = 200
    for factor, is_accepted in ((1.9, True), (2.2, False), (0.1, True)):
        weight = np.where(np.arange(n) < 100, 1.0, factor)
        window = window_at(summed({"ce": weight}, {"ce": noisy(2.0, n, 0.01)}), 100)
        level = float(np.exp(window.base.level[window.index["loss/total"]]))
        assert level == pytest.approx(2.0 * factor if is_accepted else 2.0, rel=0.02)


def test_a_total_that_the_components_do_not_explain_is_not_re_based() -> None:
    n = 200
    trace = summed({"ce": np.where(np.arange(n) < 100, 1.0, 1.5)}, {"ce": noisy(2.0, n, 0.01)})
    trace["loss/total"] = trace["loss/total"] + 3.0
    window = window_at(trace, 100)
    assert np.exp(window.base.level[window.index["loss/total"]]) == pytest.approx(5.0, rel=0.02)


def test_a_row_of_other_series_shows_no_losses() -> None:
    history, trace = History(), report(50)
    ids = history.numbers_of(list(trace))
    history.learn(history.see(0, ids, np.array([column[0] for column in trace.values()])))
    window = history.see(0, history.numbers_of(["val/acc"]), np.array([0.5]))
    assert not window.is_whole
    assert np.isnan(window.components.losses).all()
    assert window.number("loss/ce") is None
    assert window.dominant(0.0) is None


def test_the_flow_of_computation() -> None:
    series = ["matrix/R/fro", "loss/ce", "contribution/ce", "loss/total", "grad_norm/head", "grad_norm/total"]
    assert sorted(reversed(series), key=order_of) == series
    assert order_of("val/acc") == order_of("lr") == np.inf
