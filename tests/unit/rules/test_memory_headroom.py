"""R19: memory runs out, or leaks; memory that is filled on purpose and caches are not that."""

import numpy as np
import numpy.typing as npt
import pytest

from lossguard_server.rules import memory_headroom
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.memory_headroom import leak_of
from unit.rules.rule_world import UNDECLARED, Trace
from unit.rules.stage_world import at_every, curriculum, fired, same_for_every_cut, told

RULE = memory_headroom.rule()
N, EVERY = 1_600, 10
USED, WHOLE = "memory/cuda:0/allocated_gib", "memory/cuda:0/total_gib"
STEP = np.arange(N)


def noise(size: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, N)


def gpu(used: npt.ArrayLike, every: int = EVERY) -> Trace:
    return {USED: at_every(N, every, used), WHOLE: at_every(N, every, 80.0), "loss/total": np.full(N, 2.0)}


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, UNDECLARED, RULE)


def test_a_leak_is_told_before_the_memory_is_full() -> None:
    (fire, *_) = changes_of(gpu(30 + STEP * 0.03 + noise(1.0)))
    alert = fire.alert
    assert (alert.series, alert.severity) == (USED, "critical")
    full_at = (0.97 * 80 - 30) / 0.03
    assert alert.last_step + alert.evidence["steps_left"] == pytest.approx(full_at, rel=0.1)
    assert alert.last_step < 800
    assert alert.message.startswith("The memory of cuda:0 leaks")


def test_a_leak_of_the_host_is_told_too() -> None:
    used = 4 + STEP * 0.02
    trace = {"system/rss_gib": at_every(N, EVERY, used), "system/host_free_gib": at_every(N, EVERY, 50 - used)}
    (fire, *_) = changes_of({**trace, "loss/total": np.full(N, 2.0)})
    assert (fire.alert.series, fire.alert.severity) == ("system/rss_gib", "critical")
    assert "The host's memory leaks" in fire.alert.message


def test_memory_that_is_nearly_full_is_shown_and_paged_while_it_grows() -> None:
    kept = changes_of(gpu(78.0 + noise(0.1)))
    assert fired(kept) == [("fired", USED, "warning")]
    grown = changes_of(gpu(np.where(STEP < 800, 40.0, 78.0) + noise(0.1)))
    assert [change.alert.severity for change in grown if change.transition != "resolved"][-1] == "critical"
    assert "97 % of the memory of cuda:0 is used" in grown[-1].alert.message


def test_the_peak_counts_where_it_is_known() -> None:
    peak = {"memory/cuda:0/peak_gib": at_every(N, EVERY, 75.0)}
    assert fired(changes_of(peak | gpu(20.0))) == [("fired", "memory/cuda:0/peak_gib", "warning")]


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    trace = gpu(30 + STEP * 0.03 + noise(1.0))
    assert same_for_every_cut(trace, UNDECLARED, RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.0, 3.0])
def test_memory_that_stays_is_quiet(size: float) -> None:
    assert changes_of(gpu(60.0 + noise(size))) == []


def test_a_cache_that_fills_is_quiet() -> None:
    assert changes_of(gpu(40 + 30 * (1 - np.exp(-STEP / 250)) + noise(0.2))) == []


def test_a_step_up_at_a_stage_is_quiet() -> None:
    declaration = curriculum({"ce": 1.0}, {"ce": 1.0, "aux": 0.1}, every=800)
    assert told(gpu(np.where(STEP < 800, 30.0, 65.0) + noise(0.5)), declaration, RULE) == []


def test_a_leak_that_takes_long_is_not_foretold() -> None:
    assert changes_of(gpu(20 + STEP * 0.005 + noise(0.2))) == []


def test_without_the_whole_nothing_can_be_said() -> None:
    trace = gpu(79.9)
    del trace[WHOLE]
    assert changes_of(trace) == []


def test_noise_is_no_leak() -> None:
    random = np.random.default_rng(1)
    steps = np.arange(64, dtype=np.int64) * 10
    assert sum(leak_of(steps, 70 + random.normal(0, 3, 64), 80.0, 2.0) is not None for _ in range(2_000)) <= 2
