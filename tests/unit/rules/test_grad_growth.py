"""grad_growth: exponential growth of the gradient norm, and the forecast of its overflow."""

from math import log

import numpy as np
import pytest

from lossguard_server.rules import grad_growth
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.forecast import FP16_MAX, SQUARE_MAX
from unit.rules.rule_world import declared, hits_of, judged, noisy, summed, windows

RULE = grad_growth.rule()
ONSET, STEPS = 400, 1600
FAR = grad_growth.Parameters(horizon_warning=1e6, ages_warning=1e6)
Array = np.ndarray


def grown(limit: float, n: int, seed: int = 0, level: float = 2.2) -> Array:
    """Student noise (t3, 0.3) about a level that grows from ONSET on and is at `limit` 1,600 steps later."""
    rate = log(limit / level) / STEPS
    noise = 0.3 * np.random.default_rng(seed).standard_t(3, n)
    return level * np.exp(rate * np.maximum(np.arange(n) - ONSET, 0) + noise)


def trace(norm: Array, loss: Array | None = None, **more: Array) -> dict[str, Array]:
    return {"loss/total": noisy(2.0, len(norm), 0.03, 9) if loss is None else loss, "grad_norm/total": norm} | more


def first(changes: list[AlertChange], severity: str) -> int:
    return next(change.alert.last_step for change in changes if change.alert.severity == severity)


def test_growth_to_the_overflow_is_a_warning_then_critical_long_before_it() -> None:
    changes = judged(trace(grown(SQUARE_MAX, ONSET + 400)), None, RULE)
    assert ONSET + 20 <= first(changes, "warning") <= ONSET + 120
    assert ONSET + 60 <= first(changes, "critical") <= ONSET + 200
    assert "doubles every" in changes[0].alert.message


def test_half_precision_overflows_earlier_so_slower_growth_counts() -> None:
    n = ONSET + 900
    norm = grown(FP16_MAX, n)
    changes = judged(trace(norm, loss_scale=np.full(n, 1.0)), None, RULE)
    assert ONSET + 50 <= first(changes, "warning") <= ONSET + 400
    assert changes[0].alert.evidence["forecast"]["overflow"] == FP16_MAX


@pytest.mark.parametrize(
    ("limit", "after", "low", "high"),
    [
        (SQUARE_MAX, 100, 0.9, 1.15),
        (SQUARE_MAX, 200, 0.95, 1.1),
        (FP16_MAX, 300, 0.9, 1.15),
        (FP16_MAX, 400, 0.93, 1.1),
    ],
)
def test_the_forecast_is_as_near_as_a_fit_from_the_change_point_can_be(
    limit: float, after: int, low: float, high: float
) -> None:
    """The report's simulation: median ratio of the forecast to the truth over 20 seeds, where one is shown."""
    ratios, covered = [], 0
    for seed in range(20):
        norm = trace(grown(limit, ONSET + after, seed), loss_scale=np.full(ONSET + after, FP16_MAX / limit))
        explained = explained_last(norm)
        span = None if explained is None else explained["overflow_step"]
        if span is not None:
            ratios.append((span[1] - ONSET - after) / (STEPS - after))
            covered += span[0] <= ONSET + STEPS <= span[2]
    assert len(ratios) >= 10
    assert low <= float(np.median(ratios)) <= high
    assert covered >= 0.75 * len(ratios)


def explained_last(columns: dict[str, Array]) -> dict[str, object] | None:
    """The forecast at the last row, if that counts."""
    kept: dict[str, object] = {}
    for window in windows(columns, None, cut=64):
        said = RULE.judge(window, RULE.parameters, kept)
    rows = {int(hits.rows[-1]): hits for hits in said}
    return rows[max(rows)].explain(max(rows)).numbers["forecast"] if rows else None


def test_a_healthy_norm_is_silent() -> None:
    for seed, sigma in enumerate((0.05, 0.3, 0.6)):
        assert judged(trace(noisy(1.0, 5000, sigma, seed)), None, RULE) == []


def test_a_norm_that_grows_a_little_over_a_whole_run_is_silent() -> None:
    n = 6000
    loss = noisy(2.0 + np.exp(-np.arange(n) / 1000), n, 0.02)
    assert judged(trace(noisy(np.linspace(0.3, 1.5, n), n, 0.2), loss), None, RULE) == []


