"""What a backtest found beside what was found in training: pairs, verdicts, and what is left out."""

from dataclasses import replace
from typing import Any

import tried_rules
from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.services.backtesting.findings import Comparison, Findings, Fired, against, compared
from lossguard_server.services.engine import RULE_HEALTH
from lossguard_server.store.verdicts import Said

RULES = (tried_rules.rule("above"), tried_rules.rule("beyond"))
EVERYWHERE = (0, 1 << 53)


def alert(number: int, step: int, rule: str = "above", severity: str = "critical", **more: Any) -> Alert:
    known: dict[str, Any] = {
        "series": "a", "component": None, "state": "firing", "last_step": step, "fired_s": 1.0, "resolved_step": None,
        "message": "m", "evidence": {}, "blame": None, "remedy": None, **more,
    }  # fmt: skip
    return Alert(id=f"id{number}", run="r1", rule=rule, severity=severity, step=step, **known)  # type: ignore[arg-type]


def fired(*steps: int, rule: str = "above", series: str = "a") -> list[Fired]:
    return [Fired.of(alert(step, step, rule, series=series)) for step in steps]


def stored(*steps: int, verdict: str | None = None, **more: Any) -> list[Said]:
    return [Said(alert(step, step, **more).to_dict(), verdict, None) for step in steps]


def pairs(found: Comparison) -> list[tuple[int, int]]:
    return [(found.now[i].step, found.then[j].alert["step"]) for i, j in found.pairs]


def test_near_findings_of_a_rule_and_series_are_the_same() -> None:
    found = compared(fired(100, 1_000, 5_000), stored(300, 1_201, 5_000), EVERYWHERE, RULES)
    assert pairs(found) == [(100, 300), (5_000, 5_000)]
    counts = found.counts()["above"]
    assert (counts.both, counts.only_now, counts.only_then) == (2, 1, 1)


def test_each_pairs_once_and_the_nearest_first() -> None:
    assert pairs(compared(fired(100, 150), stored(160, 140), EVERYWHERE, RULES)) == [(100, 140), (150, 160)]
    assert pairs(compared(fired(100, 150, 160), stored(155), EVERYWHERE, RULES)) == [(150, 155)]
    assert len(pairs(compared(fired(*[7] * 5), stored(*[7] * 3), EVERYWHERE, RULES))) == 3


def test_another_series_is_another_finding_unless_the_rule_has_one_a_run() -> None:
    now, then = fired(100, series="b"), stored(100, series="a")
    assert pairs(compared(now, then, EVERYWHERE, RULES)) == []
    single = (replace(RULES[0], one_per_run=True),)
    assert pairs(compared(now, then, EVERYWHERE, single)) == [(100, 100)]


def test_another_rule_is_another_finding() -> None:
    assert pairs(compared(fired(100), stored(100, rule="beyond"), EVERYWHERE, RULES)) == []


def test_what_cannot_come_again_is_not_compared() -> None:
    undone = stored(150, evidence={"rolled_back_to": 100})
    broken = stored(160, rule=RULE_HEALTH)
    outside = stored(99, 201)
    found = compared([], [*undone, *broken, *outside, *stored(100, 200)], (100, 200), RULES)
    assert [said.alert["step"] for said in found.then] == [100, 200]


def test_verdicts_say_which_alerts_should_stay() -> None:
    then = [*stored(100, verdict="true"), *stored(2_000, verdict="true"), *stored(5_000, 9_000, verdict="false")]
    counts = compared(fired(100, 5_000), then, EVERYWHERE, RULES).counts()["above"].to_dict()
    assert counts["true"] == {"marked": 2, "still": 1}
    assert counts["false"] == {"marked": 2, "still": 1}
    assert counts["precision"]["precision"] == 0.5


def test_an_answer_shows_each_alert_with_the_other() -> None:
    comparison = compared(fired(100, 5_000), stored(110, 8_000, verdict="true"), EVERYWHERE, RULES)
    answer = comparison.shown(10)
    assert [(each["step"], each["then"]) for each in answer["alerts"]] == [(100, "id110"), (5_000, None)]
    assert [(each["step"], each["now"], each["verdict"]) for each in answer["stored"]] == [
        (110, True, "true"), (8_000, False, "true"),
    ]  # fmt: skip
    assert (len(comparison.shown(1)["alerts"]), comparison.shown(1)["alerts_left_out"]) == (1, 2)


def test_an_alert_counts_as_it_was_last() -> None:
    found = Findings(0)
    found.take([AlertChange(alert(1, 5, severity="warning"), "fired"), AlertChange(alert(1, 5), "escalated")])
    assert [(each.severity, each.step) for each in found.fired()] == [("critical", 5)]


def test_what_began_before_the_first_step_that_counts_does_not() -> None:
    found = Findings(100)
    found.take([AlertChange(alert(1, 99), "fired"), AlertChange(alert(2, 100), "fired")])
    assert [each.step for each in found.fired()] == [100]


def test_of_a_storm_the_first_are_kept_and_the_rest_is_counted() -> None:
    found = Findings(0, most=2)
    found.take([AlertChange(alert(number, number), "fired") for number in range(4)])
    found.take([AlertChange(alert(3, 3), "resolved")])
    assert ([each.step for each in found.fired()], found.left_out) == ([0, 1], 2)


def test_a_rule_that_failed_is_told_once_and_is_no_alert() -> None:
    found = Findings(0)
    failed = alert(1, 7, RULE_HEALTH, series="above", evidence={"text": "ZeroDivisionError: x"})
    found.take([AlertChange(failed, "fired"), AlertChange(failed, "resolved")])
    assert found.fired() == []
    assert list(found.failed.values()) == [{"rule": "above", "said": "ZeroDivisionError: x", "since_step": 7}]


def test_where_one_side_is_cut_so_is_the_other() -> None:
    found = Findings(0)
    found.take([AlertChange(alert(step, step), "fired") for step in (100, 2_000, 4_000, 6_000)])
    comparison = against(found, stored(100, 2_000, 4_000, 6_000), EVERYWHERE, RULES, most=2)
    assert (comparison.end, pairs(comparison)) == (3_999, [(100, 100), (2_000, 2_000)])
    counts = comparison.counts()["above"]
    assert (counts.both, counts.only_now, counts.only_then) == (2, 0, 0), (
        "what is left out of one is not new in the other"
    )
    assert comparison.shown(10)["alerts_left_out"] == 4
    few = Findings(0, most=2)
    few.take([AlertChange(alert(step, step), "fired") for step in (100, 2_000, 4_000, 6_000)])
    other = against(few, stored(100, 2_000, 4_000, 6_000), EVERYWHERE, RULES)
    assert (other.end, other.left_out, pairs(other)) == (3_999, 4, pairs(comparison))
