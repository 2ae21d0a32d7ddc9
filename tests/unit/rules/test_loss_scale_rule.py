"""R16: the loss scale falls more often than a scaler's search explains."""

from collections.abc import Iterable

import numpy as np
import pytest

from lossguard_server.rules import loss_scale
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import UNDECLARED, Trace
from unit.rules.stage_world import at_every, fired, same_for_every_cut, told

RULE = loss_scale.rule()
N = 900


def halved_at(steps: Iterable[int], first: float = 65536.0, n: int = N) -> np.ndarray:
    falls = np.zeros(n)
    falls[list(steps)] = 1
    return first * 0.5 ** np.cumsum(falls)


def run_of(scale: np.ndarray, skipped: np.ndarray | None = None) -> Trace:
    own = (np.diff(scale, prepend=scale[0]) < 0).astype(np.float64) if skipped is None else skipped
    return {"loss_scale": scale, "skipped": own, "loss/total": np.full(len(scale), 2.0)}


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, UNDECLARED, RULE)


def test_four_halvings_within_fifty_steps_are_paged() -> None:
    changes = changes_of(run_of(halved_at([300, 330, 340, 345])))
    assert fired(changes) == [
        ("fired", "loss_scale", "warning"),
        ("escalated", "loss_scale", "critical"),
        ("resolved", "loss_scale", "critical"),
    ]
    assert [change.alert.last_step for change in changes[:2]] == [340, 345]
    assert "halved 4 times within 50 steps" in changes[1].alert.message
    assert changes[1].alert.remedy is not None
    assert changes[1].alert.remedy["kind"] == "rollback"


def test_two_halvings_within_twenty_steps_are_shown() -> None:
    assert fired(changes_of(run_of(halved_at([300, 315]))))[0] == ("fired", "loss_scale", "warning")


def test_a_scale_that_has_no_room_left_is_paged() -> None:
    changes = changes_of(run_of(halved_at(range(100, 820, 60))))
    assert fired(changes) == [("fired", "loss_scale", "critical")]
    assert "has fallen from 65536; it is 16" in changes[0].alert.message


def test_too_many_skipped_updates_are_paged() -> None:
    skipped = (np.arange(N) % 15 == 14) * (np.arange(N) > 400)
    changes = changes_of(run_of(np.full(N, 65536.0), skipped.astype(np.float64)))
    assert fired(changes) == [("fired", "skipped", "critical")]
    assert "11 of the last 200 updates" in changes[0].alert.message


def test_several_halvings_between_two_rows_count() -> None:
    """Logged every 10 steps: a fall by 16 is four halvings."""
    scale = np.where(np.arange(N) < 500, 65536.0, 4096.0)
    trace = {"loss_scale": at_every(N, 10, scale), "loss/total": np.full(N, 2.0)}
    assert fired(told(trace, UNDECLARED, RULE))[0] == ("fired", "loss_scale", "critical")


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    skipped = (np.arange(N) % 15 == 14) * (np.arange(N) > 400)
    trace = run_of(halved_at([300, 330, 340, 345]), skipped.astype(np.float64))
    assert same_for_every_cut(trace, UNDECLARED, RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


def test_the_search_at_the_start_is_quiet() -> None:
    assert changes_of(run_of(halved_at(range(0, 8)))) == []


def test_a_scaler_at_work_is_quiet() -> None:
    """It doubles after 2,000 clean steps, and each doubling overflows."""
    n = 9_000
    scale = np.where(np.arange(n) % 2_000 < 1, 131072.0, 65536.0)
    assert told(run_of(scale), UNDECLARED, RULE) == []


def test_a_resumed_run_that_searches_again_is_quiet() -> None:
    scale = halved_at([*range(3, 9), *range(501, 507)])
    scale[500:] *= 64.0
    assert changes_of(run_of(scale)) == []


@pytest.mark.parametrize("scale", [1.0, 8.0, 16.0])
def test_a_scale_that_is_always_small_is_quiet(scale: float) -> None:
    assert changes_of(run_of(np.full(N, scale))) == []


def test_falls_that_were_not_seen_one_by_one_are_not_counted() -> None:
    """Logged every 100 steps, it is a sixteenth: nobody knows how close together the four halvings were."""
    scale = halved_at(range(6_001, 6_100, 25), n=9_000)
    trace = {"loss_scale": at_every(9_000, 100, scale), "loss/total": np.full(9_000, 2.0)}
    assert told(trace, UNDECLARED, RULE) == []


def test_a_run_without_a_scaler_may_skip() -> None:
    skipped = {"skipped": np.ones(N), "loss/total": np.full(N, 2.0)}
    assert changes_of(skipped) == []


@pytest.mark.parametrize("halvings", [10, 11, 14])
def test_a_search_of_ten_halvings_and_more_is_quiet_behind_its_end_too(halvings: int) -> None:
    """`ris fixed`: a squared norm of 7,000 takes the scale to 32, with other seeds to 16."""
    assert changes_of(run_of(halved_at(range(1, 1 + halvings), 32768.0))) == []
