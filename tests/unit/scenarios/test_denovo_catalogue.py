"""The catalogue: what it lists exists, what it does not list is refused in words, and reading it costs no torch."""

import importlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from lossguard.errors import ConfigError
from lossguard.scenarios import SCENARIOS, Options, UnknownChoice, find
from lossguard.scenarios.denovo import curricula, losses


def test_reading_the_catalogue_imports_no_torch() -> None:
    code = "import sys, lossguard.scenarios, lossguard.scenarios.__main__ as _; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_entry_can_be_trained(name: str) -> None:
    scenario = find(name)
    assert scenario.name == name
    assert callable(importlib.import_module(scenario.module).train)


def test_denovo_lists_what_it_has() -> None:
    scenario = find("denovo")
    assert set(scenario.variants) == set(losses.PRECURSOR_LOSSES)
    assert scenario.curricula == tuple(curricula.STAGES)


def test_the_incident_begins_where_the_curriculum_brings_the_precursor_in() -> None:
    truth = find("denovo").truth("log1p_x100")
    for stage_steps in (60, 250, 10_000):
        onset = truth.onset_step(stage_steps)
        assert onset == stage_steps
        assert curricula.weights_at("original", onset - 1, stage_steps)[2] == 0
        assert curricula.weights_at("original", onset, stage_steps)[2] == 0.01
    assert truth.first_bad == "weight/precursor", "the schedule moves it, at the onset; its contribution follows"
    assert (truth.remedy, truth.mend) == ("set_weight", "log1p")
    assert not set(truth.must_fire) & set(truth.must_not_fire)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_what_must_fire_must_not_be_forbidden_and_has_a_first_bad_series(name: str) -> None:
    for truth in find(name).variants.values():
        assert not set(truth.must_fire) & set(truth.must_not_fire)
        assert (truth.first_bad is None) == (truth.onset_stage is None) == (not truth.must_fire)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_options_of_a_scenario_are_its_own_where_nothing_is_chosen(name: str) -> None:
    scenario = find(name)
    options = scenario.options(seed=3)
    assert (options.project, options.batch_size, options.lr) == (name, scenario.batch_size, scenario.lr)
    assert (options.variant, options.seed, options.steps) == (next(iter(scenario.variants)), 3, scenario.steps)
    with pytest.raises(UnknownChoice, match=f"no variant of {name} 'x'"):
        scenario.options(variant="x")


@pytest.mark.parametrize("variant", ["log1p", "l1"])
def test_the_mends_are_healthy_runs(variant: str) -> None:
    truth = find("denovo").truth(variant)
    assert truth.onset_step(250) is None
    assert truth.must_fire == ()
    assert "nonfinite" in truth.must_not_fire


def test_an_unknown_scenario_variant_or_curriculum_is_answered_with_what_exists() -> None:
    with pytest.raises(UnknownChoice, match="no scenario 'denov'; choose from denovo"):
        find("denov")
    with pytest.raises(UnknownChoice, match="no variant of denovo 'l2'; choose from log1p_x100, log1p, l1"):
        find("denovo").truth("l2")
    with pytest.raises(UnknownChoice, match="no curriculum of denovo 'x'; choose from original, reduced, gaussian"):
        find("denovo").check(Options("l1", curriculum="x"))


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("steps", lambda: Options("l1", steps=0)),
        ("stage_steps", lambda: Options("l1", stage_steps=0)),
        ("seed", lambda: Options("l1", seed=-1)),
        ("threads", lambda: Options("l1", threads=0)),
        ("lr", lambda: Options("l1", lr=0.0)),
        ("lr", lambda: Options("l1", lr=float("nan"))),
    ],
)
def test_options_that_cannot_be_meant_are_refused_by_name(field: str, options: Callable[[], Options]) -> None:
    with pytest.raises(ConfigError, match=f"{field} is"):
        options()
