"""Levels, spreads and tails."""

from itertools import pairwise

import numpy as np
import pytest

from lossguard_server.rules.baseline import LEVEL, SPREAD, Baselines
from lossguard_server.rules.following import Followed, follow
from lossguard_server.rules.page import Page
from lossguard_server.rules.warm_up import WARM_UP_SAMPLES
from lossguard_server.rules.window import CURVE, Window
from unit.rules.rule_world import noisy, report, report_declaration, windows


def fed(
    values: np.ndarray, steps: np.ndarray | None = None, base: Baselines | None = None
) -> tuple[Baselines, Followed]:
    """One series, all rows at once."""
    base = base or Baselines()
    if not base.count:
        base.add([0.01])
    steps = np.arange(len(values)) if steps is None else steps
    rows = np.asarray(values, dtype=np.float64)[:, None]
    fresh = np.ones(rows.shape, np.bool_)
    return base, follow(base, Page(steps, rows, fresh), np.zeros_like(fresh))


def test_level_and_spread_are_found_in_log_space() -> None:
    base, _ = fed(noisy(5.0, 3000, 0.1))
    assert np.exp(base.state[LEVEL, 0]) == pytest.approx(5.0, rel=0.03)
    assert base.state[SPREAD, 0] == pytest.approx(0.1, rel=0.15)


def test_nothing_is_judged_in_the_warm_up() -> None:
    _, followed = fed(noisy(5.0, 40))
    assert followed.judged[:, 0].tolist() == [False] * WARM_UP_SAMPLES + [True] * 10
    assert np.isnan(followed.levels.deviation[:WARM_UP_SAMPLES, 0]).all()


