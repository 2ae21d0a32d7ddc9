"""restarts: where a learning rate comes back, losses are at another level, and that is no alarm."""

import numpy as np
import pytest

from lossguard_server.rules.restarts import APART_SAMPLES, Restarts
from unit.rules.rule_world import Trace, judged, new_engine, noisy, rows_of

N, PERIOD = 2000, 500


def cosine(n: int = N, top: float = 0.1) -> np.ndarray:
    return np.asarray(top * (1 + np.cos(np.pi * (np.arange(n) % PERIOD) / PERIOD)) / 2)


def sgdr(seed: int = 0) -> Trace:
    """A loss that doubles at each restart, at once."""
    lr = cosine()
    return {"lr": lr, "loss/total": noisy(0.3 * (1 + 12 * lr), N, 0.1, seed)}


def critical(trace: Trace) -> list[int]:
    return [change.alert.step for change in judged(trace, None) if change.alert.severity == "critical"]


@pytest.mark.parametrize("seed", range(4))
def test_warm_restarts_page_nobody(seed: int) -> None:
    trace = sgdr(seed)
    assert critical(trace) == []
    assert critical({"loss/total": trace["loss/total"]}), "without a learning rate it is a jump like any other"


def test_a_rate_that_was_never_there_excuses_nothing() -> None:
    trace = sgdr()
    trace["lr"] = np.where(np.arange(N) < 1000, 0.01, 0.1)
    trace["loss/total"] = noisy(np.where(np.arange(N) < 1000, 0.3, 3.0), N, 0.1)
    assert critical(trace)[0] in range(1000, 1005)


def test_what_breaks_after_a_restart_is_seen_soon() -> None:
    trace = sgdr()
    trace["loss/total"][1015:] *= 8
    assert critical(trace)[0] in range(1015, 1022)


def restarts_in(rates: np.ndarray, kept: Restarts | None = None, begin: int = 0) -> list[int]:
    found = (kept or Restarts()).watch(rates, np.arange(begin, begin + len(rates)))
    return [begin + at for at in found]


def test_a_rate_that_rises_for_the_first_time_restarts_nothing() -> None:
    assert restarts_in(np.linspace(1e-6, 1e-3, 500)) == []
    assert restarts_in(np.repeat([0.1, 0.01, 0.001], 100)) == []


def test_rates_that_take_turns_are_believed_now_and_then() -> None:
    found = restarts_in(np.tile([4e-4, 1e-4], 500))
    assert 0 < len(found) <= 1000 / APART_SAMPLES
    assert min(np.diff(found)) >= APART_SAMPLES


@pytest.mark.parametrize("cut", [1, 7, 333])
def test_it_is_the_same_however_the_rows_were_cut_and_over_a_restart_of_the_server(cut: int) -> None:
    rates, kept = cosine(), Restarts()
    found: list[int] = []
    for begin in range(0, N, cut):
        kept = Restarts.load(kept.dump())
        found += restarts_in(rates[begin : begin + cut], kept, begin)
    assert found == restarts_in(rates) == [500, 1000, 1500]


def test_the_rate_may_come_with_every_tenth_row_only() -> None:
    engine, trace = new_engine(), sgdr()
    found = []
    for begin in range(0, N, 10):
        found += engine.observe("run", [rows_of(trace, begin, begin + 1)])
        found += engine.observe("run", [rows_of({"loss/total": trace["loss/total"]}, begin + 1, begin + 10)])
    assert [change for change in found if change.alert.severity == "critical"] == []


@pytest.mark.parametrize("times", [20.0, 1e3, 1e6])
def test_a_loss_that_comes_back_far_higher_is_no_restarts_doing(times: float) -> None:
    """The state of a scheduler that is lost on a resume looks the same."""
    lr = np.where(np.arange(N) < 600, 1e-3, np.where(np.arange(N) < 1000, 1e-5, 1e-3))
    loss = noisy(np.where(np.arange(N) < 1000, 0.3, 0.3 * times), N, 0.1)
    assert critical({"lr": lr, "loss/total": loss})[0] in range(1010, 1030)


def test_a_rate_that_is_not_finite_hides_no_restart() -> None:
    trace = sgdr()
    trace["lr"][[499, 998, 999, 1499]] = np.nan
    assert critical(trace) == []
