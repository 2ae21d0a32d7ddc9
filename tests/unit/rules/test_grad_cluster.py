"""grad_cluster: three gradient explosions within twenty samples, each of them survived."""

import numpy as np
import pytest

from lossguard_server.rules import grad_cluster
from unit.rules.rule_world import hits_of, judged, noisy, said

RULE = grad_cluster.rule()
Array = np.ndarray


def exploding(*at: int, n: int = 600, height: float = 30.0) -> dict[str, Array]:
    norm = noisy(0.5, n, 0.2)
    norm[list(at)] = height
    return {"loss/total": noisy(2.0, n, 0.03, 9), "grad_norm/total": norm}


def test_three_within_twenty_fire_at_the_third() -> None:
    assert said(judged(exploding(300, 308, 317), None, RULE))[0] == ("fired", "grad_cluster", 317)
    alert = judged(exploding(300, 308, 317), None, RULE)[0].alert
    assert (alert.severity, alert.evidence["explosions"]) == ("critical", 3)
    assert "30 at 308" in alert.evidence["text"]


def test_two_within_twenty_or_three_over_a_longer_time_are_silent() -> None:
    assert judged(exploding(300, 308, 321), None, RULE) == []
    assert judged(exploding(*range(100, 600, 50)), None, RULE) == []


def test_smaller_ones_are_silent() -> None:
    assert judged(exploding(300, 308, 317, height=3.0), None, RULE) == []


def test_while_the_loss_falls_they_are_silent() -> None:
    trace = exploding(300, 308, 317)
    trace["loss/total"] = noisy(
        np.where(np.arange(600) < 290, 7.0, 7.0 * np.exp(-(np.arange(600) - 290) / 60)), 600, 0.01
    )
    assert judged(trace, None, RULE) == []


@pytest.mark.parametrize("cut", [7, 64, 1000])
def test_the_cut_into_windows_changes_nothing(cut: int) -> None:
    trace = exploding(300, 308, 317)
    assert hits_of(RULE, trace, cut=cut) == hits_of(RULE, trace, cut=1) != {}
