"""The reports' failures, injected into real healthy curves: the cause is named, and look-alikes stay quiet."""

import numpy as np
import pytest
from detection.corpus import Run
from detection.failures import FAILURES, SEVERITIES
from detection.material import Material
from detection.monitored import Told, told
from detection.negatives import NEGATIVES

from detection import attribution

SEEDS = 2  # the benchmark takes 25
STARTED = 10  # steps: what is wrong from the first step on is told by then


@pytest.fixture(scope="module")
def material(corpus: list[Run]) -> Material:
    return Material(corpus)


def run_of(material: Material, make: attribution.Make, severity: int, seed: int) -> tuple[attribution.Story, Told]:
    story = make(material, np.random.default_rng([seed, severity]), severity)
    return story, told(story.declaration, story.blocks)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("make", FAILURES, ids=lambda make: make.__name__)
def test_the_first_page_names_the_cause(material: Material, make: attribution.Make, severity: int) -> None:
    named = attribution.Named()
    for seed in range(SEEDS):
        named.add(*run_of(material, make, severity, seed))
    assert (named.found, named.right) == (SEEDS, SEEDS), named.wrong
    assert all(lead >= 0 for lead in named.leads)


@pytest.mark.parametrize("make", FAILURES[2:], ids=lambda make: make.__name__)
def test_invariants_page_before_the_first_steps_are_taken(material: Material, make: attribution.Make) -> None:
    _, said = run_of(material, make, 1, 0)
    assert min(each.row for each in said.alerts if each.is_page) <= STARTED


def test_the_stage_is_foreseen_before_it_begins(material: Material) -> None:
    story, said = run_of(material, FAILURES[0], 1, 0)
    foreseen = [each for each in said.alerts if each.alert.rule == "look_ahead"]
    assert foreseen[0].alert.component == "precursor"
    assert foreseen[0].alert.step < 1_000 < story.declaration.stages[1].start


@pytest.mark.parametrize("make", NEGATIVES, ids=lambda make: make.__name__)
def test_a_look_alike_stays_quiet(material: Material, make: attribution.MakeQuiet) -> None:
    quiet = attribution.Quiet()
    for seed in range(SEEDS):
        story = make(material, np.random.default_rng([100, seed]), seed)
        quiet.add(story, told(story.declaration, story.blocks).alerts)
    assert quiet.quiet == SEEDS, quiet.spoke
