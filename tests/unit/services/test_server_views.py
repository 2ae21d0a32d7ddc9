"""A run's view says what is known, and nothing that is not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, GuardSpec, Heartbeat, StageSpec
from lossguard_server.services.live import LiveRun, Rate
from lossguard_server.services.views import run_view, state_of
from lossguard_server.store.rows import Rows
from lossguard_server.store.runs import StoredRun

STORED = StoredRun("r1", "p", "n", 100.0, 100.0, 1, 0, None)
DECLARATION = Declaration(seq=1, components=["ce", "aux"], stages=[StageSpec("a", 0, {"ce": 1.0, "aux": 0.5})])


def observed(contributions: list[float], step: int = 7) -> LiveRun:
    run = LiveRun(STORED, declaration=DECLARATION)
    names = ("contribution/ce", "contribution/aux", "loss/total")
    columns = np.array([[contributions[0]], [contributions[1]], [sum(contributions)]])
    run.observe(Rows(np.array([step]), names, columns), now_s=50.0)
    return run


@pytest.mark.parametrize(
    ("contributions", "shares"),
    [([3.0, 1.0], [0.75, 0.25]), ([-3.0, 1.0], [0.75, 0.25]), ([0.0, 0.0], [None, None]),
     ([math.nan, 1.0], [None, None]), ([math.inf, 1.0], [None, None]), ([1e308, 1e308], [0.5, 0.5])],
)  # fmt: skip
def test_shares_are_of_the_magnitudes(contributions: list[float], shares: list[float | None]) -> None:
    with np.errstate(all="ignore"):
        view = run_view(observed(contributions), now_s=51.0, wall_s=151.0)
    assert [component["share"] for component in view["components"]] == shares
    assert [component["scheduled_weight"] for component in view["components"]] == [1.0, 0.5]
    assert view["stage"] == {"index": 0, "name": "a", "start": 0}
    assert view["data_age_s"] == 1.0


def test_a_run_before_its_first_step_claims_nothing() -> None:
    view = run_view(LiveRun(replace(STORED, seen_s=100.0)), now_s=50.0, wall_s=101.0)
    wanted = {"state": "waiting", "health": "unknown", "step": None, "stage": None, "data_age_s": None, "total": None}
    assert {key: view[key] for key in wanted} == wanted


def test_the_state_follows_the_signs_of_life() -> None:
    run = observed([1.0, 1.0])
    assert state_of(run, 59.0, 159.0) == "running"
    assert state_of(run, 60.1, 160.1) == "lost"
    run.beat(Heartbeat(state="paused", step=7), now_s=61.0)
    assert state_of(run, 62.0, 162.0) == "paused"
    assert state_of(run, 72.0, 172.0) == "lost"
    run.finished(attempt=0, state="stopped")
    assert state_of(run, 99.0, 199.0) == "stopped"


def test_a_connection_alone_is_no_sign_of_life() -> None:
    run = observed([1.0, 1.0])
    for second in range(60, 100):  # a trainer whose every batch the disk refuses comes again and again
        run.opened(STORED, 0, 0)
        run.closed(0, 0)
        assert state_of(run, second + 1.0, second + 101.0) == "lost"
    run.saw(101.0, 201.0)
    assert state_of(run, 102.0, 202.0) == "running"
    run.opened(replace(STORED, attempt=1, seen_s=300.0), 1, 0)
    assert state_of(run, 205.0, 305.0) == "running", "an attempt begins once"
    assert state_of(run, 211.0, 311.0) == "lost"


def test_connected_is_who_obeys_commands() -> None:
    run = LiveRun(STORED)
    run.opened(STORED, 0, 1)
    assert not run.is_connected, "another rank"
    run.opened(STORED, 0, 0)
    assert run.is_connected
    later = replace(STORED, attempt=1)
    run.opened(later, 1, 1)
    assert not run.is_connected, "an older attempt that brings its data"
    run.opened(later, 1, 0)
    run.opened(later, 0, 0)
    run.closed(1, 0)
    assert not run.is_connected
    run.opened(later, 1, 0)
    assert run.is_connected
    for attempt, rank in ((0, 0), (0, 0), (0, 1), (1, 0), (1, 1)):
        run.closed(attempt, rank)
    assert not run.connections, "so that nothing grows with the attempts"


def test_the_end_of_an_older_attempt_ends_nothing() -> None:
    run = LiveRun(replace(STORED, attempt=1))
    run.finished(attempt=0, state="crashed")
    assert run.stored.finish is None


def test_after_a_restart_ages_come_from_the_wall_clock() -> None:
    run = LiveRun(replace(STORED, seen_s=100.0), step=5)
    view = run_view(run, now_s=3.0, wall_s=104.0)
    assert (view["state"], view["data_age_s"]) == ("running", 4.0)
    assert run_view(run, now_s=3.0, wall_s=90.0)["data_age_s"] == 0.0, "a clock that was set back"


def test_health_is_the_worst_open_alert() -> None:
    run = observed([1.0, 1.0])
    alert = {"id": "a", "severity": "warning", "state": "firing"}
    run.alert(alert)
    assert run_view(run, 51.0, 151.0)["health"] == "warning"
    run.alert({"id": "b", "severity": "critical", "state": "acknowledged"})
    view = run_view(run, 51.0, 151.0)
    assert (view["health"], view["alerts"]) == ("critical", {"critical": 1, "warning": 1})
    run.alert({"id": "b", "severity": "critical", "state": "resolved"})
    run.alert({**alert, "state": "resolved"})
    assert run_view(run, 51.0, 151.0)["health"] == "ok"


def test_a_run_says_how_it_is_guarded_and_what_has_tripped() -> None:
    run = observed([1.0, 1.0])
    view = run_view(run, 51.0, 151.0)
    assert view["guard"] == {"modes": [], "on_trip": "skip", "notes": []}, "a trainer that declares none"
    assert (view["trips"], view["snapshot_step"], view["detail_until"]) == (0, None, None)
    guard = GuardSpec(["device", "trip"], "pause", ["LBFGS steps by itself."])
    run.declaration, run.trips = Declaration(seq=1, guard=guard), 3
    view = run_view(run, 51.0, 151.0)
    assert view["guard"] == {"modes": ["device", "trip"], "on_trip": "pause", "notes": ["LBFGS steps by itself."]}
    assert view["trips"] == 3


@pytest.mark.parametrize(
    ("snapshot", "until", "shown"),
    [(-1, -1, (None, None)), (0, 7, (0, 7)), (5, 6, (5, None)), (7, 1 << 60, (7, None)), (1 << 60, 8, (None, 8))],
)
def test_what_the_trainer_beats_of_snapshot_and_detail(snapshot: int, until: int, shown: tuple[Any, Any]) -> None:
    run = observed([1.0, 1.0], step=7)
    run.beat(Heartbeat(state="running", step=7, snapshot_step=snapshot, detail_until=until), 51.0)
    view = run_view(run, 51.0, 151.0)
    assert (view["snapshot_step"], view["detail_until"]) == shown


def test_detail_is_over_when_the_step_is_past_it_and_with_the_attempt() -> None:
    run = observed([1.0, 1.0], step=7)
    run.beat(Heartbeat(state="running", step=7, detail_until=8), 51.0)
    found = {}
    for step in (7, 8, 9):
        commit(run, 51.0, step)
        found[step] = run.detail_until
    assert found == {7: 8, 8: 8, 9: None}
    run.beat(Heartbeat(state="running", step=9, detail_until=50), 51.0)
    assert run.detail_until == 50
    run.opened(replace(STORED, attempt=1), 1, 0)
    assert run.detail_until is None


def test_late_values_do_not_set_the_step_back_and_a_new_attempt_does() -> None:
    run = observed([1.0, 1.0], step=300)
    late = Rows(np.arange(40, 296), ("param_grad_norm/w",), np.zeros((1, 256)))
    run.observe(late, 51.0)
    assert run.step == 300
    run.opened(replace(STORED, attempt=1), 1, 0)
    run.observe(late, 52.0)
    assert run.step == 295, "the first of a new attempt, whatever it carries"
    run.rewound([])
    assert (run.step, run.values, run_view(run, 53.0, 153.0)["health"]) == (None, {}, "unknown")


def commit(run: LiveRun, now_s: float, step: int) -> None:
    run.observe(Rows(np.array([step]), ("loss/total",), np.array([[1.0]])), now_s)


def test_the_rate_is_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.steps_per_s(0.0) is None
    for tenth in range(200):
        rate.sample(tenth / 10, tenth * 3)
    assert rate.steps_per_s(19.9) == pytest.approx(30.0)
    assert len(rate.samples) < 10


def test_a_heartbeat_that_is_ahead_of_the_frames_does_not_disturb_the_rate() -> None:
    run = LiveRun(STORED)
    for tenth in range(300):
        commit(run, tenth / 10, tenth * 3)
        if tenth % 10 == 0:
            run.beat(Heartbeat(state="running", step=tenth * 3 + 20), tenth / 10)
        if tenth > 50:
            assert run.rate.steps_per_s(tenth / 10) == pytest.approx(30.0, rel=0.02)


def test_a_burst_after_an_outage_is_no_progress_of_that_moment() -> None:
    run = LiveRun(STORED)
    for second in range(20):
        commit(run, float(second), second * 10)
    for tenth in range(10):  # a minute's steps, and a rewind, within a second
        commit(run, 80.0 + tenth / 10, 190 + (tenth + 1) * 4_271)
    for second in range(82, 120):
        commit(run, float(second), 42_900 + second * 10)
        assert (run.rate.steps_per_s(float(second)) or 0) < 42_710 / 60 + 20
    assert run.rate.steps_per_s(119.0) == pytest.approx(10.0, rel=0.05)


def test_a_burst_at_the_first_connection_is_no_rate() -> None:
    run = LiveRun(STORED)
    commit(run, 0.0, 0)
    for second in range(30):
        commit(run, second + 0.1, 42_710 + second * 10)
        assert (run.rate.steps_per_s(second + 0.2) or 0) < 15
    assert run.rate.steps_per_s(29.2) == pytest.approx(10.0, rel=0.05)


def test_a_run_that_is_paused_makes_no_steps() -> None:
    run = LiveRun(STORED)
    for second in range(20):
        commit(run, float(second), second * 10)
    for second in range(20, 35):
        run.beat(Heartbeat(state="paused", step=999), float(second))
    assert run.rate.steps_per_s(35.0) == 0.0


def test_a_rewind_within_an_attempt_keeps_the_rate_and_a_new_attempt_does_not() -> None:
    run = LiveRun(STORED)
    for second in range(20):
        commit(run, float(second), second * 10 if second < 15 else (second - 10) * 10)
    assert run.rate.steps_per_s(19.0) == pytest.approx(10.0, rel=0.15)
    run.opened(replace(STORED, attempt=1), 1, 0)
    assert run.rate.steps_per_s(20.0) is None
