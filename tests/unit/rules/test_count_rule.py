"""count: too few elements enter a loss, told from the first row on."""

from math import nan

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, Operation, StageSpec
from lossguard_server.rules import count
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import declared, judged, noisy, said

RULE = count.rule()
MASKED = "count/masked"


def counted(expected: float | None = None, low: float | None = None, high: float | None = None) -> ContractSpec:
    return ContractSpec(MASKED, low, high, "count", expected=expected)


def run(values: object, contract: ContractSpec, cut: int = 64) -> list[AlertChange]:
    return judged({MASKED: np.asarray(values, dtype=np.float64)}, declared(contract), RULE, cut=cut)


def told(values: object, contract: ContractSpec) -> list[tuple[str, int, int]]:
    return [
        (c.alert.severity, c.alert.step, c.alert.last_step) for c in run(values, contract) if c.transition == "fired"
    ]


def poisson(mean: float, n: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean, n).astype(np.float64)


# values of scipy.stats.chi2.ppf(0.999, 2 * (C + 1)) / 2
@pytest.mark.parametrize(
    ("elements", "limit"),
    [
        (0, 6.907755278982137),
        (1, 9.233413476451585),
        (5, 16.454745203680105),
        (31, 52.35816263152029),
        (640, 722.0963110806853),
        (5000, 5222.387132561199),
    ],
)
def test_the_upper_limit_is_garwoods(elements: int, limit: float) -> None:
    assert count.upper_limit(elements) == pytest.approx(limit, rel=1e-6 if elements < 1000 else 1e-4)


@pytest.mark.parametrize("expected", [1229.0, 0.08192])
def test_a_mask_that_masks_nothing_is_critical_at_the_first_step(expected: float) -> None:
    """p = 1e-5 of 8,192 positions where p = 0.15 was meant, or where 1e-5 was declared."""
    alert = run([0.0], counted(expected))[0].alert
    assert (alert.severity, alert.step, alert.last_step) == ("critical", 0, 0)
    assert alert.evidence["upper"] == pytest.approx(6.9078, abs=1e-4)
    assert alert.remedy is not None
    assert "0.15 to 0.75" in alert.evidence["text"]


def test_the_share_of_batches_without_any_is_told() -> None:
    assert "92.1 % of batches have no masked element" in run([0.0], counted(0.08192))[0].alert.message
    none = run([0.0], counted(1229.0))[0].alert.message
    assert none == "No element of masked entered the loss in 1 of 1 batches; 1229 a batch are expected."
    sometimes = np.where(np.arange(260) % 4 == 3, 0.0, 400.0)
    sometimes[:200] = 400.0
    alert = run(sometimes, counted(300.0))[0].alert
    assert alert.message.startswith("No element of masked entered the loss in 3 of 200 batches; 300 a batch")
    assert "1.5 % of batches have no masked element" in alert.evidence["text"]


def test_a_mask_of_fifteen_percent_is_silent() -> None:
    values = np.random.default_rng(0).binomial(8192, 0.15, 2000)
    assert run(values, counted(1229.0)) == []
    assert run(values, counted(1229.0, low=32.0)) == []


def test_a_number_that_varies_more_than_chance_is_silent() -> None:
    tokens = np.round(noisy(500.0, 2000, 0.5))
    tokens[99::100] = 20.0  # the short last batch of an epoch
    assert run(tokens, counted(530.0)) == []


@pytest.mark.parametrize(("mean", "is_critical"), [(20.0, True), (200.0, False)])
def test_fewer_than_the_least_number_is_critical_once_it_is_sure(mean: float, is_critical: bool) -> None:
    changes = told(poisson(mean, 60), counted(low=32.0))
    assert [severity for severity, *_ in changes] == (["critical"] if is_critical else [])


def test_a_fifth_of_the_declared_number_is_critical_and_half_of_it_a_warning() -> None:
    assert told(poisson(100.0, 30), counted(1000.0))[0] == ("critical", 0, 0)
    (change,) = told(poisson(400.0, 30), counted(1000.0))
    assert change == ("warning", 19, 19)
    assert told(poisson(2100.0, 30), counted(1000.0)) == [("warning", 19, 19)]
    assert told(poisson(600.0, 300), counted(1000.0)) == []


def test_more_than_one_batch_in_a_hundred_without_any_is_a_warning() -> None:
    values = np.full(1000, 50.0)
    values[[50, 500]] = 0.0
    assert told(values, counted(50.0)) == [], "one of 51, and one of 200, are none too many"
    values[500:800:60] = 0.0
    assert told(values, counted(50.0)) == [("warning", 620, 620)]
    assert told(values, ContractSpec(MASKED, 0.0, 100.0, "count")) == [], "nothing is declared to be allowed"


