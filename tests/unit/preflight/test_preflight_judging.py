"""The verdict of a stage: limits, words and remedies, of components that are made up."""

from math import inf, nan

import pytest

from lossguard import Curriculum, Stage, ramp
from lossguard.preflight.judging import judged
from lossguard.preflight.report import Component, Finding, StageReport

CE = Component("ce", 2.2, 2.1, 2.3, 4, grad_norm=1.0)


def seen(name: str, raw: float, grad_norm: float | None = 1.0, **more: int) -> Component:
    return Component(name, raw, raw, raw, 4, grad_norm=grad_norm, **more)


def second_stage(other: Component, weight: object, before: float = 0.0) -> StageReport:
    weights = {"ce": 1.0, other.name: weight}
    curriculum = Curriculum(Stage("one", 0, {"ce": 1.0, other.name: before}), Stage("two", 1_000, weights))
    return judged([CE, other], curriculum, 4).stages[1]


def the_finding(stage: StageReport) -> Finding:
    (found,) = stage.findings
    return found


def test_the_numbers_of_the_report() -> None:
    stage = second_stage(seen("precursor", 700.0), 0.01)
    ce, precursor = stage.rows
    assert (precursor.contribution, precursor.weight, precursor.raw) == (7.0, 0.01, 700.0)
    assert (round(precursor.share, 2), round(ce.share, 2), precursor.grad_norm) == (0.76, 0.24, 0.01)
    assert stage.jump == pytest.approx(9.2 / 2.2)
    found = the_finding(stage)
    assert (found.kind, found.severity, found.weight) == ("stage", "critical", 1.6e-05)
    assert found.text == (
        "Stage 'two' begins at step 1000. The total is then predicted to go from 2.2 to 9.2 (4.2 times), 76 % of it "
        "precursor: raw value 700 at weight 0.01. Set the weight of precursor from 0.01 to 1.6e-05: it would add 0.011."
        " A ramp of precursor from 0 to 0.01 over 73 steps (lossguard.ramp(0.0, 0.01, 73)) lets the total grow by "
        "2 % a step on average."
    )


@pytest.mark.parametrize(
    ("raw", "weight", "verdict"),
    [
        (1.0, 0.01, "fine"),  # the mended one
        (110.0, 0.01, "fine"),  # jump 1.5, not above
        (112.0, 0.01, "warning"),
        (219.0, 0.01, "warning"),  # jump 1.995, share below a half
        (221.0, 0.01, "critical"),
        (219.0, ramp(0.0, 0.01, 5), "warning"),
        (0.0219, 0.01, "warning"),  # share 0.0000995
        (0.0221, 0.01, "fine"),
    ],
)
def test_the_limits(raw: float, weight: object, verdict: str) -> None:
    assert second_stage(seen("aux", raw), weight).verdict == verdict


def test_a_long_ramp_of_a_loss_that_leads_only_warns() -> None:
    assert second_stage(seen("aux", 5.0), 1.0).verdict == "critical"
    assert second_stage(seen("aux", 5.0), ramp(0.0, 1.0, 50)).verdict == "critical"  # 60 are needed
    assert second_stage(seen("aux", 5.0), ramp(0.0, 1.0, 60)).verdict == "warning"


def test_a_ramp_counts_at_its_end() -> None:
    stage = second_stage(seen("aux", 700.0), ramp(0.0, 0.01, 100_000))
    assert (stage.rows[1].weight, stage.verdict) == (0.01, "critical")  # it takes over, however slowly


def test_an_old_component_that_grows_is_kept_where_it_is() -> None:
    found = the_finding(second_stage(seen("aux", 20.0), 0.1, before=0.02))
    assert (found.severity, found.weight) == ("warning", 0.02)
    assert "Keep the weight of aux at 0.02." in found.text


def test_a_component_that_took_over_in_the_stage_before_is_said_again() -> None:
    stage = second_stage(seen("aux", 700.0), 0.011, before=0.01)
    assert (stage.verdict, the_finding(stage).weight) == ("critical", 1.6e-05)


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_not_finite_is_critical_also_at_weight_0(bad: float) -> None:
    other = seen("aux", bad, nonfinite=4)
    for weight in (0.0, 0.01):
        stage = second_stage(other, weight)
        assert (the_finding(stage).kind, stage.verdict) == ("not_finite", "critical")
    assert "0 * NaN is NaN" in the_finding(second_stage(other, 0.0)).text


def test_one_bad_batch_of_four_is_enough() -> None:
    assert "in 1 of 4 batches" in the_finding(second_stage(seen("aux", 0.5, nonfinite=1), 0.01)).text


def test_a_gradient_that_is_not_finite_is_critical_though_the_loss_is() -> None:
    found = second_stage(seen("aux", 0.5, nan, grad_nonfinite=4), 0.01).findings[0]
    assert (found.kind, found.severity) == ("gradient_not_finite", "critical")


def test_a_component_beside_which_float32_loses_the_others() -> None:
    stage = second_stage(seen("aux", 1e25, 1e10), 1.0)
    assert [found.kind for found in stage.findings] == ["alone", "too_large"]
    assert stage.findings[0].weight is None  # a scale is missing, which no weight mends


def test_an_auxiliary_component_whose_gradient_leads() -> None:
    found = the_finding(second_stage(seen("aux", 1.0, 400.0), 0.01))
    assert (found.kind, found.severity, found.weight) == ("gradient", "warning", 0.0025)
    assert "80 % of all gradients" in found.text


