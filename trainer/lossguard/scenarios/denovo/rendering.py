"""The spectrum loss of reports 001 and 002: predicted ions and observed peaks drawn as Gaussians on a grid, 1 - cosine.

Rules of this file:
- The report's numbers without the report's tensor. Its drawing is [B, peaks, 20,000 bins], 768 MB for 96 spectra of 100
  peaks, and its backward pass keeps more than one of them. All that the cosine needs of it are inner products, and
  those of two drawn Gaussians have a closed form: with d = a - b and m = (a + b) / 2,

      sum over bins of g(x - a) g(x - b) = c exp(-d^2 / (4 sigma^2)) (1 + 2 sum_n q^(n^2) cos(2 pi n m / bin))

  where q = exp(-(pi sigma / bin)^2) (Poisson's summation formula) and c is common to all, so that the cosine loses it.
  It costs [B, (ions + peaks)^2] numbers, and no atomic addition: a GPU repeats it to the bit.
- What is different: a grid ends, this one does not. A peak within some sigma of 0 or of max_mz is here whole or absent;
  elsewhere both agree to float rounding (the tests hold them against each other).
- The sum over n is the grid's own doing: bins of 0.1 are too wide for a sigma of 0.05, so a peak's drawn norm is 19 %
  larger on a bin than between two. It is kept, because it is what the report trains with; narrower bins lose it.

What the report says of it and what was measured:
- "Bounded in [0, 2]": neither drawing has a negative value, so the cosine is within [0, 1] and so is the loss. A start
  "at about 1.5" is impossible.
- "Smooth gradients everywhere": smooth, but nowhere to be felt. One ion's pull on a peak falls as d exp(-(d / 0.1)^2):
  largest at 0.07 Da, six thousand million times less at 0.5 Da, in float32 exactly 0 from 1.05 Da on. With peptides
  100 Da off, four of five spectra (78 of 96) pull not at all and the others only where an ion meets a peak by chance;
  Huber's nearest peak pulls at any distance. Trained for 1,000 steps the loss stays above 0.94.
- "Gradient about 0.3, more stable, less risk of explosion": these chance meetings are steep. After 250 steps the norm
  of its raw gradient is 1.2 to 26 from batch to batch, 5.8 in the middle, where cross-entropy has 0.5 to 1.0 and Huber
  0.3 to 2.4; at the report's weight of 0.25 it outweighs cross-entropy, which its share of the loss does not show.
  The report's own setting, trained 1,000 steps, is told of by grad_norm_high and drift, and rightly. A larger sigma is
  the mend that helps, as the second report says: 0.5 gives 0.8 to 6.4, 2.0 gives 0.4 to 2.8 and no alert in 600 steps.
"""

import math

import torch
from torch import Tensor

from ...errors import ConfigError
from .data import Batch, fragments

SIGMA_DA, BIN_DA, MAX_MZ = 0.05, 0.1, 2_000.0
WIDEST_BIN_SIGMAS = 4.0  # half a bin is two sigma then; with wider bins a peak falls between two and is not drawn
NEGLIGIBLE = 1e-8  # below a float32's last digit


def gaussian_cosine(expected: Tensor, batch: Batch, sigma: float = SIGMA_DA, bin_size: float = BIN_DA) -> Tensor:
    """1 - cosine of the two drawings, the mean over the batch; 0-d, in [0, 1] up to rounding.

    expected [B, T + 1] in Da, whose b and y ions weigh 1 each as far as the true length has them; observed peaks weigh
    their intensity. Ions and peaks above MAX_MZ are not drawn; a spectrum without any peak costs 1 and pulls nowhere.
    """
    b, y = fragments(expected)
    ions = torch.cat([b, y], dim=1)
    exists = (torch.arange(1, expected.shape[1], device=expected.device) < batch.lengths[:, None]).repeat(1, 2)
    drawn = (exists & (ions < MAX_MZ)).to(ions.dtype)
    seen = batch.intensity * (batch.peak_mask & (batch.mz < MAX_MZ))
    overlap = inner(ions, drawn, batch.mz, seen, sigma, bin_size)
    size = inner(ions, drawn, ions, drawn, sigma, bin_size) * inner(batch.mz, seen, batch.mz, seen, sigma, bin_size)
    return (1 - overlap / size.clamp_min(NEGLIGIBLE).sqrt()).mean()


def inner(mz: Tensor, weight: Tensor, other_mz: Tensor, other_weight: Tensor, sigma: float, bin_size: float) -> Tensor:
    """The inner product [B] of two drawings on an endless grid, in units of a peak's own with itself.

    mz, weight: [B, P]; other_mz, other_weight: [B, Q]. m/z, sigma and bin_size in Da. A peak's own is 1, as the
    mean over where in a bin it lies.
    """
    alike = torch.exp(-(((mz[:, :, None] - other_mz[:, None, :]) / (2 * sigma)) ** 2))
    # cos(u + v) = cos u cos v - sin u sin v: the waves are of peaks, not of pairs
    cosines, sines = _waves(mz, weight, sigma, bin_size)
    other_cosines, other_sines = _waves(other_mz, other_weight, sigma, bin_size)
    return (cosines * (alike @ other_cosines)).sum((1, 2)) - (sines * (alike @ other_sines)).sum((1, 2))


def _waves(mz: Tensor, weight: Tensor, sigma: float, bin_size: float) -> tuple[Tensor, Tensor]:
    """Weighted cosines and sines [B, P, 1 + n] of half the phase of each peak on the grid; the first is of n = 0."""
    n = torch.arange(harmonics(sigma, bin_size) + 1, device=mz.device, dtype=mz.dtype)
    height = torch.exp(-((math.pi * sigma / bin_size * n) ** 2)) * torch.where(n > 0, 2, 1)
    phase = math.pi / bin_size * mz[..., None] * n
    scaled = weight[..., None] * height.sqrt()
    return scaled * torch.cos(phase), scaled * torch.sin(phase)


def harmonics(sigma: float, bin_size: float) -> int:
    """How many terms of the sum over n are not negligible: 2 for the report's grid, 0 for a fine one."""
    return int(bin_size / (math.pi * sigma) * math.sqrt(-math.log(NEGLIGIBLE)))


def check(sigma: float, bin_size: float) -> None:
    """Raise ConfigError for bins too wide to draw a peak in."""
    if bin_size > WIDEST_BIN_SIGMAS * sigma:
        raise ConfigError(
            f"bin_size is {bin_size:g}; with a sigma of {sigma:g} it must be {WIDEST_BIN_SIGMAS * sigma:g} or less, "
            "or peaks fall between the bins."
        )
