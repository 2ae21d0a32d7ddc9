"""What a policy makes of an alert: the command that is meant, or the reason why there is none."""

from dataclasses import replace
from typing import Any

import pytest

from lossguard.protocol.messages import Event, Heartbeat
from lossguard_server.services.policies.deeds import Answer, Deed, Left, ToGuard, Waits, answer_to, reason_of, refusal
from lossguard_server.services.policies.records import GUARDED, LEFT, WAITS, Past
from lossguard_server.services.policies.wishes import Policy
from unit.services.policy_world import KINDS, RULE, alert_of, command_of, run_of

NOW_S, NOTHING = 10_000.0, Past()


def answered(do: str, past: Past = NOTHING, alert: Any = None, run: Any = None, **policy: Any) -> Answer:
    wished = Policy(do, **{"budget": 2, **policy})
    return answer_to(wished, alert or alert_of(), run or run_of(), past, NOW_S)


@pytest.mark.parametrize(
    ("do", "deed"),
    [
        ("lower_weight", Deed("set_weight", {"component": "aux", "value": 0.01})),
        ("hold_stage", Deed("hold_stage", {})),
        ("checkpoint", Deed("checkpoint", {})),
        ("pause", Deed("pause", {})),
        ("rollback", Deed("rollback", {"before_step": 40})),
    ],
)
def test_each_deed_is_a_command(do: str, deed: Deed) -> None:
    assert answered(do) == deed


def test_what_the_guard_skips_is_left_to_it() -> None:
    answer = answered("skip")
    assert isinstance(answer, ToGuard)
    assert "mode device; on_trip is skip" in answer.reason


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        (None, "it has no remedy"),
        ({"kind": "pause", "args": {}, "text": ""}, "its remedy is pause"),
        ({"kind": "set_weight", "args": {"component": "aux", "value": 1.0}, "text": ""}, "would not lower"),
        ({"kind": "set_weight", "args": {"component": "aux", "value": -2.0}, "text": ""}, "would not lower"),
    ],
)
def test_no_weight_is_lowered_that_the_alert_does_not_name(remedy: Any, told: str) -> None:
    answer = answered("lower_weight", alert=alert_of(remedy=remedy))
    assert isinstance(answer, Left)
    assert told in answer.reason


@pytest.mark.parametrize("state", ["acknowledged", "resolved"])
def test_an_alert_that_is_over_or_that_a_person_has_is_left_alone(state: str) -> None:
    answer = answered("pause", alert=alert_of(state=state))
    assert isinstance(answer, Left)
    assert state in answer.reason


def test_a_run_that_is_paused_is_not_paused() -> None:
    run = run_of()
    run.beat(Heartbeat(state="paused", step=3), 1.0)
    assert answered("pause", run=run) == Left("The run is paused already.")
    assert isinstance(answered("rollback", run=run), Deed)


@pytest.mark.parametrize(
    ("do", "kinds", "modes", "told"),
    [
        ("lower_weight", ["pause"], (), "does not allow 'set_weight'; it allows pause"),
        ("rollback", [], (), "does not allow 'rollback'; it allows nothing"),
        ("skip", KINDS, (), "its mode is off"),
        ("skip", KINDS, ("observe", "observe"), "its mode is observe"),
        ("skip", [], ("observe", "trip"), None),
        ("pause", ["pause"], (), None),
    ],
)
def test_the_script_has_the_last_word(do: str, kinds: list[str], modes: tuple[str, ...], told: str | None) -> None:
    run = run_of(kinds, modes)
    refused = refusal(Policy(do), run)
    assert (refused is None) == (told is None)
    if told is not None:
        assert told in str(refused)
        assert answered(do, run=run) == Left(str(refused), once=True)


def test_a_budget_is_what_was_asked_for_and_no_more() -> None:
    rows = [{"what": what, "detail": {"alert": "x"}} for what in (GUARDED, LEFT, WAITS)]
    assert isinstance(answered("pause", Past([command_of()], [])), Deed)
    spent = answered("pause", Past([command_of()], rows))
    assert spent == Left("The budget is spent: 2 of 2 in this run.", once=True)
    rejected = [command_of(number, state="rejected") for number in (1, 2)]
    assert isinstance(answered("pause", Past(rejected)), Left), "it was asked for, whatever became of it"


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({}, False),
        ({"effect": None}, True),
        ({"effect": None, "state": "sent"}, True),
        ({"effect": None, "state": "received", "kind": "pause"}, True),
        ({"effect": None, "kind": "pause"}, False),
        ({"effect": None, "kind": "checkpoint"}, False),
        ({"effect": None, "state": "rejected"}, False),
        ({"effect": None, "state": "expired"}, False),
        ({"created_s": NOW_S - 599.0}, True),
        ({"created_s": NOW_S - 600.0}, False),
        ({"created_s": NOW_S + 50.0}, False),
    ],
)
def test_it_waits_for_the_verdict_of_the_last_action_and_for_its_pause(changed: Any, waits: bool) -> None:
    answer = answered("lower_weight", Past([command_of(**changed)]))
    assert isinstance(answer, Waits) == waits, answer


def test_a_policy_may_have_another_pause() -> None:
    past = Past([command_of(created_s=NOW_S - 20.0)])
    assert isinstance(answered("pause", past, pause_s=20.0), Deed)
    assert answered("pause", past, pause_s=30.0) == Waits("The policy acts at most once in 30 s; that is over in 10 s.")


def test_the_reason_says_which_policy_and_what_is_left() -> None:
    said = reason_of(RULE, Policy("lower_weight", 3), "project", Past([command_of()]))
    assert said == f"The policy for {RULE} (set by: project) does lower_weight when it fires; 1 of 3 left."


def test_a_weight_that_nobody_reports_is_lowered_all_the_same() -> None:
    run = replace(run_of(), values={})
    assert answered("lower_weight", run=run) == Deed("set_weight", {"component": "aux", "value": 0.01})


@pytest.mark.parametrize(("value", "lowers"), [(0.005, False), (0.05, True)])
def test_what_is_in_force_counts_and_not_the_last_row(value: float, lowers: bool) -> None:
    run = run_of()
    run.step = 40
    args = {"component": "aux", "value": value}
    applied = {"id": "c1", "kind": "set_weight", "state": "applied", "args": args}
    run.steering.tell(Event(seq=3, kind="command", step=41, data=applied))
    assert run.values["weight/aux"] == 1.0, "of the row before"
    assert isinstance(answered("lower_weight", run=run), Deed) == lowers