def test_the_least_number_of_an_older_declaration_is_a_range() -> None:
    least = ContractSpec(MASKED, 1.0, None)
    assert told(poisson(9.0, 300), least) == []
    assert told([5.0, 0.0], least) == [("critical", 1, 1)]
    assert told([20.0, 20.0, 20.0], ContractSpec(MASKED, 1.0, 10.0)) == [("warning", 0, 2)]
    assert told([5.0] * 30, ContractSpec(MASKED, None, 10.0)) == [], "32 is the least of counts of 1.3 only"


def test_a_count_that_is_no_number_is_critical() -> None:
    assert told([nan], counted(50.0)) == [("critical", 0, 0)]


def test_counts_that_nobody_declared_are_no_matter() -> None:
    assert judged({"count/other": np.zeros(50)}, declared(counted(50.0)), RULE) == []
    assert judged({MASKED: np.zeros(50)}, declared(ContractSpec(MASKED, 0, 1, "bound")), RULE) == []


def test_it_is_over_when_enough_elements_come_again() -> None:
    values = np.concatenate([np.zeros(3), np.full(300, 1200.0)])
    assert said(run(values, counted(1229.0)))[-1] == ("resolved", "count", 199), "200 rows look back, then 20 are calm"


def staged(gone: int | None, *starts: int) -> Declaration:
    """Stages that begin at `starts`; an operator went to the last of them at step `gone`."""
    stages = [StageSpec(f"stage {start}", start, {"mode": 1.0}) for start in starts]
    operations = [] if gone is None else [Operation(gone, "c", "go_to_stage", {"stage": stages[-1].name})]
    return Declaration(seq=1, components=["mode"], stages=stages, contracts=[counted(1229.0)], operations=operations)


def over(values: np.ndarray, declaration: Declaration, cut: int = 64) -> list[tuple[str, int, int | None]]:
    changes = judged({MASKED: values}, declaration, RULE, cut=cut)
    return [(change.transition, change.alert.last_step, change.alert.resolved_step) for change in changes]


HIDDEN = np.concatenate([np.zeros(50), np.full(300, 1200.0)])


@pytest.mark.parametrize("cut", [1, 7, 64])
@pytest.mark.parametrize(
    "declaration",
    [staged(None, 0, 50), staged(50, 0, 10_000), staged(50, 0)],
    ids=["it comes", "an operator goes to it", "an operator begins the same anew"],
)
def test_a_stage_that_mends_the_mask_ends_the_alert_after_its_calm_rows(declaration: Declaration, cut: int) -> None:
    (fired, resolved) = over(HIDDEN, declaration, cut)
    assert fired[:2] == ("fired", 0)
    assert resolved == ("resolved", 49, 69)
    assert over(HIDDEN, staged(None, 0), cut)[-1][1] > 200, "what nobody touched is told from its last 200 rows"


@pytest.mark.parametrize("gone", [None, 60])
def test_a_stage_that_goes_on_hiding_nothing_does_not_end_the_alert(gone: int | None) -> None:
    assert [each[0] for each in over(np.zeros(300), staged(gone, 0, 100, 200))] == ["fired"]
    few = np.full(300, 500.0)  # a warning needs 20 rows of the new stage
    assert [each[0] for each in over(few, staged(gone, 0, 100, 200))] == ["fired"]


def test_a_stage_that_hides_nothing_fires_at_its_first_row() -> None:
    changes = judged({MASKED: np.concatenate([np.full(300, 1200.0), np.zeros(5)])}, staged(None, 0, 300), RULE)
    alert = changes[0].alert
    assert (alert.severity, alert.step, alert.last_step) == ("critical", 300, 300)
    assert "in 1 of 1 batches" in alert.message
    assert over(np.full(900, 1200.0), staged(100, 0, 200, 400)) == []


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    values = np.concatenate([poisson(600.0, 90), poisson(350.0, 90), poisson(0.1, 90), poisson(600.0, 300)])
    values[[30, 31]] = 0.0
    contracts = declared(counted(700.5), ContractSpec(MASKED, None, 1e4))
    changes = judged({MASKED: values + 0.1 * (values > 0)}, contracts, RULE, cut=64)
    assert {change.transition for change in changes} >= {"fired", "escalated", "resolved"}
    assert repr(judged({MASKED: values + 0.1 * (values > 0)}, contracts, RULE, cut=cut)) == repr(changes)


def test_a_later_stage_is_named_where_an_operator_may_go_to_it() -> None:
    stages = [StageSpec("few", 0, {"mode": 1.0}), StageSpec("many", 500, {"mode": 1.0})]
    trace = {"count/masked": np.zeros(1)}
    for given, kinds, is_named in (
        (stages, ["go_to_stage"], True),
        (stages[:1], ["go_to_stage"], False),
        (stages, [], False),
    ):
        due = Declaration(
            seq=1, components=["mode"], stages=given, contracts=[counted(1229.0)], controls=ControlsSpec(kinds)
        )
        text = judged(trace, due, RULE)[0].alert.evidence["text"]
        assert ("'many'" in text) is is_named
