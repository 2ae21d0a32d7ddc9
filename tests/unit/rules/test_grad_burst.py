"""grad_burst: the norm multiplies from step to step, as before BLOOM's loss moved."""

import numpy as np
import pytest

from lossguard_server.rules import grad_burst
from unit.rules.rule_world import UNDECLARED, declared, hits_of, judged, noisy, summed

RULE = grad_burst.rule()
BLOOM = [0.242, 0.947, 2.39, 15.9, 145.0, 960.0]
Array = np.ndarray


def trace(norm: Array, loss: Array | None = None) -> dict[str, Array]:
    return {"loss/total": noisy(2.0, len(norm), 0.03, 9) if loss is None else loss, "grad_norm/total": norm}


def bursting(values: list[float], n: int = 300, at: int = 200, sigma: float = 0.2) -> Array:
    norm = noisy(0.24, n, sigma)
    norm[at : at + len(values)] = values
    return norm


def test_bloom_is_seen_at_its_fourth_value_two_iterations_before_its_loss() -> None:
    loss = noisy(2.3, 300, 0.03)
    loss[205:] = 5.1
    (first, *_) = judged(trace(bursting(BLOOM), loss), UNDECLARED, RULE)
    assert (first.alert.last_step, first.alert.severity) == (203, "critical")
    assert "0.242, 0.947, 2.39, 15.9" in first.alert.message
    assert first.alert.remedy is not None
    assert first.alert.remedy["kind"] == "rollback"


def test_two_rises_and_a_single_explosion_are_silent() -> None:
    assert judged(trace(bursting([0.24, 2.4, 24.0, 0.3])), None, RULE) == []
    assert judged(trace(bursting([800.0])), None, RULE) == []


def test_three_rises_that_stay_near_the_level_are_silent() -> None:
    assert judged(trace(bursting([0.01, 0.03, 0.1, 0.3])), None, RULE) == []


def test_one_explosion_behind_two_rises_within_the_noise_is_no_burst() -> None:
    assert judged(trace(bursting([0.15, 0.29, 0.55, 9.0], sigma=0.4)), None, RULE) == []
    assert judged(trace(bursting([0.15, 0.6, 2.4, 9.0], sigma=0.4)), None, RULE) != []


def test_three_doublings_are_silent() -> None:
    assert judged(trace(bursting([0.24, 0.5, 1.0, 2.0])), None, RULE) == []


def test_a_run_whose_norm_always_swings_that_far_is_silent() -> None:
    norm = noisy(0.24, 3000, 0.3)
    for at in range(100, 2900, 30):
        norm[at : at + 4] = 0.24, 0.8, 2.4, 6.0
    late = [change for change in judged(trace(norm), None, RULE) if change.alert.last_step > 2000]
    assert late == []


def test_leaving_a_plateau_is_silent_because_the_loss_falls() -> None:
    n = 300
    loss = noisy(np.where(np.arange(n) < 190, 7.0, 2.0 + 5.0 * np.exp(-(np.arange(n) - 190) / 20)), n, 0.01)
    assert judged(trace(bursting([0.2, 0.6, 1.8, 5.0]), loss), None, RULE) == []
    assert judged(trace(bursting([0.2, 0.6, 1.8, 5.0])), None, RULE) != []


@pytest.mark.parametrize("values", [[0.24, 1.0, 20.0, 400.0], [0.24, 0.5, 30.0, 6.5], [0.24, 0.5, np.inf, 6.5]])
def test_norms_of_skipped_steps_are_no_links_of_the_chain(values: list[float]) -> None:
    skipped = np.zeros(300)
    skipped[201:203] = (values[1] == 1.0), 1.0
    columns = trace(bursting(values)) | {"skipped": skipped, "loss_scale": np.full(300, 65536.0)}
    assert judged(columns, None, RULE) == []


def test_the_component_with_most_of_the_gradient_is_named() -> None:
    n = 300
    losses = {"ce": noisy(2.0, n), "aux": noisy(1.0, n, 0.03, 1)}
    probes = {"grad_share/ce": np.full(n, 0.2), "grad_share/aux": np.full(n, 0.8)}
    columns = summed({"ce": 1.0, "aux": 0.1}, losses) | probes | {"grad_norm/total": bursting(BLOOM)}
    (first, *_) = judged(columns, declared(ce=1.0, aux=0.1), RULE)
    assert first.alert.component == "aux"
    assert first.alert.remedy is not None
    assert first.alert.remedy["args"]["component"] == "aux"


@pytest.mark.parametrize("cut", [2, 7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    norm = bursting(BLOOM, at=203)
    norm[100] = np.inf
    assert hits_of(RULE, trace(norm), cut=cut) == hits_of(RULE, trace(norm), cut=1) != {}
