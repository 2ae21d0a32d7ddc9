"""The curricula against the tables of the reports."""

import pytest

from lossguard.scenarios.denovo import curricula


def precursor_weights(name: str) -> list[float]:
    return [precursor for _, _, precursor in curricula.STAGES[name]]


def test_the_old_and_the_new_weights_of_the_first_report() -> None:
    assert precursor_weights("original") == [0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.10]
    assert precursor_weights("reduced") == [0, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08]


@pytest.mark.parametrize("name", sorted(curricula.STAGES))
@pytest.mark.parametrize("stage_steps", [1, 250, 10_000])
def test_stages_begin_where_they_should(name: str, stage_steps: int) -> None:
    stages = curricula.curriculum(name, stage_steps).stages
    assert [stage.start for stage in stages] == [stage_steps * index for index in range(10)]
    assert [stage.name for stage in stages[:3]] == [
        "1: ce only",
        "2: precursor 0.01",
        f"3: spectrum 0.08, precursor {precursor_weights(name)[2]:g}",
    ]


@pytest.mark.parametrize("name", sorted(curricula.STAGES))
def test_both_ways_to_ask_for_a_weight_agree(name: str) -> None:
    planned = curricula.curriculum(name, 5)
    assert planned.components == curricula.COMPONENTS
    for step in range(60):
        by_hand = curricula.weights_at(name, step, 5)
        assert planned.weights_at(step) == dict(zip(curricula.COMPONENTS, by_hand, strict=True))


def test_the_spectrum_enters_at_the_third_stage_with_the_second_reports_weight() -> None:
    assert curricula.weights_at("original", 499, 250) == (1.0, 0.0, 0.01)
    assert curricula.weights_at("original", 500, 250) == (1.0, 0.08, 0.02)