@pytest.mark.parametrize("spike", [10.0, 1e10, 1e300])
def test_a_spike_of_any_height_moves_the_level_as_little(spike: float) -> None:
    values = noisy(5.0, 500, 0.05)
    calm = fed(values)[0].state[LEVEL, 0]
    values[400] = spike
    assert fed(values)[0].state[LEVEL, 0] == pytest.approx(calm, abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_learned(bad: float) -> None:
    values = noisy(5.0, 200, 0.05)
    broken, followed = fed(np.append(values, [bad] * 50))
    assert broken.state.tobytes() == fed(values)[0].state.tobytes()
    assert not followed.judged[200:].any()


def test_a_warm_up_that_begins_with_nan_waits_for_numbers() -> None:
    base, _ = fed(np.concatenate([np.full(100, np.nan), noisy(5.0, WARM_UP_SAMPLES)]))
    assert base.quiet[0] == 0
    assert np.exp(base.state[LEVEL, 0]) == pytest.approx(5.0, rel=0.05)


def test_numbers_scattered_among_nan_do_not_break_the_warm_up() -> None:
    values = np.full(3000, np.nan)
    values[::100] = 5.0
    assert np.exp(fed(values)[0].state[LEVEL, 0]) == pytest.approx(5.0)


def test_the_past_holds_the_last_64_values_as_they_were() -> None:
    values = np.arange(100.0)
    values[90] = np.nan
    values[91] = -0.0
    past = fed(values)[0].past
    assert past.steps[0].tolist() == list(range(100 - CURVE, 100))
    assert np.isnan(past.values[0, 90 - 36])
    assert np.signbit(past.values[0, 91 - 36])


def test_a_heavy_tail_raises_the_limit() -> None:
    def limit(trace: np.ndarray) -> float:
        return float(windows({"loss/total": trace}, cut=3000)[0].limit(0, 1e-3, 4.0)[-1])

    heavy = 5.0 * np.exp(0.1 * np.random.default_rng(0).standard_t(2, 3000))
    assert limit(heavy) > 1.3 * limit(noisy(5.0, 3000, 0.1))


def test_a_slower_cadence_is_re_learned_in_ten_samples() -> None:
    steps = np.concatenate([np.arange(100), 100 + 100 * np.arange(1, 16)])
    judged = fed(noisy(5.0, 115), steps)[1].judged[:, 0]
    assert judged[99]
    assert not judged[100:110].any()
    assert judged[110:].all()


def test_a_step_back_is_no_change_of_cadence() -> None:
    steps = np.concatenate([np.arange(1000, 1100), np.arange(500, 600)])
    assert fed(noisy(5.0, 200), steps)[0].quiet[0] == 0


def test_a_series_that_turns_negative_is_measured_in_its_own_unit() -> None:
    base, followed = fed(np.random.default_rng(0).normal(0.0, 50.0, 400))
    assert base.signed[0]
    assert 20.0 < base.unit[0] < 50.0
    assert abs(base.usual(np.array([0]))[0]) < 50.0
    assert np.abs(followed.levels.deviation[100:, 0]).max() < 10


def test_each_series_has_its_own_columns_and_more_can_come() -> None:
    base = Baselines()
    base.add([0.01] * 20)
    rows = np.tile(np.arange(1.0, 21.0), (100, 1))
    follow(base, Page(np.arange(100), rows, np.ones(rows.shape, np.bool_)), np.zeros(rows.shape, np.bool_))
    (late,) = base.add([0.05])
    assert np.exp(base.state[LEVEL, :20]) == pytest.approx(np.arange(1.0, 21.0))
    assert (base.quiet[late], base.seen[late], base.count) == (WARM_UP_SAMPLES, 0, 21)


def test_the_capped_cusum_needs_seven_bad_samples() -> None:
    values = noisy(5.0, 300, 0.05)
    values[250:260] *= 1e6
    drift = fed(values)[1].levels.drift[:, 0]
    assert drift[250] <= 3.0 + drift[249]
    assert drift[256] > 15 >= drift[254]


def busy() -> dict[str, np.ndarray]:
    """Stages, spikes, NaN, a series that turns negative, one that is logged rarely, a change of cadence."""
    trace = report(400)
    trace["grad_norm/total"] = noisy(1.0, 400, 0.5, 5)
    trace["grad_norm/total"][[120, 200, 201, 202]] = [1e9, 30.0, np.inf, 50.0]
    trace["loss/total"][150:160] *= 4
    trace["loss/kl"] = np.random.default_rng(1).normal(0.5, 1.0, 400)  # turns negative on the way
    trace["weight/kl"] = np.full(400, 0.1)
    trace["loss/ce"][333] = np.nan
    return trace


STEPS = np.concatenate([np.arange(300), 300 + 50 * np.arange(100)]).tolist()


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_the_same_is_known_however_rows_are_cut(cut: int) -> None:
    def known(cut: int) -> dict[str, bytes]:
        made = windows(busy(), report_declaration(), cut, STEPS)
        arrays = {name: [getattr(window.levels, name) for window in made] for name in vars(made[0].levels)}
        arrays |= {
            name: [getattr(window.components, name) for window in made] for name in ("usual", "weights", "shares")
        }
        arrays |= {name: [getattr(window.references, name) for window in made] for name in ("samples", "contributions")}
        arrays |= {name: [getattr(window, name) for window in made] for name in ("judged", "moved", "predicted")}
        return {name: np.concatenate(parts).tobytes() for name, parts in arrays.items()}

    whole, parts = known(400), known(cut)
    assert [name for name in whole if whole[name] != parts[name]] == []


def test_what_was_known_before_a_row_does_not_depend_on_the_row() -> None:
    trace, other = report(), report()
    other["loss/total"][200] = 1e9
    one, two = (windows(each, report_declaration(), 400)[0] for each in (trace, other))
    assert one.levels.level[:201].tobytes() == two.levels.level[:201].tobytes()
    assert one.levels.level[201, 0] != two.levels.level[201, 0]


def pairs(made: list[Window]) -> list[tuple[Window, Window]]:
    return list(pairwise(made))


def test_a_window_shows_the_samples_of_before() -> None:
    for before, after in pairs(windows(report(), report_declaration(), 50)):
        samples = after.samples(0)
        kept = min(int(before.steps[-1]) + 1, CURVE)
        assert samples.steps[:kept].tolist() == list(range(int(after.steps[0]) - kept, int(after.steps[0])))
        assert (samples.row[:kept] == -1).all()
