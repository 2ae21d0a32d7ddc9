"""What belongs together is one incident, told once, and again only when it is worse."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules.alert import Alert, AlertChange, Transition
from lossguard_server.rules.cases import ALERTS_TOLD, ENDED_KEPT
from lossguard_server.rules.first_bad import entry
from lossguard_server.rules.incidents import CLOSED_KEPT, Incidents, Taken
from lossguard_server.rules.schedule import Schedule
from lossguard_server.services.engine.state import from_bytes, to_bytes
from unit.rules.rule_world import declared, summed, windows


def alert(rule: str, step: int = 100, series: str = "loss/total", component: str | None = None, **more: Any) -> Alert:
    given: dict[str, Any] = {
        "id": f"{rule} {series}", "severity": "critical", "state": "firing", "last_step": step, "fired_s": 5.0,
        "resolved_step": None, "message": f"{rule}.", "evidence": {"text": ""}, "blame": None, "remedy": None,
    }  # fmt: skip
    return Alert(run="r", rule=rule, series=series, component=component, step=step, **{**given, **more})


def say(incidents: Incidents, sample: int, *alerts: Alert, as_: Transition = "fired", **more: Any) -> Taken:
    return incidents.take([AlertChange(each, as_) for each in alerts], sample, **more)


def over(found: Alert) -> Alert:
    return replace(found, state="resolved", resolved_step=found.last_step + 20)


def news(taken: Taken) -> list[tuple[str, str]]:
    return [(change.news, change.incident.headline["rule"]) for change in taken.incidents]


def test_alerts_of_a_row_are_one_incident_with_the_cause_on_top() -> None:
    incidents = Incidents("r")
    jump = alert("loss_jump", blame={"text": "Blame.", "parts": []})
    share = alert("contribution_dominates", series="contribution/aux", component="aux", remedy={"kind": "set_weight"})
    taken = say(incidents, 100, jump, share)
    (change,) = taken.incidents
    assert change.news == "opened"
    assert {each.alert.incident for each in taken.alerts} == {change.incident.id}
    assert change.incident.to_dict() == {
        "id": change.incident.id, "run": "r", "state": "open", "severity": "critical", "first_step": 100,
        "last_step": 100, "opened_s": 5.0,
        "headline": {"alert": share.id, "rule": share.rule, "series": share.series, "component": "aux",
                     "message": "contribution_dominates."},
        "cause": {"kind": "component", "component": "aux", "name": "aux", "rule": share.rule,
                  "text": "The component aux: contribution_dominates found it off from step 100 on."},
        "first_bad": [entry("contribution/aux", 100, 100), entry("loss/total", 100, 100)],
        "alerts": [jump.id, share.id], "count": {"loss_jump": 1, "contribution_dominates": 1},
        "blame": {"text": "Blame.", "parts": []}, "remedy": {"kind": "set_weight"},
    }  # fmt: skip


def test_what_is_over_needs_no_remedy_while_something_else_fires() -> None:
    incidents = Incidents("r")
    count = alert("count", 100, "count/masked", remedy={"kind": "pause"})
    parted = alert("train_eval", 120, "eval/loss/total")
    said = say(incidents, 120, count, parted).incidents[-1].incident
    assert said.remedy == {"kind": "pause"}
    said = say(incidents, 140, over(count), as_="resolved").incidents[-1].incident
    assert (said.headline["rule"], said.remedy) == ("count", None)
    said = say(incidents, 160, over(parted), as_="resolved").incidents[-1].incident
    assert (said.state, said.remedy) == ("closed", {"kind": "pause"})


def test_200_samples_are_one_incident_and_201_are_two() -> None:
    incidents = Incidents("r")
    first = say(incidents, 1_000, alert("contract", 100, "matrix/R/fro")).incidents[0].incident
    near = say(incidents, 1_200, alert("throughput", 300, "step_time_s"))
    far = say(incidents, 1_401, alert("plateau", 501))
    assert news(near) == [("joined", "contract")]
    assert near.incidents[0].incident.id == first.id
    assert news(far) == [("opened", "plateau")]
    assert [each.count for each in incidents.incidents()] == [{"contract": 1, "throughput": 1}, {"plateau": 1}]


def test_the_foretold_component_and_what_came_of_it_are_one_story() -> None:
    incidents = Incidents("r")
    foretold = alert("look_ahead", 150, "contribution/aux", "aux", severity="warning")
    assert news(say(incidents, 150, foretold)) == [("opened", "look_ahead")]
    came = say(incidents, 10_002, alert("contribution_dominates", 10_000, "contribution/aux", "aux"))
    assert news(came) == [("escalated", "look_ahead")]
    assert news(say(incidents, 10_010, alert("grad_growth", 10_003, "grad_norm/total"))) == [("joined", "look_ahead")]
    end = say(incidents, 11_600, alert("nonfinite", 11_600))
    assert news(end) == [("escalated", "look_ahead")], "the gradients still grew, so this came of it, and is worse"
    assert end.incidents[0].incident.severity == "critical"


def test_that_what_was_foretold_has_come_is_told() -> None:
    incidents = Incidents("r")
    assert news(say(incidents, 90, alert("look_ahead", 51, "contribution/aux", "aux"))) == [("opened", "look_ahead")]
    came = say(incidents, 302, alert("contribution_dominates", 300, "contribution/aux", "aux"))
    assert news(came) == [("escalated", "look_ahead")]
    assert came.incidents[0].incident.first_bad == [entry("contribution/aux", 300, 300)]


def test_a_warning_that_lasts_swallows_nothing() -> None:
    incidents = Incidents("r")
    say(incidents, 5, alert("contract", 5, "matrix/R/fro", severity="warning"))
    assert news(say(incidents, 50_000, alert("nonfinite", 50_000))) == [("opened", "nonfinite")]


def test_an_incident_is_over_when_all_its_alerts_are() -> None:
    incidents = Incidents("r")
    one, two = alert("loss_jump"), alert("drift", 101)
    say(incidents, 100, one, two)
    assert news(say(incidents, 130, over(one), as_="resolved")) == [("changed", "loss_jump")]
    done = say(incidents, 140, replace(over(two), last_step=120), as_="resolved")
    assert news(done) == [("closed", "loss_jump")]
    assert (done.incidents[0].incident.state, done.incidents[0].incident.last_step) == ("closed", 120)
    assert incidents.incidents() == []


@pytest.mark.parametrize(("sample", "expected"), [(240, "joined"), (241, "opened")])
def test_what_comes_in_the_cool_down_joins_what_is_over(sample: int, expected: str) -> None:
    incidents = Incidents("r")
    say(incidents, 100, alert("loss_jump"))
    say(incidents, 140, over(alert("loss_jump")), as_="resolved")
    assert [each for each, _ in news(say(incidents, sample, alert("grad_burst", sample, "grad_norm/total")))] == [
        expected
    ]


def test_an_alert_that_fires_again_stays_in_its_incident() -> None:
    incidents = Incidents("r")
    found = alert("loss_jump")
    first = say(incidents, 100, found).alerts[0].alert.incident
    say(incidents, 140, over(found), as_="resolved")
    again = say(incidents, 5_000, found, as_="reopened")
    assert news(again) == [("joined", "loss_jump")], "its cool-down is its own matter, and it is no storm"
    assert again.alerts[0].alert.incident == first
    assert again.incidents[0].incident.count == {"loss_jump": 1}


def test_growing_worse_is_told_and_staying_as_bad_is_not() -> None:
    incidents = Incidents("r")
    mild = alert("loss_jump", severity="warning")
    say(incidents, 100, mild)
    assert news(say(incidents, 101, alert("drift", severity="warning"))) == [("joined", "loss_jump")]
    assert news(say(incidents, 103, replace(mild, severity="critical"), as_="escalated")) == [
        ("escalated", "loss_jump")
    ]
    assert news(say(incidents, 103, alert("throughput", severity="warning"))) == [("joined", "loss_jump")]
    assert news(say(incidents, 104, alert("grad_burst"))) == [("joined", "grad_burst")]
    assert news(say(incidents, 105, alert("nonfinite", component="ce"))) == [("escalated", "nonfinite")]
    assert news(say(incidents, 105, replace(mild, state="acknowledged"), as_="acknowledged")) == [
        ("changed", "nonfinite")
    ]


def test_what_is_known_better_later_is_shown() -> None:
    incidents = Incidents("r")
    found = alert("nonfinite", component="ce")
    say(incidents, 100, found)
    told = say(incidents, 100, replace(found, message="It was a log of 0."), as_="explained")
    assert told.incidents[0].incident.headline["message"] == "It was a log of 0."


def test_a_broken_rule_is_no_incident_of_the_run() -> None:
    taken = say(Incidents("r"), 100, alert("rule_health", series="drift"))
    assert (taken.incidents, taken.alerts[0].alert.incident) == ([], None)


# -- first bad ---------------------------------------------------------------------------------------------------------


def test_what_was_off_first_stays_known_and_the_lead_is_before_the_first_symptom() -> None:
    incidents = Incidents("r")
    signs = [[entry("weight/aux", 90, 0)], [entry("weight/aux", 99, 0), entry("loss/aux", 95, 0, 7.0)]]
    asked: list[int] = []

    def known(symptom: int) -> list[dict[str, Any]]:
        asked.append(symptom)
        return signs.pop(0)

    say(incidents, 100, alert("contract", 98, "loss/aux", "aux"), first_bad=known)
    say(incidents, 103, alert("loss_jump", 101), first_bad=known)
    late = say(incidents, 400, alert("drift", 350), first_bad=known)
    assert asked == [98, 101], "200 samples behind the first symptom the story is told"
    assert late.incidents[0].incident.first_bad == [
        entry("weight/aux", 90, 101),
        entry("loss/aux", 95, 101, 7.0),
        entry("loss/total", 101, 101),
    ]


def test_the_cause_is_not_what_comes_long_after_the_first_symptom() -> None:
    incidents = Incidents("r")
    say(incidents, 100, alert("loss_jump"))
    say(incidents, 290, alert("throughput", 290, "step_time_s"))
    assert news(say(incidents, 301, alert("count", 301, "count/valid"))) == [("joined", "loss_jump")]
    sooner = Incidents("r")
    say(sooner, 100, alert("loss_jump"))
    assert news(say(sooner, 300, alert("count", 300, "count/valid"))) == [("joined", "count")]


# -- doublings ---------------------------------------------------------------------------------------------------------


def doublings(values: Sequence[float], cut: int, series: str = "loss/total", rule: str = "loss_jump") -> list[int]:
    """The steps at which it is told that the headline doubled: an alert fires at step 2."""
    incidents, told = Incidents("r"), []
    trace = summed({"ce": 1.0}, {"ce": np.array(values)}) | {series: np.array(values)}
    contract = ContractSpec("matrix/R/fro", 30.0, 60.0)
    for window in windows(trace, declared(contract, ce=1.0), cut):
        first, last = int(window.steps[0]), int(window.steps[-1]) + 1
        fires = min(max(2, first), last) - first
        told += incidents.follow(window, 0, fires)
        if first <= 2 < last:
            say(incidents, 3, alert(rule, 2, series))
        told += incidents.follow(window, fires, last - first)
    assert {change.news for change in told} <= {"doubled"}
    return [change.incident.last_step for change in told]


@pytest.mark.parametrize("cut", [1, 3, 100])
def test_each_doubling_since_the_last_news_is_told(cut: int) -> None:
    values = [2.0, 90.0, 7.0, 8.0, 13.9, 14.0, 20.0, nan, inf, 27.9, 60.0, 70.0, 130.0]
    assert doublings(values, cut) == [5, 10, 12]
    assert doublings([2.0, 2.0, -7.0, -15.0], cut) == [3]
    assert doublings([2.0, 2.0, 0.0, 0.0, 1.0, 2.0], cut) == [5], "of 0 there is no double"


@pytest.mark.parametrize("cut", [1, 100])
def test_what_may_not_become_too_small_doubles_downwards(cut: int) -> None:
    values = [40.0, 40.0, 20.0, 45.0, 9.0, 4.5, 4.6, 1.0]
    assert doublings(values, cut, "matrix/R/fro", "contract") == [4, 5, 7]
    assert doublings([200.0, 200.0, 190.0, 20.0], cut, "matrix/R/fro", "contract") == []
    assert doublings([90.0, 90.0, 20.0, 45.0, 9.0], cut, "count/valid", "count") == [4]


def test_what_is_not_finite_does_not_double() -> None:
    assert doublings([2.0, 2.0, inf, 3.0, 100.0], 100, rule="nonfinite") == []


def test_an_escalation_is_news_so_what_it_says_is_the_new_measure() -> None:
    incidents = Incidents("r")
    (window,) = windows({"loss/total": np.array([4.0, 7.9, 15.0, 16.0])}, None)
    mild = alert("loss_jump", 0, severity="warning")
    say(incidents, 1, mild)
    assert incidents.follow(window, 0, 1) == []
    say(incidents, 2, replace(mild, severity="critical"), as_="escalated")
    assert [change.incident.last_step for change in incidents.follow(window, 1, 4)] == [3]


# -- going back, restarts, storms --------------------------------------------------------------------------------------


def test_what_a_rollback_undid_is_over_and_nothing_joins_it() -> None:
    incidents = Incidents("r")
    before = alert("contract", 50, "matrix/R/fro")
    say(incidents, 500, before)
    undone = alert("loss_jump", 800)
    say(incidents, 900, undone)
    assert news(say(incidents, 900, over(undone), as_="resolved")) == [("closed", "loss_jump")]
    assert incidents.rewind(700, 900) == []
    incidents.goes_on(300)
    assert [each.headline["rule"] for each in incidents.incidents()] == ["contract"]
    assert news(say(incidents, 401, replace(undone, id="2"))) == [("opened", "loss_jump")]
    left = Incidents("r")
    say(left, 900, undone)
    assert [change.news for change in left.rewind(800)] == ["closed"]
    assert left.incidents() == []


@pytest.mark.parametrize(("sample", "expected"), [(450, "joined"), (451, "opened")])
def test_samples_before_a_rollback_still_count(sample: int, expected: str) -> None:
    incidents = Incidents("r")
    say(incidents, 550, alert("contract", 550, "matrix/R/fro"))
    assert incidents.rewind(580, 600) == []
    incidents.goes_on(300)  # so the alert fired at what is 250 now
    assert [each for each, _ in news(say(incidents, sample, alert("loss_jump", 700)))] == [expected]


def story() -> list[tuple[int, list[AlertChange]]]:
    """Alerts of all kinds that fire, worsen, end and fire again, over rows."""
    as_: Transition
    rng = np.random.default_rng(1)
    known: dict[str, Alert] = {}
    rows: list[tuple[int, list[AlertChange]]] = []
    for sample in np.cumsum(rng.integers(1, 250, 400)).tolist():
        name = str(rng.choice(["loss_jump", "drift", "contract", "grad_burst", "nonfinite", "look_ahead"]))
        component, severity = ["ce", "aux", None][rng.integers(3)], str(rng.choice(["warning", "critical"]))
        found, as_ = known.get(name), "fired"
        if found is None or (found.state == "resolved" and rng.random() < 0.5):
            found = alert(name, sample, f"loss/{component}", component, severity=severity, id=f"{name} {sample}")
        elif found.state == "resolved":
            found, as_ = replace(found, state="firing", last_step=sample), "reopened"
        elif rng.random() < 0.8:
            found, as_ = over(found), "resolved"
        else:
            found, as_ = replace(found, severity="critical"), "escalated"
        known[name] = found
        rows.append((sample, [AlertChange(found, as_)]))
    return rows


def test_a_restart_in_the_middle_changes_nothing() -> None:
    unbroken = Incidents("r")
    expected = [unbroken.take(changes, sample) for sample, changes in story()]
    broken, found = Incidents("r"), []
    for sample, changes in story():
        state = from_bytes(to_bytes(broken.dump()))
        broken = Incidents("r")
        broken.load(state)
        found.append(broken.take(changes, sample))
    assert found == expected
    assert len({change.news for taken in expected for change in taken.incidents}) == 5
    assert broken.dump() == unbroken.dump()
    assert len({change.incident.id for taken in expected for change in taken.incidents}) > 10


def test_the_same_alerts_give_the_same_ids_and_another_run_others() -> None:
    ids = [say(Incidents(run), 100, alert("loss_jump")).incidents[0].incident.id for run in ("r", "r", "s")]
    assert ids[0] == ids[1] != ids[2]


def test_10000_alerts_are_one_incident_of_bounded_size() -> None:
    storm = [alert("nonfinite", 100 + i // 100, f"param_grad_norm/{i}") for i in range(10_000)]
    incidents, told = Incidents("r"), []
    for i in range(0, len(storm), 10):
        told += say(incidents, 100 + i // 100, *storm[i : i + 10]).incidents
    assert [change.news for change in told] == ["opened"] + ["joined"] * 999
    final = told[-1].incident
    assert (final.count, len(final.alerts), len(final.first_bad)) == ({"nonfinite": 10_000}, ALERTS_TOLD, 32)
    for i, each in enumerate(storm):
        told += say(incidents, 300 + i, over(each), as_="resolved").incidents
    assert told[-1].news == "closed"
    assert len(incidents.dump()["cases"][0]["ended"]) == ENDED_KEPT


def test_what_is_kept_is_bounded() -> None:
    incidents = Incidents("r")
    for sample in range(0, 100_000, 500):
        found = alert("loss_jump", sample, id=str(sample))
        say(incidents, sample, found)
        say(incidents, sample + 20, over(found), as_="resolved")
    state = incidents.dump()
    assert (len(state["cases"]), state["serial"]) == (CLOSED_KEPT, 200)


def test_without_its_state_an_incident_goes_on_by_what_was_told_of_it() -> None:
    incidents, found = Incidents("r"), alert("loss_jump")
    taken = say(incidents, 100, found)
    stored, fires = taken.incidents[0].incident.to_dict(), taken.alerts[0].alert
    again = Incidents("r")
    assert again.restore(stored, [fires], 0) == []
    assert again.incidents()[0].to_dict() == stored
    assert news(say(again, 5, over(fires), as_="resolved")) == [("closed", "loss_jump")]
    (ended,) = Incidents("r").restore(stored, [over(fires)], 0)
    assert (ended.news, ended.incident.state) == ("closed", "closed")


# -- blends ----------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_blend_come_before_it_at_an_equal_step() -> None:
    blend = ContractSpec("matrix/A_blend", kind="blend", of=["matrix/B", "matrix/C"])
    incidents = Incidents("r")
    incidents.declare(Schedule(declared(blend)))
    found = [alert("contract", 0, "matrix/A_blend/fro"), alert("contract", 0, "matrix/B/fro")]
    told = say(incidents, 1, *found).incidents[0].incident
    assert told.headline["series"] == "matrix/B/fro"
    assert [each["series"] for each in told.first_bad] == ["matrix/B/fro", "matrix/A_blend/fro"]
    assert told.cause["name"] == "B"


@pytest.mark.parametrize("cut", [1, 100])
def test_a_count_of_none_cannot_become_less(cut: int) -> None:
    assert doublings([0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0], cut, "count/masked", "count") == []
    assert doublings([9.0, 9.0, 4.0, 1.0, 0.0, 2.0, 0.0], cut, "count/masked", "count") == [3, 4]
