"""The table and the decision tree, with measurements that are made up and answers that are known."""

import math
from dataclasses import replace
from typing import Any

import pytest

from lossguard_server.services.comparing.config import differences
from lossguard_server.services.comparing.decide import Decision, decide
from lossguard_server.services.comparing.measured import Broken, Final, Measured, is_higher_better, results_in
from lossguard_server.services.comparing.smoothness import Smoothness
from lossguard_server.services.comparing.verdict import Row, verdict

ACC = "val/token_accuracy"


def a_run(run: str, accuracy: float | None = 0.3, step_s: float = 0.1, **given: Any) -> Measured:
    results = {} if accuracy is None else {ACC: Final(accuracy, given.pop("error", 0.002), 3, 999)}
    smooth = Smoothness(given.pop("spikes", 0), 10_000, given.pop("roughness", 0.03), None)
    told = {"total": Final(2.0, 0.01, 50, 999), "step_s": Final(step_s, 0.001, 100, 999), "last_step": 999, **given}
    return Measured(run=run, name=run, results=results, smooth=smooth, **told)


def rows_of(*runs: Measured) -> dict[str, Row]:
    return {row.key: row for row in verdict(runs, 999)}


def decided(old: Measured, new: Measured) -> Decision:
    return decide(verdict([old, new], 999), old, new)


def answers(found: Decision) -> list[str]:
    return [node.answer for node in found.nodes]


def test_who_wins_a_row_and_who_is_equal() -> None:
    rows = rows_of(a_run("a", 0.30), a_run("b", 0.40), a_run("c", 0.401, step_s=0.5))
    assert (rows[f"result:{ACC}"].winners, rows[f"result:{ACC}"].is_equal) == (("b", "c"), False)
    assert (rows["speed"].winners, rows["not_finite"].is_equal) == (("a", "b"), True)
    assert "b and c" not in rows["not_finite"].why
    assert "0.4" in rows[f"result:{ACC}"].why


def test_a_value_that_is_not_finite_loses_and_is_said() -> None:
    rows = rows_of(a_run("a", math.nan), a_run("b", 0.01))
    assert rows[f"result:{ACC}"].winners == ("b",)
    assert rows[f"result:{ACC}"].cell("a").text == "NaN"
    both = rows_of(a_run("a", math.nan), a_run("b", math.nan))
    assert both[f"result:{ACC}"].is_equal


def test_without_an_accuracy_the_totals_stand_in_with_a_warning() -> None:
    row = rows_of(a_run("a", None), a_run("b", None, total=Final(1.0, 0.01, 50, 999)))["result:total"]
    assert (row.winners, row.better) == (("b",), "lower")
    assert "No accuracy is logged" in row.why


def test_runs_of_different_length_are_compared_where_both_are() -> None:
    assert "at step 999" in rows_of(a_run("a"), a_run("b", last_step=5_000))[f"result:{ACC}"].title


@pytest.mark.parametrize(
    ("new", "advice", "walked"),
    [
        ({"broken": Broken(nan=3, first_step=5, first_series="loss/aux")}, "reduce", ["yes"]),
        ({"accuracy": 0.4}, "adopt", ["no", "yes"]),
        ({"spikes": 0, "step_s": 0.5}, "adopt", ["no", "no", "yes"]),
        ({"spikes": 40, "step_s": 0.13}, "hybrid", ["no", "no", "no", "yes"]),
        ({"spikes": 40, "step_s": 0.11}, "adopt", ["no", "no", "no", "no"]),
        ({"spikes": 40, "step_s": 0.13, "accuracy": None}, "hybrid", ["no", "unknown", "no", "yes"]),
    ],
)
def test_the_tree_is_walked_node_by_node(new: dict[str, Any], advice: str, walked: list[str]) -> None:
    found = decided(a_run("old", spikes=40), a_run("new", **{"spikes": 40, **new}))
    assert (found.advice, answers(found)) == (advice, walked)
    assert all(node.why for node in found.nodes)


