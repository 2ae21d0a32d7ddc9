"""The curricula against the tables of the reports."""

import pytest

from lossguard.scenarios.denovo import curricula

NAMES = {
    "original": ("2: precursor 0.01", "3: spectrum 0.08, precursor 0.02"),
    "reduced": ("2: precursor 0.01", "3: spectrum 0.08, precursor 0.015"),
    "gaussian": ("2: spectrum 0.1", "3: spectrum 0.15, precursor 0.01"),
}


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
    assert [stage.name for stage in stages[:3]] == ["1: ce only", *NAMES[name]]


@pytest.mark.parametrize("name", sorted(curricula.STAGES))
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_both_ways_to_ask_for_a_weight_agree(name: str, factor: float) -> None:
    planned = curricula.curriculum(name, 5, factor)
    assert planned.components == curricula.COMPONENTS
    for step in range(60):
        by_hand = curricula.weights_at(name, step, 5, factor)
        assert planned.weights_at(step) == dict(zip(curricula.COMPONENTS, by_hand, strict=True))


def test_the_spectrum_enters_at_the_third_stage_with_the_second_reports_weight() -> None:
    assert curricula.weights_at("original", 499, 250) == (1.0, 0.0, 0.01)
    assert curricula.weights_at("original", 500, 250) == (1.0, 0.08, 0.02)


def test_the_weights_of_the_third_report() -> None:
    spectrum = [spectrum for _, spectrum, _ in curricula.STAGES["gaussian"]]
    assert spectrum == [0, 0.10, 0.15, 0.20, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert precursor_weights("gaussian")[:5] == [0, 0, 0.01, 0.015, 0.02]
    assert precursor_weights("gaussian")[9] == 0.08, 'stages 5-10: "0.02-0.08"'
    rises = [b - a for a, b in zip(precursor_weights("gaussian")[4:], precursor_weights("gaussian")[5:], strict=False)]
    assert rises == pytest.approx([0.012] * 5)


def test_the_first_report_reduces_by_20_to_40_percent_but_not_where_the_incident_was() -> None:
    cut = [
        1 - new / old
        for old, new in zip(precursor_weights("original"), precursor_weights("reduced"), strict=True)
        if old
    ]
    assert cut[0] == 0, "stage 2, at step 10,000"
    assert (min(cut[1:]), max(cut[1:])) == (pytest.approx(0.2), pytest.approx(0.4))


def test_no_curriculum_is_that_of_the_second_reports_healthy_training() -> None:
    healthy = [(1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.08, 0.01)]
    assert all(list(stages[:3]) != healthy for stages in curricula.STAGES.values())


def test_half_the_weights_are_half_those_of_the_auxiliary_losses() -> None:
    assert curricula.weights_at("gaussian", 200, 100, 0.5) == (1.0, 0.075, 0.005)
    assert curricula.stages_of("reduced", 1.0) == curricula.STAGES["reduced"]


def test_a_person_may_set_what_any_curriculum_sets() -> None:
    assert curricula.weight_bounds() == {"spectrum": (0.0, 0.25), "precursor": (0.0, 0.10)}
    assert curricula.weight_bounds(0.5) == curricula.weight_bounds()
    assert curricula.weight_bounds(2.0) == {"spectrum": (0.0, 0.5), "precursor": (0.0, 0.2)}
