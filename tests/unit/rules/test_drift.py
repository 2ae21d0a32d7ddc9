"""drift: what rises by steps too small for a jump, of the total and of each raw component."""

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, StageSpec
from lossguard_server.rules import drift, rise
from unit.rules.rule_world import declared, hits_of, judged, moment_at, noisy, summed, windows

RULE = drift.rule()
Array = np.ndarray


def sloped(rate: float, n: int = 600, start: int = 300, sigma: float = 0.1, seed: int = 0) -> dict[str, Array]:
    """A total of 2 that grows by `rate` a step from `start` on."""
    return {"loss/total": noisy(2.0 * np.exp(rate * np.maximum(np.arange(n) - start, 0)), n, sigma, seed)}


def test_a_rise_of_half_within_the_noise_is_critical_after_some_samples() -> None:
    trace = {"loss/total": noisy(np.where(np.arange(400) < 200, 2.0, 3.0), 400, 0.1)}
    (first, *_) = judged(trace, None, RULE)
    assert first.alert.severity == "critical" or first.alert.step < 206
    assert 203 <= first.alert.last_step <= 212
    assert any(change.alert.severity == "critical" for change in judged(trace, None, RULE))


def test_a_slow_climb_is_seen() -> None:
    (first, *_) = judged(sloped(0.02), None, RULE)
    assert 305 <= first.alert.last_step <= 340


def test_a_run_whose_noise_is_one_percent_is_judged_by_what_is_visible_not_by_its_spread() -> None:
    assert judged({"loss/total": noisy(np.where(np.arange(400) < 200, 2.0, 2.2), 400, 0.01)}, None, RULE) == []
    risen = {"loss/total": noisy(np.where(np.arange(400) < 200, 2.0, 3.0), 400, 0.01)}
    assert judged(risen, None, RULE)[0].alert.last_step == 203


def test_one_outlier_is_silent_however_large() -> None:
    trace = {"loss/total": noisy(2.0, 400)}
    trace["loss/total"][[100, 200, 300]] = 1e12
    assert judged(trace, None, RULE) == []


def test_outliers_two_in_five_are_no_drift() -> None:
    bad = np.isin(np.arange(400) % 5, (0, 2)) & (np.arange(400) >= 200) & (np.arange(400) < 240)
    assert judged({"loss/total": noisy(np.where(bad, 3.0, 2.0), 400, 0.03)}, None, RULE) == []


@pytest.mark.parametrize(("sigma", "seed"), [(0.01, 0), (0.1, 1), (0.5, 2)])
def test_a_healthy_falling_run_is_silent(sigma: float, seed: int) -> None:
    falling = 1.5 + 3.0 * np.exp(-np.arange(5000) / 400)
    assert judged({"loss/total": noisy(falling, 5000, sigma, seed)}, None, RULE) == []


def test_two_kinds_of_batches_are_silent() -> None:
    kinds = np.random.default_rng(1).random(3000) < 0.3
    assert judged({"loss/total": noisy(np.where(kinds, 3.3, 1.2), 3000, 0.1)}, None, RULE) == []


def test_a_loss_that_grows_as_in_reinforcement_learning_is_silent() -> None:
    assert judged({"loss/total": noisy(np.exp(np.linspace(0, 5, 4000)), 4000, 0.25)}, None, RULE) == []


def test_a_planned_stage_is_silent() -> None:
    n = 600
    weight = np.where(np.arange(n) < 300, 0.0, 0.5)
    trace = summed({"ce": 1.0, "aux": weight}, {"ce": noisy(2.0, n, 0.01), "aux": noisy(2.8, n, 0.01, 1)})
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 300, {"ce": 1.0, "aux": 0.5})]
    assert judged(trace, Declaration(seq=1, components=["ce", "aux"], stages=stages), RULE) == []
    assert judged({"loss/total": trace["loss/total"]}, None, RULE) != []


def test_a_longer_logging_interval_is_silent() -> None:
    loss = noisy(np.where(np.arange(200) < 100, 2.0, 3.0), 200, 0.05)
    steps = [*range(100), *range(200, 10_200, 100)]
    kept: dict[str, object] = {}
    assert [
        h for w in windows({"loss/total": loss}, None, steps=steps) for h in RULE.judge(w, RULE.parameters, kept)
    ] == []