def test_of_equal_components_one_has_all_of_the_gradient() -> None:
    curriculum = Curriculum.constant({"ce": 1.0, "mode": 1.0})
    (stage,) = judged([CE, seen("mode", 1.0, 100.0)], curriculum, 4).stages
    assert (the_finding(stage).kind, stage.verdict) == ("gradient", "warning")
    assert judged([CE, seen("mode", 1.0, 90.0)], curriculum, 4).stages[0].verdict == "fine"


def test_a_component_without_a_gradient_teaches_nothing_and_is_the_one_that_is_named() -> None:
    silent = seen("aux", 1.0, 0.0, grad_zero=4)
    found = the_finding(second_stage(silent, 0.01))
    assert (found.kind, found.severity, found.component) == ("no_gradient", "warning", "aux")
    assert "aux has no gradient in any of the 4 batches: it is not connected to the model's parameters" in found.text
    assert second_stage(silent, 0.0).verdict == "fine"
    assert second_stage(seen("aux", 1.0, 0.0, grad_zero=3), 0.01).verdict == "fine", "in one batch it has one"
    curriculum = Curriculum.constant({"ce": 1.0, "aux": 1.0, "mode": 1.0})
    (stage,) = judged([CE, silent], Curriculum.constant({"ce": 1.0, "aux": 1.0}), 4).stages
    assert [(each.kind, each.component) for each in stage.findings] == [("no_gradient", "aux")], "not ce's gradient"
    nothing = [seen(name, 1.0, 0.0, grad_zero=4) for name in curriculum.components]
    assert [each.component for each in judged(nothing, curriculum, 4).stages[0].findings] == ["ce", "aux", "mode"]
    (stage,) = judged(
        [seen("ce", 2.2, 0.0, grad_zero=4), seen("aux", 1.0)], Curriculum.constant({"ce": 1, "aux": 0.1}), 4
    ).stages
    assert [(each.kind, each.component) for each in stage.findings] == [("no_gradient", "ce")], "aux leads alone"


@pytest.mark.parametrize(
    ("was", "raw", "verdict"), [(0.0, 3587.0, "warning"), (-5.0, 2.6, "warning"), (-5.0, 0.1, "fine")]
)
def test_a_total_that_is_not_above_0_has_no_times_but_is_no_fine_one_either(
    was: float, raw: float, verdict: str
) -> None:
    before = {"a": 1.0 if was else 0.0, "b": 0.0}
    curriculum = Curriculum(Stage("one", 0, before), Stage("two", 9, {"a": 1.0, "b": 1.0}))
    stage = judged([seen("a", was or 2.2), seen("b", raw)], curriculum, 4).stages[1]
    assert (stage.verdict, stage.jump) == (verdict, None)
    if verdict == "warning":
        assert the_finding(stage).component == "b"
        assert f"b is new and adds {raw:.3g}" in the_finding(stage).text


def leaping(planned: object) -> Finding:
    curriculum = Curriculum(Stage("one", 0, {"a": 1.0, "b": 5.0}), Stage("two", 9, {"a": 1.0, "b": planned}))
    return the_finding(judged([seen("a", 1.0), seen("b", 1.0, 0.1)], curriculum, 4).stages[1])


def test_a_ramp_begins_at_the_weight_before_and_is_advised_only_where_the_plan_has_none_so_long() -> None:
    assert "A ramp of b from 5 to 500 over 224 steps (lossguard.ramp(5.0, 500, 224))" in leaping(500.0).text
    assert "lossguard.ramp(5.0, 500, 224)" in leaping(ramp(5.0, 500.0, 100)).text
    slow = leaping(ramp(5.0, 500.0, 1_000))
    assert (slow.severity, "ramp" in slow.text) == ("warning", False)


@pytest.mark.parametrize(("planned", "severity"), [(0.0, "critical"), (ramp(-1.0, 0.0, 500), "warning")])
def test_a_total_that_rises_because_a_negative_term_goes_away_is_not_ramped_of_itself(
    planned: object, severity: str
) -> None:
    curriculum = Curriculum(Stage("one", 0, {"a": 1.0, "b": -1.0}), Stage("two", 9, {"a": 1.0, "b": planned}))
    found = the_finding(judged([seen("a", 2.0), seen("b", 1.5)], curriculum, 4).stages[1])
    assert (found.kind, found.severity) == ("stage", severity)
    assert ("lossguard.ramp(-1.0, 0, 71)" in found.text) == (severity == "critical")


def test_a_component_that_was_not_evaluated_is_no_component_of_0() -> None:
    stage = second_stage(seen("aux", 0.0, 0.0), 0.01)
    assert (the_finding(stage).kind, stage.verdict, stage.jump) == ("unknown", "warning", None)
    curriculum = Curriculum.constant({"ce": 1.0, "aux": 0.1})
    assert the_finding(judged([CE], curriculum, 4).stages[0]).component == "aux"


def test_the_whole_is_ok_as_long_as_no_stage_blows_up() -> None:
    curriculum = Curriculum(Stage("one", 0, {"ce": 1.0, "aux": 0.0}), Stage("two", 5, {"ce": 1.0, "aux": 0.01}))
    found = [judged([CE, seen("aux", raw)], curriculum, 4) for raw in (1.0, 120.0, 700.0)]
    assert [(report.ok, report.sentence) for report in found] == [
        (True, "Every stage is fine."),
        (True, "No stage would blow up; there is a warning for stage 'two'."),
        (False, "Stage 'two' would blow up, by aux."),
    ]
