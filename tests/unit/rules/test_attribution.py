"""Of the alerts of an incident the one nearest to the root is its headline, and the cause has a name and a kind."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from lossguard_server.rules import default_rules
from lossguard_server.rules.attribution import Facts, cause_of, headline, symptom_step
from lossguard_server.rules.first_bad import entry

NEAREST_FIRST = (
    "count", "contract", "bound", "train_eval", "look_ahead", "stage_mismatch", "nonfinite", "component_gradients",
    "loss_scale", "grad_growth", "grad_norm_high", "drift", "update_ratio", "memory_headroom", "throughput", "plateau",
)  # fmt: skip


def facts(rule: str, step: int = 100, series: str = "loss/aux", component: str | None = "aux", **more: Any) -> Facts:
    given: dict[str, Any] = {"message": f"{rule}.", "severity": "critical", "blame": None, "remedy": None}
    return Facts(rule, rule, series, component, step=step, **{**given, **more})


def blamed(**percents: int) -> dict[str, Any]:
    return {"parts": [{"component": name, "percent": percent} for name, percent in percents.items()]}


@pytest.mark.parametrize(("nearer", "farther"), list(pairwise(NEAREST_FIRST)))
def test_the_order_of_the_report(nearer: str, farther: str) -> None:
    for pair in ([facts(nearer), facts(farther)], [facts(farther), facts(nearer)]):
        assert headline(pair).rule == nearer


def test_every_rule_of_the_server_has_its_place() -> None:
    assert [rule.name for rule in default_rules() if facts(rule.name).place == 17] == []


def test_of_one_place_the_first_counts() -> None:
    assert headline([facts("contribution_dominates", 101), facts("look_ahead", 100)]).rule == "look_ahead"
    assert headline([facts("grad_burst", 101), facts("grad_cluster", 100)]).rule == "grad_cluster"


def test_what_is_measured_behind_the_first_symptom_is_what_came_of_it() -> None:
    late = [facts("loss_jump", 100), facts("contribution_dominates", 101), facts("nonfinite", 150)]
    assert headline(late).rule == "loss_jump"
    assert headline([facts("loss_jump", 100), facts("contribution_dominates", 100)]).rule == "contribution_dominates"
    assert headline([facts("loss_jump", 100), facts("component_gradients", 190)]).rule == "component_gradients"
    assert headline([facts("loss_jump", 100), facts("count", 130)]).rule == "count"
    assert symptom_step(late) == 100
    assert symptom_step([facts("contract")]) is None


def test_a_warning_behind_what_is_critical_is_not_its_cause() -> None:
    grave = facts("contribution_dominates", 757)
    learned = facts("contract", 841, "matrix/encoder_cov/trace", None, severity="warning")
    assert headline([grave, learned]).rule == "contribution_dominates"
    assert headline([facts("contract", 757, severity="warning"), grave]).rule == "contract"
    assert headline([learned, facts("drift", 900, severity="warning")]).rule == "contract"
    assert headline([grave, facts("contract", 841)]).rule == "contract"


@pytest.mark.parametrize("rule", ["throughput", "memory_headroom", "update_ratio", "plateau"])
def test_a_warning_behind_what_is_critical_but_of_no_blow_up_may_be_the_cause(rule: str) -> None:
    slow, learned = facts(rule, 100), facts("contract", 120, severity="warning")
    assert headline([slow, learned]).rule == "contract"
    assert headline([slow, learned, facts("contribution_dominates", 110)]).rule == "contribution_dominates"


def test_what_is_measured_now_and_then_shuts_out_only_warnings_behind_it() -> None:
    for rule in ("train_eval", "component_gradients", "saturation"):
        found = facts(rule, 300)
        assert headline([found, facts("contract", 200, severity="warning")]).rule == "contract", "it may be older"
        assert headline([found, facts("contract", 310, severity="warning")]).rule == rule, "it is at least so old"
    late = facts("train_eval", 300, severity="warning")
    assert headline([facts("contribution_dominates"), late]).rule == "train_eval"


def test_what_became_critical_counts_from_where_it_began() -> None:
    began = facts("contribution_dominates", 100, severity="warning")
    between = facts("contract", 300, severity="warning")
    assert headline([began, between]).rule == "contract", "two warnings: the order of computation"
    assert headline([replace(began, severity="critical"), between]).rule == "contribution_dominates"


def test_a_range_of_the_total_or_of_gradients_measures_a_symptom() -> None:
    of_total = facts("contract", series="loss/total", component=None)
    assert headline([of_total, facts("grad_growth")]).rule == "grad_growth"
    of_gradients = facts("contract", series="grad_norm/total", component=None)
    assert headline([of_gradients, facts("grad_burst")]).rule == "grad_burst"
    assert headline([of_gradients, facts("loss_jump")]).rule == "contract"


def test_a_nan_of_a_component_is_nearer_than_gradients_and_one_of_the_total_is_the_end() -> None:
    assert headline([facts("nonfinite"), facts("grad_burst")]).rule == "nonfinite"
    total = facts("nonfinite", series="loss/total", component=None)
    assert headline([total, facts("loss_jump", component=None)]).rule == "loss_jump"
    matrix = facts("nonfinite", series="matrix/R/fro", component=None)
    assert headline([matrix, facts("grad_burst")]).rule == "nonfinite"


@pytest.mark.parametrize(
    ("top", "kind", "name"),
    [
        (facts("count", series="count/masked", component=None), "count", "masked"),
        (facts("contract", series="matrix/R_samp/fro", component=None), "matrix", "R_samp"),
        (facts("contract", series="matrix/R_blend", component=None), "matrix", "R_blend"),
        (facts("contract", series="eval/matrix/R_samp/fro", component=None), "matrix", "R_samp"),
        (facts("contract", series="lr", component=None), "lr", "lr"),
        (facts("contract", series="brightness", component=None), "data", "brightness"),
        (facts("contract", series="loss/aux"), "component", "aux"),
        (facts("bound", series="loss/aux", component=None), "component", "aux"),
        (facts("train_eval", series="eval/loss/aux", component=None), "component", "aux"),
        (facts("look_ahead", series="contribution/aux"), "component", "aux"),
        (facts("contribution_dominates", series="contribution/aux"), "component", "aux"),
        (facts("saturation"), "component", "aux"),
        (facts("nonfinite"), "component", "aux"),
        (facts("nonfinite", series="grad_norm/head", component=None), "precision", "head"),
        (facts("nonfinite", series="buffers", component=None), "precision", ""),
        (facts("loss_scale", series="loss_scale", component=None), "precision", "loss_scale"),
        (facts("update_ratio", series="update_ratio/head", component=None), "lr", "update_ratio/head"),
        (facts("throughput", series="step_time_s", component=None), "system", "step_time_s"),
    ],
)
def test_what_a_rule_names_is_the_cause(top: Facts, kind: str, name: str) -> None:
    cause = cause_of(top, None, [])
    assert (cause.kind, cause.name, cause.rule) == (kind, name, top.rule)
    assert cause.component == (name if kind == "component" else None)
    assert f"{top.rule} found it off from step 100 on" in cause.text


@pytest.mark.parametrize(
    ("series", "kind", "name"),
    [
        ("count/valid", "count", "valid"),
        ("lr", "lr", "lr"),
        ("weight/aux", "component", "aux"),
        ("matrix/R/fro", "matrix", "R"),
        ("loss_scale", "precision", "loss_scale"),
    ],
)
def test_of_a_symptom_what_goes_in_and_was_off_before_it_is_the_cause(series: str, kind: str, name: str) -> None:
    signs = [entry("loss/ce", 95, 100), entry(series, 98, 100), entry("loss/total", 100, 100)]
    cause = cause_of(facts("loss_jump", component=None), blamed(ce=90, aux=10), signs)
    assert (cause.kind, cause.name) == (kind, name)
    later = [entry("loss/total", 100, 100), entry(series, 101, 100)]
    assert cause_of(facts("loss_jump", component=None), blamed(ce=90, aux=10), later).component == "ce"


def test_a_nan_behind_a_matrix_that_was_off_is_the_matrix() -> None:
    nan = facts("nonfinite", 1_600)
    assert cause_of(nan, None, [entry("matrix/R/fro", 0, 1_600)]).name == "R"
    assert cause_of(nan, None, [entry("count/valid", 1_599, 1_600)]).kind == "count"
    assert cause_of(nan, None, [entry("matrix/R/fro", 1_600, 1_600), entry("weight/ce", 2, 1_600)]).name == "aux"


def test_of_a_symptom_the_blame_names_the_component_unless_it_is_the_only_one() -> None:
    jump = facts("loss_jump", component=None)
    cause = cause_of(jump, blamed(ce=133, aux=-33), [])
    assert (cause.kind, cause.component) == ("component", "ce")
    assert cause.text == "The component ce: it made 100 % of the total's change."
    assert cause_of(jump, blamed(ce=100), []).kind == "lr"
    assert cause_of(jump, blamed(a=40, b=35, c=25), []).kind == "lr"


def test_of_a_symptom_alone_what_was_off_first_decides() -> None:
    jump = facts("loss_jump", component=None)
    alone = [entry("loss/aux", 98, 100), entry("loss/total", 99, 100), entry("loss/ce", 100, 100)]
    assert cause_of(jump, None, alone).component == "aux"
    together = [entry("loss/aux", 99, 100), entry("loss/ce", 99, 100), entry("grad_norm/total", 100, 100)]
    assert cause_of(jump, None, together).kind == "data"
    gradients = [entry("grad_norm/total", 90, 100), entry("loss/ce", 100, 100)]
    assert cause_of(jump, blamed(ce=86, aux=14), gradients).kind == "lr", "what the losses did came of it"
    only = [entry("loss/ce", 99, 100), entry("loss/total", 99, 100)]
    assert cause_of(jump, None, only).kind == "data"


def test_the_text_tells_the_lead_of_the_first_sign() -> None:
    top = facts("contribution_dominates", 102, series="contribution/aux")
    found = "The component aux: contribution_dominates found it off from step 102 on"

    def text(*signs: tuple[str, int]) -> str:
        return cause_of(top, None, [entry(series, step, 102) for series, step in signs]).text

    assert text(("lr", 101)) == f"{found}; the first sign was lr at step 101, 1 step before the alert."
    assert text(("weight/aux", 97)) == f"{found}; the first sign was weight/aux at step 97, 5 steps before the alert."
    assert text(("weight/aux", 98), ("loss/total", 101)) == f"{found}.", "it is the move of the weight"
    assert text(("loss/total", 102)) == f"{found}."
