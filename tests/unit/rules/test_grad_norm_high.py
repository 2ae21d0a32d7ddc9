"""grad_norm_high: absolute and relative, gated by the loss."""

import numpy as np
import pytest

from lossguard_server.rules import grad_norm_high
from lossguard_server.rules.alert import Alert
from unit.rules.rule_world import declared, hits_of, judged, noisy, said, summed

RULE = grad_norm_high.rule()
Array = np.ndarray


def trace(norm: Array, loss: Array | None = None) -> dict[str, Array]:
    n = len(norm)
    return {"loss/total": noisy(2.0, n, 0.03, 9) if loss is None else loss, "grad_norm/total": norm}


def raised(level: float, to: float, at: int = 200, n: int = 400) -> Array:
    return noisy(np.where(np.arange(n) < at, level, to), n, 0.2)


def test_above_5_and_five_times_its_level_is_a_warning_at_the_third_step() -> None:
    norm = noisy(np.where(np.arange(400) < 200, 1.2, 9.0), 400, 0.1)
    (first, *_) = judged(trace(norm), None, RULE)
    assert (first.alert.step, first.alert.last_step, first.alert.severity) == (200, 202, "warning")


def test_ten_times_its_level_is_critical_at_the_second_step() -> None:
    (first, *_) = judged(trace(raised(0.5, 12.0)), None, RULE)
    assert (first.alert.step, first.alert.last_step, first.alert.severity) == (200, 201, "critical")


def test_a_run_with_a_heavy_tail_raises_what_is_critical() -> None:
    norm = noisy(1.0, 2500, 0.2)
    norm[2300:2303] = 12.0
    assert judged(trace(norm), None, RULE)[0].alert.severity == "critical"
    norm[40:2300:40] = 30.0
    assert judged(trace(norm), None, RULE)[0].alert.severity == "warning"


def test_a_warning_that_grows_is_the_same_alert_and_critical() -> None:
    steps = np.arange(400)
    norm = noisy(np.select([steps < 200, steps < 210], [1.2, 8.0], 500.0), 400, 0.1)
    first, second, *_ = judged(trace(norm), None, RULE)
    assert [first.transition, second.transition] == ["fired", "escalated"]
    assert [first.alert.severity, second.alert.severity] == ["warning", "critical"]
    assert first.alert.id == second.alert.id


def test_a_model_whose_healthy_norm_is_20_is_silent_and_warned_above_100() -> None:
    assert judged(trace(noisy(20.0, 2000, 0.3)), None, RULE) == []
    assert judged(trace(raised(20.0, 60.0)), None, RULE) == []
    assert judged(trace(raised(20.0, 150.0)), None, RULE)[0].alert.severity == "warning"
    assert judged(trace(raised(20.0, 400.0)), None, RULE)[0].alert.severity == "critical"


def test_a_norm_that_rises_within_the_healthy_range_is_silent() -> None:
    assert judged(trace(raised(0.1, 3.0)), None, RULE) == []


def test_a_single_spike_is_silent() -> None:
    norm = noisy(0.5, 400, 0.3)
    norm[[100, 200, 300]] = 80.0
    assert judged(trace(norm), None, RULE) == []


def test_leaving_the_first_plateau_is_silent_because_the_loss_falls() -> None:
    n = 600
    loss = noisy(np.where(np.arange(n) < 200, 7.0, 2.0 + 5.0 * np.exp(-(np.arange(n) - 200) / 60)), n, 0.01)
    assert judged(trace(raised(1.2, 8.0, n=n), loss), None, RULE) == []
    flat = noisy(7.0, n, 0.01)
    assert judged(trace(raised(1.2, 8.0, n=n), flat), None, RULE) != []


def test_beyond_thirty_times_its_level_a_falling_loss_is_no_excuse() -> None:
    n = 600
    loss = noisy(7.0 * np.exp(-np.arange(n) / 200), n, 0.01)
    assert judged(trace(raised(1.2, 500.0, n=n), loss), None, RULE)[0].alert.severity == "critical"


def test_a_warm_up_with_falling_loss_and_rising_norm_is_silent() -> None:
    n = 300
    loss = noisy(2.0 + 8.0 * np.exp(-np.arange(n) / 40), n, 0.02)
    assert judged(trace(noisy(np.linspace(0.2, 9.0, n), n, 0.2), loss), None, RULE) == []


def test_norms_that_are_not_finite_are_left_to_the_other_rule() -> None:
    norm = noisy(0.5, 400, 0.3)
    norm[200:230] = np.inf
    norm[300:330] = np.nan
    assert judged(trace(norm), None, RULE) == []


def test_without_a_total_there_is_no_gate() -> None:
    assert said(judged({"grad_norm/total": raised(0.5, 20.0)}, None, RULE))[0] == ("fired", "grad_norm_high", 201)


