"""plateau: a loss that has not learned, or stays above its declared target."""

import numpy as np

from lossguard.protocol.messages import ContractSpec, Declaration, StageSpec
from lossguard_server.rules import plateau
from unit.rules.rule_world import declared, hits_of, judged, noisy, summed

RULE = plateau.rule()
Array = np.ndarray


def learned(n: int, to: float = 2.0) -> Array:
    return noisy(to + 3.0 * np.exp(-np.arange(n) / 300), n, 0.02)


def target(high: float) -> Declaration:
    return Declaration(seq=1, contracts=[ContractSpec(series="loss/total", low=0.0, high=high)])


def test_a_loss_that_never_learns_is_a_warning_after_four_windows() -> None:
    (first, *_) = judged({"loss/total": noisy(6.9, 4000, 0.01)}, None, RULE)
    assert (first.alert.severity, first.alert.remedy) == ("warning", None)
    assert 2000 <= first.alert.step <= 3600


def test_a_loss_that_has_converged_is_silent_unless_it_was_to_get_lower() -> None:
    trace = {"loss/total": learned(6000)}
    assert judged(trace, None, RULE) == []
    assert judged(trace, target(2.5), RULE) == []
    (first, *_) = judged(trace, target(1.5), RULE)
    assert "it was to get below 1.5" in first.alert.message


def test_it_stays_open_while_it_lasts_and_ends_when_the_loss_moves() -> None:
    loss = np.concatenate([noisy(6.9, 4000, 0.01), noisy(6.9 * np.exp(-np.arange(1500) / 300), 1500, 0.01, 1)])
    changes = judged({"loss/total": loss}, None, RULE)
    assert [change.transition for change in changes] == ["fired", "resolved"]
    assert changes[1].alert.last_step >= 4000


def test_progress_of_a_percent_a_window_is_silent() -> None:
    n = 6000
    assert judged({"loss/total": noisy(5.0 * np.exp(-np.arange(n) / 40_000), n, 0.02)}, target(1.0), RULE) == []


def test_a_loss_that_falls_within_each_window_is_no_plateau() -> None:
    n = 6000
    assert (
        judged({"loss/total": noisy(6.9 * (1 - 0.03 * ((np.arange(n) - 30) % 500) / 500), n, 0.01)}, None, RULE) == []
    )


def test_a_loss_that_grew_and_stays_there_is_left_to_drift() -> None:
    grown = np.exp(np.clip(np.arange(6000) / 1000, 0.0, 2.0))
    assert judged({"loss/total": noisy(grown, 6000, 0.2)}, None, RULE) == []


def test_the_end_of_a_learning_rate_decay_is_silent() -> None:
    n = 5000
    rate = 1e-3 * np.concatenate([np.linspace(1.0, 0.05, 500), np.full(n - 500, 0.05)])
    trace = {"loss/total": learned(n), "lr": rate}
    assert judged(trace, target(1.5), RULE) == []
    assert judged(trace | {"lr": np.full(n, 1e-3)}, target(1.5), RULE) != []


def test_a_stage_begins_anew() -> None:
    n = 3800
    weight = np.where(np.arange(n) < 1900, 0.0, 0.5)
    trace = summed({"ce": 1.0, "aux": weight}, {"ce": noisy(2.0, n, 0.01), "aux": noisy(2.8, n, 0.01, 1)})
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 1900, {"ce": 1.0, "aux": 0.5})]
    assert judged(trace, Declaration(seq=1, components=["ce", "aux"], stages=stages), RULE) == []


def test_a_ramp_begins_anew_at_each_of_its_steps() -> None:
    n = 5000
    ramp = 1e-3 * np.exp(0.0015 * np.arange(n))
    trace = summed({"ce": 1.0, "aux": ramp}, {"ce": noisy(2.0, n, 0.01), "aux": noisy(0.001, n, 0.01, 1)})
    assert judged(trace, declared(ce=1.0, aux=1.0), RULE) == []


def test_exact_zeros_are_no_plateau() -> None:
    assert judged({"loss/total": np.zeros(4000)}, None, RULE) == []


def test_the_cut_into_windows_changes_nothing() -> None:
    n = 5200
    trace = summed({"ce": np.where(np.arange(n) < 300, 1.0, 1.1)}, {"ce": noisy(2.0, n, 0.01)})
    trace |= {"lr": np.full(n, 1e-3)}
    trace["loss/total"][[2000, 3000]] = np.nan
    rule = plateau.rule(plateau.Parameters(samples=200))
    whole = hits_of(rule, trace, cut=10_000)
    assert whole != {}
    for cut in (1, 7, 64):
        assert hits_of(rule, trace, cut=cut) == whole, cut