def test_the_component_that_drifts_is_named_and_its_weight_is_the_remedy() -> None:
    n = 500
    aux = noisy(2.0 * np.exp(0.03 * np.maximum(np.arange(n) - 300, 0)), n, 0.05, 1)
    trace = summed({"ce": 1.0, "aux": 0.5}, {"ce": noisy(2.0, n, 0.05), "aux": aux})
    by_series = {}
    for change in judged(trace, declared(ce=1.0, aux=0.5), RULE):
        by_series.setdefault(change.alert.series, change.alert)
    assert set(by_series) == {"loss/total", "loss/aux"}
    assert by_series["loss/aux"].severity == "warning"
    assert by_series["loss/total"].component == by_series["loss/aux"].component == "aux"
    assert by_series["loss/aux"].step < by_series["loss/total"].step
    remedy = by_series["loss/total"].remedy
    assert remedy is not None
    assert (remedy["kind"], remedy["args"]["component"]) == ("set_weight", "aux")


def test_a_component_that_drifts_and_hardly_counts_is_not_named_for_the_total() -> None:
    n, at = 500, np.maximum(np.arange(500) - 300, 0)
    losses = {"ce": noisy(2.0 * np.exp(0.01 * at), n, 0.02), "aux": noisy(2.0 * np.exp(0.03 * at), n, 0.02, 1)}
    changes = judged(summed({"ce": 1.0, "aux": 0.002}, losses), declared(ce=1.0, aux=0.002), RULE)
    first = next(change.alert for change in changes if change.alert.series == "loss/total")
    assert first.component == "ce"
    assert first.blame is not None
    assert first.blame["parts"][0]["component"] == "ce"


def test_a_leading_component_is_answered_by_going_back() -> None:
    n = 400
    ce = noisy(np.where(np.arange(n) < 200, 2.0, 3.0), n, 0.1)
    trace = summed({"ce": 1.0, "aux": 0.1}, {"ce": ce, "aux": noisy(1.0, n)})
    remedies = [change.alert.remedy for change in judged(trace, declared(ce=1.0, aux=0.1), RULE)]
    assert {remedy["kind"] for remedy in remedies if remedy is not None} == {"rollback"}


def test_what_is_only_watched_may_drift() -> None:
    n = 500
    watched = noisy(2.0 * np.exp(0.03 * np.maximum(np.arange(n) - 300, 0)), n, 0.05, 1)
    trace = summed({"ce": 1.0, "aux": 0.0}, {"ce": noisy(2.0, n, 0.05), "aux": watched})
    assert judged(trace | {"loss/other": watched}, declared(ce=1.0), RULE) == []


@pytest.mark.parametrize("cut", [7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    n = 600
    aux = noisy(2.0 * np.exp(0.03 * np.maximum(np.arange(n) - 300, 0)), n, 0.2, 1)
    trace = summed({"ce": 1.0, "aux": 0.5}, {"ce": noisy(-1.0, n, 0.3), "aux": aux})  # the total turns signed
    trace["loss/total"][[310, 330]] = np.nan
    assert hits_of(RULE, trace, cut=cut) == hits_of(RULE, trace, cut=1) != {}


@pytest.mark.parametrize("cut", [7, 64, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_the_cut_changes_nothing_where_it_is_a_near_thing(cut: int, seed: int) -> None:
    step = np.arange(600)
    flickering = {"loss/total": noisy(np.where(step < 200, 2.0, 2.8), 600, 0.15, seed)}
    assert hits_of(RULE, flickering, cut=cut) == hits_of(RULE, flickering, cut=1) != {}
    # short excursions: what came before the CUSUM was last 0 has no part in the median
    height = np.select([step % 25 == k for k in range(4)], [1.1, 1.1, 1.5, 1.5], 1.0)
    bursts = {"loss/total": noisy(2.0 * np.where(step > 100, height, 1.0), 600, 0.004, seed)}
    assert hits_of(RULE, bursts, cut=cut) == hits_of(RULE, bursts, cut=1) != {}


def test_the_component_with_the_largest_own_drift_is_found() -> None:
    n = 320
    aux = noisy(np.where(np.arange(n) < 300, 2.0, 3.0), n, 0.05, 1)
    trace = summed({"ce": 1.0, "aux": 0.5}, {"ce": noisy(2.0, n, 0.05), "aux": aux})
    moment = moment_at(trace, 315, declared(ce=1.0, aux=0.5))
    assert rise.largest_drift(moment, 10.0) == "aux"
    assert rise.largest_drift(moment, 51.0) is None