def test_the_group_with_the_largest_share_is_named() -> None:
    norm = raised(0.5, 20.0)
    more = {"grad_norm/head": 0.1 * norm, "grad_norm/backbone": 0.99 * norm}
    alert = judged(trace(norm) | more, None, RULE)[0].alert
    assert "backbone" in alert.message
    assert alert.evidence["group"] == "backbone"


def test_without_a_component_that_dominates_the_advice_is_words() -> None:
    n = 400
    losses = {"ce": noisy(2.0, n), "aux": noisy(1.0, n, 0.03, 1)}
    alert = judged(summed({"ce": 1.0, "aux": 0.1}, losses) | {"grad_norm/total": raised(0.5, 20.0)}, None, RULE)[
        0
    ].alert
    assert (alert.component, alert.remedy) == (None, None)
    assert "learning rate" in alert.evidence["text"]
    assert "Which component pulls is not known." in alert.message
    assert "run.shared" in alert.evidence["text"]
    assert "No weight helps" not in alert.evidence["text"], "nobody knows that"


def drifting(aux_weight: float) -> Alert:
    """`aux` triples from step 250 on, and the norm rises at step 258."""
    n = 400
    aux = noisy(np.where(np.arange(n) < 250, 1.0, 3.0), n, 0.03, 1)
    columns = summed({"ce": 1.0, "aux": aux_weight}, {"ce": noisy(2.0, n), "aux": aux})
    alerts = judged(columns | {"grad_norm/total": raised(0.5, 20.0, 258, n)}, declared(ce=1.0, aux=aux_weight), RULE)
    return alerts[0].alert


def test_a_small_component_whose_raw_loss_drifts_is_not_said_to_drive_the_norm() -> None:
    alert = drifting(0.004)
    assert (alert.component, alert.remedy) == (None, None)
    assert alert.message.endswith("Which component pulls is not known.")


def test_one_whose_drift_lifts_the_total_is() -> None:
    alert = drifting(0.3)
    assert alert.component == "aux"
    assert alert.message.endswith("aux drives it.")


def test_where_the_pulls_are_measured_and_none_has_most_of_it_nothing_is_unknown() -> None:
    n = 400
    losses = {"ce": noisy(2.0, n), "aux": noisy(1.0, n, 0.03, 1)}
    pulls = {"grad_share/ce": np.full(n, 0.5), "grad_share/aux": np.full(n, 0.5)}
    columns = summed({"ce": 1.0, "aux": 0.1}, losses) | pulls | {"grad_norm/total": raised(0.5, 20.0)}
    alert = judged(columns, declared(ce=1.0, aux=0.1), RULE)[0].alert
    assert alert.component is None
    assert "not known" not in alert.message


def test_of_a_single_loss_there_is_no_question_which_one_pulls() -> None:
    columns = summed({"ce": 1.0}, {"ce": noisy(2.0, 400)}) | {"grad_norm/total": raised(0.5, 20.0)}
    assert "not known" not in judged(columns, declared(ce=1.0), RULE)[0].alert.message


def test_the_component_with_most_of_the_gradient_is_named_and_its_weight_is_the_remedy() -> None:
    n = 400
    losses = {"ce": noisy(2.0, n), "aux": noisy(1.0, n, 0.03, 1)}
    shares = {"grad_share/ce": np.full(n, 0.1), "grad_share/aux": np.full(n, 0.9)}
    columns = summed({"ce": 1.0, "aux": 0.1}, losses) | shares | {"grad_norm/total": raised(0.5, 20.0)}
    alert = judged(columns, declared(ce=1.0, aux=0.1), RULE)[0].alert
    assert alert.component == "aux"
    assert alert.remedy is not None
    assert (alert.remedy["kind"], alert.remedy["args"]["component"]) == ("set_weight", "aux")


def test_overflows_of_a_gradient_scaler_are_silent() -> None:
    n = 400
    norm = noisy(0.5, n, 0.2)
    tried = np.arange(n) % 50 == 0
    norm[tried] = np.inf
    norm[1::50] = 3e4  # finite, and of a step that was skipped all the same
    skipped = np.where(tried | (np.arange(n) % 50 == 1), 1.0, 0.0)
    columns = trace(norm) | {"skipped": skipped, "loss_scale": np.full(n, 65536.0)}
    assert judged(columns, None, RULE) == []


@pytest.mark.parametrize("cut", [7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    norm = raised(1.2, 8.0)
    norm[300:320] = 60.0
    found = hits_of(RULE, trace(norm), cut=cut)
    assert found == hits_of(RULE, trace(norm), cut=1)
    warned, critical = (found["grad_norm/total", word, False] for word in ("warning", "critical"))
    assert set(warned).isdisjoint(critical)
