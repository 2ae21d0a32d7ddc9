"""loss_jump: fires on a lasting jump, is quiet on what healthy runs do."""

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, RampSpec, StageSpec
from lossguard_server.rules import loss_jump
from unit.rules.rule_world import (
    declared,
    hits_of,
    judged,
    new_engine,
    noisy,
    report,
    report_declaration,
    rows_of,
    said,
    summed,
    window_at,
    windows,
)

RULE = loss_jump.rule()


def jumped(
    factor: float, at: int = 200, samples: int = 200, n: int = 400, sigma: float = 0.03
) -> dict[str, np.ndarray]:
    step = np.arange(n)
    return {"loss/total": noisy(2.0, n, sigma) * np.where((step >= at) & (step < at + samples), factor, 1.0)}


def test_a_lasting_jump_fires_at_its_second_step() -> None:
    (first, *_) = judged(jumped(3.0), None, RULE)
    assert (first.alert.step, first.alert.last_step, first.alert.severity) == (200, 201, "critical")


@pytest.mark.parametrize("factor", [3.0, 500.0, 1e12])
def test_one_bad_batch_is_silent_however_high_it_is(factor: float) -> None:
    assert judged(jumped(factor, samples=1), None, RULE) == []


def test_a_jump_on_top_of_steady_growth_fires_and_the_growth_does_not() -> None:
    n = 900
    growing = np.exp(0.004 * np.arange(n) + np.random.default_rng(4).normal(0, 0.1, n))
    assert judged({"loss/total": growing}, None, RULE) == []
    growing[700:] *= 20.0
    (first, *_) = judged({"loss/total": growing}, None, RULE)
    assert first.alert.last_step == 701
    assert "steady growth explains 0." in first.alert.evidence["text"]


def test_a_rise_of_a_third_is_silent_also_beside_a_bad_batch() -> None:
    trace = jumped(1.33)
    trace["loss/total"][203] *= 3.0
    assert judged(trace, None, RULE) == []


def test_a_healthy_noisy_run_of_5000_steps_is_silent() -> None:
    falling = 1.5 + 3.0 * np.exp(-np.arange(5000) / 400)
    for seed, sigma in enumerate((0.02, 0.1, 0.3)):
        assert judged({"loss/total": noisy(falling, 5000, sigma, seed)}, None, RULE) == []


def test_a_loss_that_grows_as_in_reinforcement_learning_is_silent() -> None:
    growing = np.exp(np.linspace(0.0, 5.0, 4000))
    assert judged({"loss/total": noisy(growing, 4000, 0.25)}, None, RULE) == []


def test_a_loss_with_two_kinds_of_batches_is_silent() -> None:
    kinds = np.random.default_rng(1).random(3000) < 0.3  # mixup: 1.2 or 3.3, as in public ViT logs
    assert judged({"loss/total": noisy(np.where(kinds, 3.3, 1.2), 3000, 0.1)}, None, RULE) == []


def test_a_steep_start_is_silent() -> None:
    falling = 2.0 + 30.0 * np.exp(-np.arange(300) / 8)
    assert judged({"loss/total": noisy(falling, 300, 0.05)}, None, RULE) == []


def test_values_that_are_not_finite_neither_fire_nor_move_the_level() -> None:
    trace = {"loss/total": noisy(2.0, 400)}
    trace["loss/total"][100:120] = np.nan
    trace["loss/total"][150] = -np.inf
    assert judged(trace, None, RULE) == []
    level = window_at(trace, 160).levels.level[0, 0]
    assert abs(level - np.log(2.0)) < 0.05


def test_a_loss_that_crosses_zero_is_judged_in_its_own_unit() -> None:
    n = 600
    elbo = np.random.default_rng(0).normal(-0.2, 1.0, n)
    assert judged({"loss/total": elbo}, None, RULE) == []
    elbo[400:] += 200.0
    assert said(judged({"loss/total": elbo}, None, RULE))[0][:2] == ("fired", "loss_jump")


def test_a_total_of_exactly_zero_has_no_ratio() -> None:
    trace = {"loss/total": np.where(np.arange(200) % 7 == 0, 0.01, 0.0)}
    assert judged(trace, None, RULE) == []


def test_a_stage_whose_components_are_known_is_left_to_the_rule_that_compares_stages_however_far_it_goes() -> None:
    assert judged(report(), report_declaration(), RULE) == []
    # the same total without the weights that explain it is an alert
    assert judged({"loss/total": report()["loss/total"]}, None, RULE) != []


def test_a_known_component_that_jumps_at_its_stage_is_an_alert_all_the_same() -> None:
    trace = report()
    trace["loss/precursor"][300:] *= 10.0
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    (first, *_) = judged(trace, report_declaration(), RULE)
    assert (first.alert.step, first.alert.component) == (300, "precursor")


