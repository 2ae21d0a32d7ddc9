"""The labelled real curves at the PAGE tier: what must fire, by which sample at the latest, and what must be silent.

What is said of each curve is its label and its story in the manifest, not what some rule happens to do: pages before a
blow-up's first sign are as wrong as none. A sample's number is its row in the file.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from detection.corpus import Run
from detection.monitored import Told, story_of, told

import curves
from lossguard.protocol.messages import Declaration, StageSpec


def judged(name: str, declaration: Declaration | None = None) -> tuple[curves.Curve, Told]:
    curve = curves.curve(name)
    loss, norm, parts = curve.columns["loss"], curve.grad_norm, curve.components
    story = story_of(Run(curve.name, "", "", None, (), (), curve.steps, loss, norm, parts, "tune"))
    return curve, told(declaration or story.declaration, story.blocks)


def pages(said: Told) -> list[int]:
    return sorted({each.row for each in said.alerts if each.is_page})


@dataclass(frozen=True)
class Expected:
    """A page in each of `within` (first and last sample), and none before `quiet_until`."""

    name: str
    within: tuple[tuple[int, int], ...]
    quiet_until: int


BLOW_UPS = [
    Expected("ap01", ((1801, 1803),), 1801),  # the collapse, 10,800 steps before the NaN
    Expected("ap03", ((88, 91),), 88),  # gradients of 4.8e5, the loss hardly moves
    Expected("ap04", ((76, 78),), 41),  # the NaN is at 80
    Expected("ap06", ((68, 78),), 68),  # the NaN is at 81
    Expected("ap08", ((51, 55),), 30),  # the NaN is at 56; a first spike of 100 times at 30
    Expected("ap12", ((40, 43),), 40),
    Expected("ap14", ((5249, 5252),), 1000),  # the largest of many spikes
    Expected("ap17", ((800, 803), (1600, 1603)), 800),  # restarts that nobody declared: the loss jumps 30 times
    Expected("ap27", ((146, 148),), 146),  # two samples
    Expected("gpt04", ((64, 70), (135, 141)), 64),  # three runs in one file
    Expected("pinn02", ((549, 552),), 258),  # 258: a spike of twice the level for 30 samples
]


@pytest.mark.parametrize("expected", BLOW_UPS, ids=lambda expected: expected.name)
def test_a_blow_up_pages_in_time_and_not_before(expected: Expected) -> None:
    found = pages(judged(expected.name)[1])
    assert [row for row in found if row < expected.quiet_until] == []
    for first, last in expected.within:
        assert [row for row in found if first <= row <= last], f"no page from {first} to {last}: {found}"


HEALTHY = ["ap21", "ap22", "ap24", "ap26", "gpt01", "gpt03", "gan01", "pinn05", "ddpg03", "bloom02"]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_silent(name: str) -> None:
    """ap26: gradients grow six times while the loss falls; pinn05: one component holds 99.6 % and decays; ddpg03: a
    critic with heavy tails; bloom02: eighteen samples, from which nobody can know a level."""
    assert pages(judged(name)[1]) == []


def test_a_loss_of_two_modes_is_silent() -> None:
    curve, said = judged("ap19")
    assert [row for row in pages(said) if curve.steps[row] < curve.about["onset_step"]] == []


def test_a_dead_run_is_told_within_its_first_rows() -> None:
    """One of four equal terms holds 1.5e26 of 1.5e26: a declared share would page, the mere numbers are a warning."""
    _, said = judged("pinn03")
    first = said.alerts[0]
    assert (first.alert.rule, first.alert.component) == ("contribution_dominates", "Conductor_Copper_loss")
    assert first.row <= 5


def test_a_spiky_run_is_one_matter_not_a_page_for_each_spike() -> None:
    """ddpg01: single samples of 50 to 570 times the level, again and again, without consequence."""
    _, said = judged("ddpg01")
    assert len(pages(said)) <= 3


def test_a_blow_up_is_one_incident_with_the_lead_that_was_there() -> None:
    curve, said = judged("ap01")
    critical = [change.incident for change in said.incidents if change.incident.severity == "critical"]
    assert curve.about["onset_step"] - critical[0].first_step >= 10_600
    # one collapse, and one relapse 80 samples after it had recovered
    assert len({incident.id for incident in critical}) <= 2


def test_declared_restarts_still_page_when_the_total_leaves_what_was_predicted() -> None:
    """A stage alone explains no jump of 30 times: its weights are the same. What is declared must predict it."""
    stages = [StageSpec("first", 0, {}), StageSpec("second", 80_000, {}), StageSpec("third", 160_000, {})]
    _, said = judged("ap17", Declaration(seq=1, stages=stages))
    assert np.isin(pages(said), range(800, 810)).any()
