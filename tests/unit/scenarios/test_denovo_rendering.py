"""The drawn spectra without a grid, held against the report's own drawing on one; and its claims."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossguard.errors import ConfigError
from lossguard.scenarios.denovo import chemistry, data, losses, rendering
from lossguard.scenarios.denovo.rendering import BIN_DA, MAX_MZ, SIGMA_DA, gaussian_cosine, inner


def on_the_grid(expected: Tensor, batch: data.Batch, sigma: float, bin_size: float) -> Tensor:
    """As report 002 writes it: every peak in every bin. 20,000 bins of every peak, so for few spectra only."""
    grid = torch.arange(0, MAX_MZ, bin_size, dtype=expected.dtype)
    ions = torch.cat(data.fragments(expected), dim=1)
    exists = (torch.arange(1, expected.shape[1]) < batch.lengths[:, None]).repeat(1, 2)

    def drawn(mz: Tensor, height: Tensor) -> Tensor:
        return (torch.exp(-0.5 * ((grid - mz[..., None]) / sigma) ** 2) * height[..., None]).sum(1)

    observed = drawn(batch.mz, batch.intensity * batch.peak_mask)
    return (1 - torch.cosine_similarity(drawn(ions, exists.to(ions.dtype)), observed, dim=-1)).mean()


def spectra(size: int, dtype: torch.dtype = torch.float32, noise: data.Noise | None = None) -> data.Batch:
    batch = data.make_batch(0, 0, size, noise)
    return data.Batch(**{k: t.to(dtype) if t.is_floating_point() else t for k, t in vars(batch).items()})


def true_masses(batch: data.Batch) -> Tensor:
    """What a model that knows every peptide expects, [B, T + 1] in Da."""
    table = data.residue_mass_table().to(batch.mz.dtype)
    return table[batch.targets.masked_fill(batch.targets == data.IGNORED, data.STOP)]


def with_slope(loss: Tensor, at: Tensor) -> tuple[float, Tensor]:
    return float(loss.detach()), torch.autograd.grad(loss, at)[0]


# the report's grid; its two knobs for less memory and smoother peaks; a fine grid and wide peaks
@pytest.mark.parametrize(("sigma", "bin_size"), [(0.05, 0.1), (0.05, 0.2), (0.1, 0.1), (0.05, 0.05), (0.5, 0.1)])
@pytest.mark.parametrize("blur_da", [0.03, 0.3])
def test_it_is_the_drawing_on_the_grid_and_its_gradient(sigma: float, bin_size: float, blur_da: float) -> None:
    batch = spectra(2, torch.float64)
    generator = torch.Generator().manual_seed(1)
    blur = blur_da * torch.randn(2, data.MAX_RESIDUES + 1, generator=generator, dtype=torch.float64)
    expected = (true_masses(batch) + blur).requires_grad_()
    want, want_slope = with_slope(on_the_grid(expected, batch, sigma, bin_size), expected)
    got, slope = with_slope(gaussian_cosine(expected, batch, sigma, bin_size), expected)
    assert got == pytest.approx(want, abs=1e-9)
    torch.testing.assert_close(slope, want_slope, rtol=0, atol=1e-7)
    assert want_slope.abs().max() > 1e-3, "there is something to compare"


def test_in_float32_it_loses_less_than_a_ten_thousandth() -> None:
    exact, single = spectra(8, torch.float64), spectra(8)
    want = gaussian_cosine(true_masses(exact) + 0.03, replace(exact, mz=single.mz.double()))
    got = gaussian_cosine(true_masses(single) + 0.03, single)
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(float(want), abs=1e-4)


def test_bins_of_0_1_draw_a_peak_19_percent_larger_on_a_bin_than_between_two() -> None:
    mz, one = torch.tensor([[500.0], [500.05]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    on, between = inner(mz, one, mz, one, SIGMA_DA, BIN_DA).sqrt().tolist()
    assert on / between == pytest.approx(1.187, abs=1e-3)
    fine_on, fine_between = inner(mz, one, mz, one, SIGMA_DA, 0.02).sqrt().tolist()
    assert fine_on == pytest.approx(fine_between)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.floats(0.0, 300.0), st.floats(0.0, 1.0))
def test_the_loss_is_bounded_below_the_bound_of_the_report(seed: int, off_da: float, dropout: float) -> None:
    batch = data.make_batch(seed, 0, 4, data.Noise(dropout, 0.05, seed % 6))
    generator = torch.Generator().manual_seed(seed)
    expected = (true_masses(batch) + off_da * torch.randn(4, data.MAX_RESIDUES + 1, generator=generator)).abs()
    expected.requires_grad_()
    loss, slope = with_slope(gaussian_cosine(expected, batch), expected)
    # the report: in [0, 2]. Nothing drawn is negative, so 1 is the most: its "starts at about 1.5" cannot be
    assert -1e-6 <= loss <= 1 + 1e-6
    assert torch.isfinite(slope).all()


def test_a_model_that_knows_a_textbook_spectrum_pays_for_the_intensities_alone() -> None:
    batch = spectra(8, torch.float64, data.Noise(dropout=0.0, mz_sigma=0.0, foreign_peaks=0))
    level = replace(batch, intensity=batch.peak_mask.double())
    assert float(gaussian_cosine(true_masses(batch), level)) == pytest.approx(0, abs=1e-6)
    assert 0.01 < float(gaussian_cosine(true_masses(batch), batch)) < 0.3


def test_padding_and_ions_past_the_length_do_not_count() -> None:
    batch = spectra(8)
    expected = true_masses(batch)
    want = gaussian_cosine(expected, batch)
    padded = replace(
        batch,
        mz=batch.mz.masked_fill(~batch.peak_mask, 500.0),
        intensity=batch.intensity.masked_fill(~batch.peak_mask, 1.0),
    )
    assert torch.equal(gaussian_cosine(expected, padded), want)
    # past the length the y ions are those of no residue at all, at 19 Da: a peak there must find nobody
    water = replace(batch, mz=batch.mz.clone(), intensity=batch.intensity.clone())
    water.mz[:, 0], water.intensity[:, 0] = chemistry.WATER + chemistry.PROTON, 100.0
    short = batch.lengths < data.MAX_RESIDUES
    assert short.any()
    at = short.nonzero()[0]
    alone = replace(water, **{k: getattr(water, k)[at] for k in ("mz", "intensity", "peak_mask", "lengths")})
    assert float(gaussian_cosine(expected[at], alone)) > 0.95


def test_what_lies_above_2000_is_not_drawn() -> None:
    batch = spectra(2, torch.float64)
    expected = true_masses(batch)
    high = torch.full((2, 1), MAX_MZ + 50, dtype=torch.float64)
    more = replace(
        batch,
        mz=torch.cat([batch.mz, high], 1),
        intensity=torch.cat([batch.intensity, torch.ones_like(high)], 1),
        peak_mask=torch.cat([batch.peak_mask, torch.ones_like(high, dtype=torch.bool)], 1),
    )
    assert torch.equal(gaussian_cosine(expected, more), gaussian_cosine(expected, batch))


def test_a_spectrum_without_peaks_costs_1_and_pulls_nowhere() -> None:
    batch = data.make_batch(0, 0, 2, data.Noise(dropout=1.0, foreign_peaks=0))
    expected = true_masses(batch).requires_grad_()
    loss, slope = with_slope(gaussian_cosine(expected, batch), expected)
    assert loss == 1.0
    assert not slope.any()


# -- "smooth gradients everywhere" -----------------------------------------------------------------------------------


def pull(off_da: float) -> float:
    """The gradient, by Da, of one ion that far from the one peak; without the waves of the grid."""
    peak, one = torch.tensor([[500.0]]), torch.ones(1, 1)
    ion = torch.tensor([[500.0 + off_da]], requires_grad=True)
    own = inner(ion, one, ion, one, SIGMA_DA, 0.01) * inner(peak, one, peak, one, SIGMA_DA, 0.01)
    loss = 1 - inner(ion, one, peak, one, SIGMA_DA, 0.01) / own.sqrt()
    return float(torch.autograd.grad(loss.sum(), ion)[0])


def test_the_pull_of_a_peak_is_gone_one_da_away() -> None:
    assert pull(0.07) == pytest.approx(8.58, abs=0.01)
    assert pull(0.07) == max(pull(off / 100) for off in range(1, 50))
    assert pull(0.5) == pytest.approx(1.4e-9, rel=0.02)
    assert [pull(off) for off in (1.05, 2.0, 100.0, 200.0)] == [0.0] * 4


def test_a_model_100_da_off_is_pulled_by_huber_and_by_drawn_spectra_almost_never() -> None:
    batch = data.make_batch(0, 0, 96)
    there = torch.arange(data.MAX_RESIDUES + 1) < batch.lengths[:, None]
    expected = (true_masses(batch) + there * 100 / batch.lengths[:, None]).requires_grad_()
    loss, drawn = with_slope(gaussian_cosine(expected, batch), expected)
    _, nearest = with_slope(losses.nearest_peak_huber(expected, batch), expected)
    assert loss > 0.99
    assert (drawn.norm(dim=1) < 1e-8).float().mean() > 0.75
    assert (nearest.norm(dim=1) > 1e-5).all()


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_the_tensor_of_the_report_is_768_mb_and_this_one_6() -> None:
    spectra_, peaks, bins, bytes_each = 96, 100, round(MAX_MZ / BIN_DA), 4
    assert bins == 20_000
    assert spectra_ * peaks * bins * bytes_each == 768_000_000
    assert peaks * bins * bytes_each == 8_000_000, "a spectrum's"
    pairs = (peaks + 2 * data.MAX_RESIDUES) ** 2
    assert spectra_ * pairs * bytes_each < 6_000_000


def test_bins_too_wide_to_draw_in_are_refused() -> None:
    assert (rendering.harmonics(0.05, 0.1), rendering.harmonics(0.05, 0.2), rendering.harmonics(0.5, 0.1)) == (2, 5, 0)
    rendering.check(0.05, 0.2)
    with pytest.raises(ConfigError, match=r"bin_size is 0.21; with a sigma of 0.05 it must be 0.2 or less"):
        rendering.check(0.05, 0.21)