def test_what_broke_less_often_is_smoother_than_what_leaps_less() -> None:
    old = a_run("old", broken=Broken(nan=7, first_step=1, first_series="loss/ce"))
    found = decided(old, a_run("new", spikes=50))
    assert answers(found) == ["no", "no", "yes"]
    assert "7" in found.nodes[-1].why
    assert any("broke itself" in each for each in found.cautions)


def test_the_tree_does_not_ask_whether_it_is_worse_and_that_is_said() -> None:
    found = decided(a_run("old", 0.4), a_run("new", 0.3))
    assert found.advice == "adopt"
    assert any("0.3 against 0.4, beyond noise. Look" in each for each in found.cautions)


@pytest.mark.parametrize("unknown", ["old", "new"])
def test_nothing_is_beyond_a_noise_that_is_not_known(unknown: str) -> None:
    def run(name: str, value: float) -> Measured:
        return a_run(name, value, error=None if name == unknown else 0.002)

    [said] = decided(run("old", 0.4), run("new", 0.3)).cautions
    assert said.endswith("is 0.3 against 0.4, noise not known. Look before you adopt.")
    total = {
        name: Final(value, None if name == unknown else 0.01, 3, 999) for name, value in (("old", 2.0), ("new", 3.0))
    }
    [said] = decided(*(a_run(name, None, total=total[name]) for name in total)).cautions
    assert "beyond noise" not in said
    assert "3 against 2, noise not known." in said


def test_of_several_results_each_is_said_with_its_noise() -> None:
    def run(name: str, value: float) -> Measured:
        known, unknown = Final(value, 0.002, 3, 999), Final(value, None, 3, 999)
        return replace(a_run(name), results={"val/acc_a": unknown, "val/acc_b": known})

    [said] = decided(run("old", 0.4), run("new", 0.3)).cautions
    assert "final val/acc_b is 0.3 against 0.4, beyond noise; final val/acc_a is 0.3 against 0.4, noise not" in said


def test_short_and_steered_runs_are_cautioned_about() -> None:
    found = decided(a_run("old", interventions=("pause at step 3",)), a_run("new", last_step=99))
    assert any("only 10 %" in each for each in found.cautions)
    assert any("changed old" in each for each in found.cautions)


def test_which_series_tell_how_good_a_model_is() -> None:
    everything = ["loss/total", "eval/loss/total", "train/acc", "val/acc_hard", "val/acc_easy", "weight/acc", "f1_misc"]
    assert results_in(everything) == ["val/acc_easy", "val/acc_hard"]
    assert results_in(["loss/total", "eval/loss/total", "train/acc"]) == ["train/acc"]
    assert results_in(["loss/total", "eval/loss/total", "x"]) == ["eval/loss/total"]
    assert results_in(["loss/total", "contribution/ce"]) == []
    assert (is_higher_better("val/acc"), is_higher_better("eval/loss/total")) == (True, False)


def test_only_what_differs_is_told_path_by_path() -> None:
    found = differences(
        {
            "a": {"config": {"lr": 0.1, "n": 1, "x": math.nan, "only": None, "deep": [{"k": 1}]}, "groups": ["a", "b"]},
            "b": {"config": {"lr": 0.2, "n": 1.0, "x": math.nan, "deep": [{"k": True}]}, "groups": ["a", "b"]},
        }
    )
    assert dict(found.rows) == {
        "config.lr": {"a": 0.1, "b": 0.2},
        "config.only": {"a": None},
        "config.deep.0.k": {"a": 1, "b": True},
    }
    assert (found.same, found.left_out) == (3, 0)


def test_a_config_of_any_size_is_bounded() -> None:
    found = differences({"a": {f"k{n}": n for n in range(9_000)}, "b": {"k0": [{}] * 9}})
    assert (len(found.rows), found.left_out) == (200, 5_009 - 200)
