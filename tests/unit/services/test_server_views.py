"""A run's view says what is known, and nothing that is not."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, Heartbeat, StageSpec
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


def test_the_rate_is_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.steps_per_s(0.0) is None
    for tenth in range(200):
        rate.sample(tenth / 10, tenth * 3)
    assert rate.steps_per_s(19.9) == pytest.approx(30.0)
    assert len(rate.samples) < 120
    rate.sample(25.0, 597)
    assert rate.steps_per_s(30.0) == pytest.approx((597 - rate.samples[0][1]) / (30.0 - rate.samples[0][0]))
    rate.sample(26.0, 10)
    assert rate.steps_per_s(27.0) is None, "a rewind starts afresh"
