"""R18: steps take longer than they did, and go on doing so; evaluations and checkpoints are not that."""

import numpy as np
import pytest

from lossguard_server.rules import throughput
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import UNDECLARED, Trace, noisy
from unit.rules.stage_world import curriculum, fired, same_for_every_cut, told

RULE = throughput.rule()
N = 1_200
SERIES = "step_time_s"


def run_of(times: np.ndarray, **more: np.ndarray) -> Trace:
    return {"loss/total": np.full(len(times), 2.0), SERIES: times, **more}


def slower(factor: float, since: int = 600, until: int = N, base_s: float = 0.5, sigma: float = 0.1) -> np.ndarray:
    step = np.arange(N)
    return noisy(np.where((step >= since) & (step < until), factor, 1.0) * base_s, N, sigma)


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, UNDECLARED, RULE)


@pytest.mark.parametrize(("factor", "expected"), [(1.4, ["warning"]), (3.0, ["warning", "critical"])])
def test_steps_that_stay_slow_are_told(factor: float, expected: list[str]) -> None:
    changes = changes_of(run_of(slower(factor)))
    assert [change.alert.severity for change in changes] in (expected, expected[-1:])
    alert = changes[0].alert
    assert alert.series == SERIES
    assert alert.evidence["factor"] == pytest.approx(factor, rel=0.15)
    seconds = (alert.last_step - 600) * 0.5 * factor
    assert 60 <= seconds < 110  # of the steps' own time, then to the end of a block of 21
    assert alert.evidence["cause"] == "machine"


def test_the_loader_is_named_where_it_is_the_cause() -> None:
    wait = np.where(np.arange(N) < 600, 0.02, 0.4)
    (change, *_) = changes_of(run_of(slower(1.0) + wait, data_wait_s=wait))
    assert change.alert.evidence["cause"] == "data"
    assert "for the loader" in change.alert.message


def test_it_is_over_when_steps_are_as_before() -> None:
    changes = changes_of(run_of(slower(1.5, 400, 700)))
    assert fired(changes) == [("fired", SERIES, "warning"), ("resolved", SERIES, "warning")]


def test_fast_steps_have_to_be_slow_for_a_minute() -> None:
    assert changes_of(run_of(slower(1.5, base_s=0.01))) == []  # 600 steps of it are 9 s


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    trace = run_of(slower(1.5, 400, 700))
    assert same_for_every_cut(trace, UNDECLARED, RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_a_usual_run_is_quiet(sigma: float) -> None:
    assert changes_of(run_of(slower(1.0, sigma=sigma))) == []


@pytest.mark.parametrize(("since", "every"), [(0, 3), (0, 100), (600, 20)])
def test_evaluations_and_checkpoints_are_quiet(since: int, every: int) -> None:
    times = slower(1.0)
    times[since::every] += 40.0
    assert changes_of(run_of(times)) == []


def test_compilation_at_the_start_is_quiet() -> None:
    times = slower(1.0)
    times[:15] = 60.0
    assert changes_of(run_of(times)) == []


def test_one_stall_is_quiet_here() -> None:
    times = slower(1.0)
    times[700] = 3_600.0
    assert changes_of(run_of(times)) == []


def test_a_stage_may_cost_more() -> None:
    declaration = curriculum({"ce": 1.0}, {"ce": 1.0, "aux": 0.1}, every=600)
    assert told(run_of(slower(1.6)), declaration, RULE) == []


def test_times_that_are_no_times_are_left_out() -> None:
    times = slower(1.0)
    times[::4] = np.inf
    times[1::4] = 0.0
    assert told(run_of(times), UNDECLARED, RULE) == []
