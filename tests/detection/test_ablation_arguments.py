"""The ablation hands each training what its configuration sets, and the command line takes it."""

import pytest
from incidents.ablation import arguments

from lossguard.scenarios.__main__ import _options, _parser
from lossguard.scenarios.denovo import DENOVO, ablation


@pytest.mark.parametrize("name", ablation.CONFIGURATIONS)
def test_a_configuration_is_trained_with_its_own_knobs(name: str) -> None:
    given = ablation.CONFIGURATIONS[name]
    found = arguments(given, 0.1)
    assert (
        found
        == {"steps": 250, "stage_steps": 25, "variant": given["variant"], "curriculum": given["curriculum"]}
        | (given["knobs"])
    )
    words = [word for key, value in found.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    options = _options(DENOVO, _parser().parse_args(["denovo", *words]))
    assert options.knobs == DENOVO.options(**given).knobs
