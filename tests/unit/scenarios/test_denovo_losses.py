"""The losses against the numbers of the reports, and their gradients."""

import math

import pytest
import torch
from torch import Tensor

from lossguard.scenarios.denovo import data, losses

MASS = torch.tensor([1_000.0])


def at_ppm(name: str, ppm: float) -> float:
    return float(losses.PRECURSOR_LOSSES[name](MASS * ppm / 1e6, MASS))


def certain(batch: data.Batch) -> Tensor:
    """Logits of a model that knows every peptide."""
    targets = batch.targets.clamp_min(0).masked_fill(batch.targets == data.IGNORED, data.STOP)
    return 200.0 * torch.nn.functional.one_hot(targets, data.CLASSES).float()


def test_the_bug_of_the_first_report() -> None:
    assert at_ppm("log1p_x100", 170_000) == pytest.approx(744, abs=0.5)
    assert 0.01 * at_ppm("log1p_x100", 170_000) == pytest.approx(7.44, abs=0.01)


# "170k -> log1p(1.7) = 1.0, 10k -> 0.095, 1k -> 0.01"
@pytest.mark.parametrize(("ppm", "loss"), [(170_000, 0.993), (10_000, 0.0953), (1_000, 0.00995)])
def test_the_mend_of_the_first_report(ppm: float, loss: float) -> None:
    assert at_ppm("log1p", ppm) == pytest.approx(loss, rel=1e-3)


# the table of the third report, at a peptide of 1,200 Da (its 200 Da are 167,000 ppm)
@pytest.mark.parametrize(("error_da", "loss", "slope"), [(200, 0.98, 0.003), (100, 0.61, 0.005), (50, 0.35, 0.006)])
def test_log1p_flattens_where_the_error_is_large(error_da: float, loss: float, slope: float) -> None:
    error, mass = torch.tensor([float(error_da)], requires_grad=True), torch.tensor([1_200.0])
    value = losses.log1p(error, mass)
    (gradient,) = torch.autograd.grad(value, error)
    assert float(value.detach()) == pytest.approx(loss, abs=0.01)
    assert float(gradient) == pytest.approx(slope, abs=6e-4)


@pytest.mark.parametrize("error_da", [200.0, 100.0, 50.0, 10.0])
def test_l1_pulls_as_hard_at_every_error(error_da: float) -> None:
    error = torch.tensor([error_da], requires_grad=True)
    value = losses.l1(error, MASS)
    (gradient,) = torch.autograd.grad(value, error)
    assert float(value.detach()) == pytest.approx(0.004 * error_da)
    assert float(gradient) == pytest.approx(0.004)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_classes() -> None:
    batch = data.make_batch(0, 0, 4)
    logits = torch.zeros(4, data.MAX_RESIDUES + 1, data.CLASSES)
    assert float(losses.cross_entropy(logits, batch.targets)) == pytest.approx(math.log(data.CLASSES))


def test_a_model_that_knows_everything_pays_nothing() -> None:
    batch = data.make_batch(0, 0, 8, data.Noise(dropout=0.0, mz_sigma=0.0))
    logits = certain(batch)
    expected = losses.expected_masses(logits, data.residue_mass_table().float())
    assert float(losses.cross_entropy(logits, batch.targets)) == pytest.approx(0, abs=1e-6)
    assert losses.mass_error(expected, batch.mass).tolist() == pytest.approx([0] * 8, abs=1e-2)
    assert float(losses.nearest_peak_huber(expected, batch)) == pytest.approx(0, abs=1e-6)
    assert float(losses.token_accuracy(logits, batch.targets)) == 1.0


def test_what_comes_after_a_likely_end_weighs_little() -> None:
    logits = torch.zeros(1, data.MAX_RESIDUES + 1, data.CLASSES)
    residue_mass = data.residue_mass_table().float()
    whole = losses.expected_masses(logits, residue_mass)
    logits[0, 3, data.STOP] = 100.0
    ended = losses.expected_masses(logits, residue_mass)
    assert torch.equal(ended[0, :3], whole[0, :3])
    assert float(ended[0, 3:].sum()) == pytest.approx(0, abs=1e-6)


def test_huber_is_half_where_every_ion_is_one_corner_from_its_peak() -> None:
    batch = data.make_batch(0, 0, 1, data.Noise(dropout=1.0, mz_sigma=0.0, foreign_peaks=1))
    b, y = data.fragments(torch.full((1, data.MAX_RESIDUES + 1), 0.0))
    batch.mz[0, 0] = b[0, 0] + losses.HUBER_CORNER_DA
    to_y = float(batch.mz[0, 0] - y[0, 0]) / losses.HUBER_CORNER_DA
    want = (0.5 + 0.5 * to_y**2) / 2
    got = losses.nearest_peak_huber(torch.zeros(1, data.MAX_RESIDUES + 1), batch)
    assert float(got) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("variant", sorted(losses.PRECURSOR_LOSSES))
@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
def test_gradients_are_finite_for_unsure_and_for_certain_models(variant: str, scale: float) -> None:
    batch = data.make_batch(0, 0, 8)
    logits = (scale * torch.randn(8, data.MAX_RESIDUES + 1, data.CLASSES)).requires_grad_()
    expected = losses.expected_masses(logits, data.residue_mass_table().float())
    error_da = losses.mass_error(expected, batch.mass)
    total = losses.nearest_peak_huber(expected, batch) + losses.PRECURSOR_LOSSES[variant](error_da, batch.mass)
    (gradient,) = torch.autograd.grad(total + losses.cross_entropy(logits, batch.targets), logits)
    assert torch.isfinite(gradient).all()