def test_growth_so_slow_that_its_overflow_is_far_off_is_silent() -> None:
    n = 4500
    norm = noisy(np.exp(0.0005 * np.maximum(np.arange(n) - 200, 0)), n, 0.01)
    assert judged(trace(norm), None, RULE) == []
    assert judged(trace(norm), None, grad_growth.rule(FAR)) != []


@pytest.mark.parametrize("cut", [7, 64])
def test_growth_that_a_new_logging_interval_ends_is_the_same_however_it_is_cut(cut: int) -> None:
    n, first = ONSET + 200, ONSET + 101
    steps = [*range(first), *range(first + 100, first + 100 * (n - first + 1), 100)]

    def hits(cut: int) -> list[int]:
        kept: dict[str, object] = {}
        seen = windows(trace(grown(SQUARE_MAX, n)), None, cut=cut, steps=steps)
        return [s for w in seen for h in RULE.judge(w, RULE.parameters, kept) for s in w.steps[h.rows].tolist()]

    assert sorted(hits(cut)) == sorted(hits(1))
    assert first - 1 in hits(1)


def test_leaving_a_plateau_is_silent_because_the_loss_falls() -> None:
    n = 500
    loss = noisy(np.where(np.arange(n) < 200, 7.0, 2.0 + 5.0 * np.exp(-(np.arange(n) - 200) / 60)), n, 0.01)
    norm = noisy(1.0 * np.exp(np.clip((np.arange(n) - 200) * 0.06, 0.0, 1.8)), n, 0.1)  # times six
    assert judged(trace(norm, loss), None, RULE) == []


def test_growth_within_the_healthy_range_is_never_critical() -> None:
    n = 420
    norm = noisy(0.001 * np.exp(0.05 * np.maximum(np.arange(n) - 300, 0)), n, 0.1)
    assert {change.alert.severity for change in judged(trace(norm), None, RULE)} == {"warning"}
    assert "critical" in {change.alert.severity for change in judged(trace(1000 * norm), None, RULE)}


def test_growth_that_itself_grows_says_less_than_so_many_steps() -> None:
    n = 260
    t = np.maximum(np.arange(n) - 200, 0)
    norm = noisy(0.5, n, 0.1) * np.exp(np.where(t > 0, 0.0006 * t**2.5, 0.0))
    norm[-6:] = norm[-7] * np.exp(np.array([0.2, 0.5, 1.0, 1.8, 3.0, 5.0]))
    messages = [change.alert.message for change in judged(trace(norm), None, RULE)]
    assert messages
    assert any("doubles every" in message for message in messages)
    explained = explained_last(trace(norm))
    assert explained is not None
    assert explained["overflow_step"] is None
    assert 1 <= int(str(explained["overflow_within_steps"])) <= 40


def test_the_component_with_most_of_the_gradient_is_named_and_its_weight_is_the_remedy() -> None:
    n = ONSET + 300
    losses = {"ce": noisy(2.0, n), "aux": noisy(1.0, n, 0.03, 1)}
    probes = {"grad_share/ce": np.full(n, 0.05), "grad_share/aux": np.full(n, 0.95)}
    columns = summed({"ce": 1.0, "aux": 0.1}, losses) | probes | {"grad_norm/total": grown(SQUARE_MAX, n)}
    alert = judged(columns, declared(ce=1.0, aux=0.1), RULE)[0].alert
    assert alert.component == "aux"
    assert alert.remedy is not None
    assert (alert.remedy["kind"], alert.remedy["args"]["component"]) == ("set_weight", "aux")


@pytest.mark.parametrize("cut", [7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    columns = trace(grown(FP16_MAX, ONSET + 500), loss_scale=np.repeat([1.0, 2.0], (ONSET + 500) // 2))
    columns["grad_norm/total"][[450, 600]] = np.inf
    assert hits_of(RULE, columns, cut=cut) == hits_of(RULE, columns, cut=1) != {}


def test_an_overflow_that_is_many_ages_of_the_run_away_is_never_critical() -> None:
    """Growth over a fifth of a run that then ends in peace: how often the run logs must not decide."""
    for every in (1, 3):
        n = 2400 // every
        norm = noisy(np.exp(0.006 * every * np.clip(np.arange(n) - 300 // every, 0, 700 // every)), n, 0.1)
        assert "critical" not in {change.alert.severity for change in judged(trace(norm), None, RULE)}
