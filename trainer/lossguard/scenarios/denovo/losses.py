"""The three losses of the reports: cross-entropy, spectrum and precursor, the latter two in their variants.

Rules of this file: each loss is one 0-d tensor, the mean over its batch; the formulas are the reports' own, bug
included, and nothing is clamped that they did not clamp. Shapes: B spectra, P peaks, T = MAX_RESIDUES residues. The
spectrum loss that draws Gaussians is rendering.py.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from .chemistry import WATER
from .data import IGNORED, STOP, Batch, fragments

PPM = 1e6
HUBER_CORNER_DA = 20.0  # a model early in training is about that far off, so the raw loss is about 0.5
L1_PER_DA = 0.004

PrecursorLoss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over residues and stops, nats. logits [B, T + 1, CLASSES], targets [B, T + 1] with IGNORED."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def token_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """The share of residues and stops whose most likely class is the true one, 0-d."""
    counted = targets != IGNORED
    return ((logits.argmax(-1) == targets) & counted).sum() / counted.sum()


def expected_masses(logits: Tensor, residue_mass: Tensor) -> Tensor:
    """The mass in Da that the model expects at each place, [B, T + 1].

    A place counts as much as it is likely that the peptide has not ended before it: the model must know the length.
    """
    probabilities = logits.softmax(-1)
    goes_on = 1 - probabilities[..., STOP]
    reached = torch.cat([torch.ones_like(goes_on[:, :1]), goes_on[:, :-1].cumprod(1)], dim=1)
    return reached * (probabilities @ residue_mass)


def mass_error(expected: Tensor, true_mass: Tensor) -> Tensor:
    """|expected - true| peptide mass in Da, [B]."""
    return (expected.sum(1) + WATER - true_mass).abs()


def log1p_x100(error_da: Tensor, true_mass: Tensor) -> Tensor:
    """The bug of report 000: 170,000 ppm come out as 744."""
    ppm = error_da / true_mass * PPM
    return (torch.log1p(ppm / 100.0) * 100.0).mean()


def log1p(error_da: Tensor, true_mass: Tensor) -> Tensor:
    """The mend of report 000: 170,000 ppm come out as 1.0."""
    ppm = error_da / true_mass * PPM
    return torch.log1p(ppm / 100_000.0).mean()


def l1(error_da: Tensor, true_mass: Tensor, scale_factor: float = L1_PER_DA) -> Tensor:
    """The mend of reports 001 and 002: 0.004 a Da, the same gradient at every error."""
    return (error_da * scale_factor).mean()


PRECURSOR_LOSSES: Mapping[str, PrecursorLoss] = MappingProxyType({"log1p_x100": log1p_x100, "log1p": log1p, "l1": l1})


def precursor_loss(variant: str, scale_factor: float = L1_PER_DA) -> PrecursorLoss:
    """That of the variant; only `l1` has a scale factor, a Da."""
    return partial(l1, scale_factor=scale_factor) if variant == "l1" else PRECURSOR_LOSSES[variant]


def nearest_peak_huber(expected: Tensor, batch: Batch) -> Tensor:
    """How far the fragments of the expected residues are from the nearest peak seen.

    Huber of the distance in units of HUBER_CORNER_DA: one unit off costs 0.5, a mean over the ions that the true length
    has. expected [B, T + 1] in Da. Its min has no gradient but at the one nearest peak, as the reports say.
    """
    b, y = fragments(expected)
    ions = torch.cat([b, y], dim=1)
    distance = (ions[:, :, None] - batch.mz[:, None, :]).abs()
    nearest = distance.masked_fill(~batch.peak_mask[:, None, :], torch.inf).amin(-1)
    exists = (torch.arange(1, expected.shape[1], device=expected.device) < batch.lengths[:, None]).repeat(1, 2)
    # a masked mean, not an index by a mask: the latter would wait for the device to learn its size
    cost = F.huber_loss(nearest / HUBER_CORNER_DA, torch.zeros_like(nearest), reduction="none", delta=1.0)
    return (cost * exists).sum() / exists.sum()
