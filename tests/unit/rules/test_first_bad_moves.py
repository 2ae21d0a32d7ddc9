"""What went wrong first where something that is set moved: what follows it, what was there before, what caused it."""

from typing import Any

import numpy as np
import pytest

from lossguard_server.rules.first_bad import FirstBad
from lossguard_server.rules.window import Floats
from unit.rules.rule_world import UNDECLARED, noisy, summed, windows
from unit.rules.test_first_bad import known_at, steps_of


def calm() -> Floats:
    return noisy(1.0, 300, 0.05, 5)


def moved(grads: Floats, cut: int = 100) -> dict[str, int]:
    """A weight moves at step 250 of 300; what is known ten rows later of that and of a gradient norm."""
    weight = np.where(np.arange(300) < 250, 1.0, 0.5)
    losses = {"ce": noisy(2.0, 300, 0.02, 1)}
    series = {"grad_norm/total": grads, "weight/aux": weight}
    return steps_of(known_at(summed({"ce": 1.0}, losses, **series), 260, cut=cut, symptom=250))


def test_a_trip_makes_no_sign_of_a_drift_that_a_weight_explains() -> None:
    n = 260
    losses = {"ce": 2.0 * np.exp(-0.004 * np.arange(n)) * noisy(1.0, n, 0.02, 1)}
    grads = noisy(1.0, n, 0.05, 5) * np.exp(0.12 * (np.arange(n) >= 225))
    for weight, signs in ((np.where(np.arange(n) < 250, 1.0, 0.5), {"weight/aux"}), (np.ones(n), {"grad_norm/total"})):
        trace = summed({"ce": 1.0}, losses, **{"grad_norm/total": grads, "weight/aux": weight})
        first_bad, memory = FirstBad(), dict[str, Any]()
        for window in windows(trace, UNDECLARED, 100):
            first_bad.observe(window, memory)
        assert set(steps_of(first_bad.now(memory, window.names, 259))) == signs


@pytest.mark.parametrize("name", ["weight/aux", "weight/other"])
def test_of_several_moves_each_explains_what_follows_it(name: str) -> None:
    leaps, steps = calm(), np.arange(300)
    leaps[248] *= 1.25
    leaps[250:] *= 20.0
    moves = {"weight/aux": np.where(steps < 250, 1.0, 0.5)}
    moves[name] = moves.get(name, np.ones(300)) * np.where(steps < 120, 1.0, 0.9)
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02, 1)}, **{"grad_norm/total": leaps, **moves})
    found = steps_of(known_at(trace, 260, symptom=250))
    assert found["grad_norm/total"] == 250
    assert found[name] == 120


def test_a_loss_scale_explains_nothing_of_what_made_it_fall() -> None:
    grows = calm() * np.exp(0.015 * np.maximum(np.arange(300) - 200, 0))
    scale = np.where(np.arange(300) < 250, 65536.0, 32768.0)
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02, 1)}, **{"grad_norm/total": grows, "loss_scale": scale})
    found = known_at(trace, 252)
    assert [each["series"] for each in found] == ["grad_norm/total", "loss_scale"]


def test_what_an_older_server_kept_is_known_without_what_it_did_not_keep() -> None:
    first_bad, memory = FirstBad(), dict[str, Any]()
    leaps = calm()
    leaps[250:] *= 20.0
    cut = windows(summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02, 1)}, **{"grad_norm/total": leaps}), UNDECLARED, 255)
    window, later = list(cut)
    first_bad.observe(window, memory)
    kept = {name: column for name, column in memory.items() if name not in ("strong_since", "newest")}
    signals = FirstBad().observe(later, kept)
    assert steps_of(signals.at(4, 259)) == {"grad_norm/total": 250}


def test_a_drift_before_a_weight_moves_is_no_sign() -> None:
    drifts = calm() * np.exp(0.12 * (np.arange(300) >= 225))
    assert moved(drifts) == {"weight/aux": 250}


@pytest.mark.parametrize("cut", [1, 7, 100, 251, 300])
def test_a_stray_just_before_a_weight_moves_does_not_begin_what_follows(cut: int) -> None:
    leaps = calm()
    leaps[248] *= 1.25
    leaps[250:] *= 20.0
    assert moved(leaps, cut) == {"grad_norm/total": 250, "weight/aux": 250}


def test_what_was_far_off_before_a_weight_moved_leads() -> None:
    leaps = calm()
    leaps[248:] *= 20.0
    assert list(moved(leaps).items()) == [("grad_norm/total", 248), ("weight/aux", 250)]


def test_a_weight_that_moves_after_the_symptom_explains_nothing() -> None:
    drifts = calm() * np.exp(0.12 * (np.arange(300) >= 225))
    series = {"grad_norm/total": drifts, "weight/aux": np.where(np.arange(300) < 250, 1.0, 0.5)}
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02, 1)}, **series)
    assert set(steps_of(known_at(trace, 260, symptom=240))) == {"grad_norm/total", "weight/aux"}