def test_a_component_never_evaluated_before_its_stage_is_blamed_on_the_schedule_and_its_weight_is_the_remedy() -> None:
    n, start = 400, 300
    trace = report(n, start)
    late = {name: trace.pop(name) for name in ("loss/precursor", "weight/precursor")}
    engine = new_engine(RULE)
    engine.declare("run", report_declaration(start))
    assert engine.observe("run", [rows_of(trace, 0, start)]) == []
    (first, *_) = engine.observe("run", [rows_of(trace | late, start, n)])
    alert = first.alert
    assert (alert.step, alert.last_step, alert.component) == (300, 301, "precursor")
    assert alert.blame is not None
    assert alert.remedy is not None
    top = alert.blame["parts"][0]
    assert (top["component"], top["cause"]) == ("precursor", "schedule")
    assert 97 <= top["percent"] <= 103
    assert sum(part["percent"] for part in alert.blame["parts"]) == 100
    assert (alert.remedy["kind"], alert.remedy["args"]["component"]) == ("set_weight", "precursor")
    assert 1.4e-5 <= alert.remedy["args"]["value"] <= 1.8e-5


def test_a_planned_stage_that_adds_half_is_silent() -> None:
    n, start = 600, 300
    weight = np.where(np.arange(n) < start, 0.0, 0.5)
    trace = summed({"ce": 1.0, "aux": weight}, {"ce": noisy(2.0, n, 0.01), "aux": noisy(2.8, n, 0.01, 1)})
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", start, {"ce": 1.0, "aux": 0.5})]
    assert judged(trace, Declaration(seq=1, components=["ce", "aux"], stages=stages), RULE) == []
    # the same rise without a schedule to explain it is an alert
    assert judged({"loss/total": trace["loss/total"]}, None, RULE) != []


def test_a_ramp_is_followed_however_far_it_goes() -> None:
    n = 1500
    ramp = np.clip((np.arange(n) - 300) / 500, 0.0, 1.0)
    trace = summed({"ce": 1.0, "aux": ramp}, {"ce": noisy(2.0, n, 0.02), "aux": noisy(10.0, n, 0.02, 1)})
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 300, {"ce": 1.0, "aux": RampSpec(0.0, 1.0, 500)})]
    assert judged(trace, Declaration(seq=1, components=["ce", "aux"], stages=stages), RULE) == []


def test_a_jump_that_no_schedule_explains_is_blamed_on_the_loss_and_answered_by_a_pause() -> None:
    n = 400
    ce = noisy(2.0, n) * np.where(np.arange(n) < 300, 1.0, 4.0)
    (first, *_) = judged(
        summed({"ce": 1.0, "aux": 0.1}, {"ce": ce, "aux": noisy(1.0, n)}), declared(ce=1.0, aux=0.1), RULE
    )
    assert first.alert.blame is not None
    assert first.alert.remedy is not None
    assert (first.alert.component, first.alert.blame["parts"][0]["cause"]) == ("ce", "loss")
    assert first.alert.remedy["kind"] == "pause"


def test_a_jump_that_the_components_do_not_explain_blames_none_of_them() -> None:
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 400)})
    trace["loss/total"][300:] += 1000.0
    (first, *_) = judged(trace, declared(ce=1.0), RULE)
    assert first.alert.blame is None
    assert "do not explain it" in first.alert.message
    assert "went from 2 to" in first.alert.message


def test_where_the_spread_is_wide_a_large_factor_is_enough() -> None:
    loss = noisy(0.15, 90, 0.7)
    loss[60:] = 3.0  # four spreads, and twenty times the level
    assert judged({"loss/total": loss}, None, RULE)[0].alert.step == 60
    assert judged({"loss/total": loss}, None, loss_jump.rule(loss_jump.Parameters(factor_far=1e6))) == []


def test_a_longer_logging_interval_is_not_a_jump() -> None:
    # as AlgoPerf logs: every step until 100, then every 100; the loss went up by half meanwhile
    loss = noisy(np.where(np.arange(200) < 100, 2.0, 3.4), 200, 0.02)
    steps = [*range(100), *range(200, 10_200, 100)]
    trace = {"loss/total": loss}
    assert [hits for w in windows(trace, None, steps=steps) for hits in RULE.judge(w, RULE.parameters, {})] == []
    assert hits_of(RULE, trace) != {}


@pytest.mark.parametrize("cut", [7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    trace = jumped(2.2, sigma=0.1)
    trace["loss/total"][[50, 120]] = 900.0, np.nan
    (whole,), (single,) = hits_of(RULE, trace, cut=cut).values(), hits_of(RULE, trace, cut=1).values()
    assert sorted(whole) == single
    assert single[0] == 50
