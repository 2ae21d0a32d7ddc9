"""What one chooses of denovo: the knobs, the size, the ablation; and what its validation says."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers import points, spooled
from lossguard.errors import ConfigError
from lossguard.protocol.messages import Declaration
from lossguard.scenarios import UnknownChoice
from lossguard.scenarios.beginning import precision
from lossguard.scenarios.denovo import DENOVO, ablation, data, losses, rendering, train
from lossguard.scenarios.denovo.model import reader_of
from lossguard.scenarios.denovo.setup import build

ARGUMENTS = {"device": "cpu", "batch_size": 2, "steps": 2}


def test_the_knobs_choose_the_losses() -> None:
    batch = data.make_batch(0, 0, 4)
    expected = torch.full((4, data.MAX_RESIDUES + 1), 110.0)
    huber = build(DENOVO.options(**ARGUMENTS))
    assert torch.equal(huber.spectrum(expected, batch), losses.nearest_peak_huber(expected, batch))
    knobs = {"spectrum": "gaussian", "sigma": "0.2", "bin_size": 0.4, "scale_factor": 0.002}
    drawn = build(DENOVO.options(variant="l1", knobs=knobs, **ARGUMENTS))
    assert torch.equal(drawn.spectrum(expected, batch), rendering.gaussian_cosine(expected, batch, 0.2, 0.4))
    assert float(drawn.precursor(torch.tensor([100.0]), torch.tensor([1_000.0]))) == pytest.approx(0.2)


def test_choices_that_cannot_be_meant_are_refused_before_training() -> None:
    with pytest.raises(UnknownChoice, match="no spectrum of denovo 'cosine'; choose from huber, gaussian"):
        DENOVO.options(knobs={"spectrum": "cosine"})
    with pytest.raises(ConfigError, match="peaks fall between the bins"):
        train.train(DENOVO.options(knobs={"spectrum": "gaussian", "bin_size": 0.5}, **ARGUMENTS))


def test_a_knob_that_is_not_in_use_is_refused_where_it_is_set_and_left_out_where_it_is_not() -> None:
    for variant, knobs in (("l1", {"bin_size": 0.1}), ("log1p", {"scale_factor": 0.004}), ("l1", {"nosuch": 1.0})):
        with pytest.raises(ConfigError, match=f"--{next(iter(knobs)).replace('_', '-')}"):
            DENOVO.options(variant=variant, knobs=knobs)
    options = DENOVO.options(variant="l1")
    assert options.knobs == {"spectrum": "huber", "scale_factor": 0.004, "weight_factor": 1.0}
    assert DENOVO.completed(options) == options


def test_the_large_size_is_for_a_gpu() -> None:
    with torch.device("meta"):
        large = reader_of("large")
    assert 100e6 < sum(p.numel() for p in large.parameters()) < 120e6
    assert [name for name, _ in large.named_children()] == ["encoder", "decoder", "head"]


def test_in_bfloat16_the_losses_are_still_made_in_float32() -> None:
    setup = build(DENOVO.options(knobs={"spectrum": "gaussian"}, **ARGUMENTS))
    large = DENOVO.options(size="large", **ARGUMENTS)
    halved = replace(setup, precision=partial(precision, large, torch.device("cpu")))
    batch = data.make_batch(0, 0, 4)
    exact, features = setup.losses(batch)
    rounded, half_features = halved.losses(batch)
    assert features.dtype == half_features.dtype == torch.float32
    for name, loss in rounded.items():
        assert loss.dtype == torch.float32
        assert float(loss.detach()) == pytest.approx(float(exact[name].detach()), rel=0.05)
    assert not torch.equal(features, half_features), "it was computed in bfloat16"


def test_easy_and_hard_are_the_same_peptides_of_unlike_spectra() -> None:
    validation = build(DENOVO.options(device="cpu")).validation
    assert tuple(validation) == ("easy", "hard")
    easy, hard = validation.values()
    assert len(easy.mass) == 256
    assert torch.equal(easy.targets, hard.targets)
    ions = (2 * (easy.lengths - 1)).sum()
    assert (easy.peak_mask.sum() - 4 * len(easy.mass)) / ions == pytest.approx(0.95, abs=0.02)
    assert (hard.peak_mask.sum() - 24 * len(hard.mass)) / ions == pytest.approx(0.60, abs=0.02)


def test_a_drawn_run_declares_its_bound_and_logs_both_accuracies(tmp_path: Path) -> None:
    options = DENOVO.options(curriculum="gaussian", knobs={"spectrum": "gaussian"}, eval_every=1, **ARGUMENTS)
    train.train(options)
    messages = spooled(tmp_path / "spool")
    declared = next(message for message in messages if isinstance(message, Declaration))
    assert [(each.series, each.low, each.high) for each in declared.contracts] == [("loss/spectrum", 0, 2)]
    logged = points(messages)
    for name in ("easy", "hard"):
        assert [step for step, _ in logged[f"val/token_accuracy/{name}"]] == [0, 1]


# -- the ablation ----------------------------------------------------------------------------------------------------


def test_reading_the_ablation_imports_no_torch() -> None:
    code = (
        "import sys, lossguard.scenarios.denovo.ablation as a; sys.exit('torch' in sys.modules or not a.CONFIGURATIONS)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_four_configurations_are_those_of_the_reports_and_each_can_be_trained() -> None:
    found = {name: DENOVO.options(**given) for name, given in ablation.CONFIGURATIONS.items()}
    assert {name: (o.variant, o.word("spectrum"), o.curriculum) for name, o in found.items()} == {
        "baseline": ("log1p", "huber", "reduced"),
        "gaussian_log1p": ("log1p", "gaussian", "gaussian"),
        "huber_l1": ("l1", "huber", "gaussian"),
        "gaussian_l1": ("l1", "gaussian", "gaussian"),
    }
    assert json.loads(json.dumps({name: options.knobs for name, options in found.items()}))
    assert ablation.BASELINE in found


@pytest.mark.parametrize("name", ablation.CONFIGURATIONS)
def test_a_step_of_each_configuration_is_finite(name: str) -> None:
    summary = train.train(
        DENOVO.options(**ablation.CONFIGURATIONS[name], stage_steps=1, device="cpu", batch_size=2, steps=4)
    )
    assert (summary.steps, summary.state) == (4, "finished")
    assert 2.0 < summary.last_total < 5.0
