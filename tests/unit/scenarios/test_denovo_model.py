"""The model: shapes, causality, padding, and the modules that the groups are named after."""

from dataclasses import replace

import pytest
import torch

from lossguard.scenarios.denovo import data, train
from lossguard.scenarios.denovo.model import LONGEST_DA, SHORTEST_DA, MassEncoding, SpectrumReader


@pytest.fixture
def model() -> SpectrumReader:
    torch.manual_seed(0)
    return SpectrumReader()


def test_shapes_and_size(model: SpectrumReader) -> None:
    batch = data.make_batch(0, 0, 4)
    logits, features = model(batch)
    assert logits.shape == (4, data.MAX_RESIDUES + 1, data.CLASSES)
    assert features.shape == (*batch.mz.shape, 96)
    assert sum(p.numel() for p in model.parameters()) == 228_500
    assert [name for name, _ in model.named_children()] == ["encoder", "decoder", "head"]


def test_a_place_does_not_see_what_comes_after_it(model: SpectrumReader) -> None:
    batch = data.make_batch(0, 0, 4)
    other = batch.inputs.clone()
    other[:, 5:] = (other[:, 5:] + 1) % data.STOP
    before, _ = model(batch)
    after, _ = model(replace(batch, inputs=other))
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).any()


def test_padding_peaks_are_not_seen(model: SpectrumReader) -> None:
    batch = data.make_batch(0, 0, 4)
    garbage = batch.mz.masked_fill(~batch.peak_mask, 777.0)
    before, _ = model(batch)
    after, _ = model(replace(batch, mz=garbage))
    torch.testing.assert_close(after, before)


def test_the_mass_encoding_tells_apart_what_the_mz_error_does_not_blur() -> None:
    encode = MassEncoding(96)
    heavy = torch.tensor([1_300.64, 1_300.69])
    near, apart = encode(heavy)
    assert (near - apart).abs().max() > 0.5
    assert 10 * data.Noise().mz_sigma < SHORTEST_DA
    assert data.MAX_RESIDUES * float(data.residue_mass_table().max()) < LONGEST_DA


def test_the_feature_covariance_is_that_of_the_present_peaks(model: SpectrumReader) -> None:
    batch = data.make_batch(0, 0, 4)
    _, features = model(batch)
    want = torch.cov(features.detach()[batch.peak_mask].T, correction=0)
    got = train.feature_covariance(features, batch)
    assert not got.requires_grad
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
