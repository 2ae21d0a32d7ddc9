"""Synthetic fragment spectra of random peptides, made on the fly and the same for the same seed and step.

Rules of this file:
- A batch is a pure function of (seed, step, batch size, noise): one torch.Generator of its own, nothing global.
- Spectra are made on the CPU in float64 and handed over in float32, so that every device trains on the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..seeding import FIRST_VALIDATION_STEP, generator_of
from . import chemistry

MIN_RESIDUES, MAX_RESIDUES = 7, 11
STOP = len(chemistry.RESIDUES)  # a class of its own: the model must say where the peptide ends
START = STOP + 1  # input only
CLASSES = STOP + 1
IGNORED = -100  # what torch's cross_entropy skips
MIN_MZ = 50.0


@dataclass(frozen=True)
class Noise:
    """How far a spectrum is from the textbook: lost ions (a probability), m/z error (Da, one sigma), foreign peaks."""

    dropout: float = 0.15
    mz_sigma: float = 0.01
    foreign_peaks: int = 8


# What a model is validated on, beside the noise that it is trained with: most ions there and few foreign peaks; and two
# of five ions lost, more foreign peaks than ions.
VALIDATED: Mapping[str, Noise] = MappingProxyType(
    {"easy": Noise(dropout=0.05, foreign_peaks=4), "hard": Noise(dropout=0.40, foreign_peaks=24)}
)


@dataclass(frozen=True)
class Batch:
    """B spectra of P peaks (padded) and their peptides of up to T = MAX_RESIDUES residues.

    mz, intensity: [B, P] float32, Da and 0..1. peak_mask: [B, P] bool, true where there is a peak. mass: [B] float32,
    neutral precursor mass in Da. inputs: [B, T + 1] int64, START and the residues. targets: [B, T + 1] int64, the
    residues and STOP, then IGNORED. lengths: [B] int64.
    """

    mz: Tensor
    intensity: Tensor
    peak_mask: Tensor
    mass: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch there; on the way to CUDA through pinned memory, so that nobody waits."""
        if device.type == "cuda":
            return Batch(**{name: t.pin_memory().to(device, non_blocking=True) for name, t in vars(self).items()})
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def residue_mass_table() -> Tensor:
    """[CLASSES] float64, Da; STOP weighs nothing."""
    return torch.tensor([chemistry.RESIDUE_MASS[r] for r in chemistry.RESIDUES] + [0.0], dtype=torch.float64)


def make_batch(seed: int, step: int, batch_size: int, noise: Noise | None = None) -> Batch:
    """The batch of one step; raises ValueError for a negative seed or step, or an empty batch."""
    if seed < 0 or step < 0 or batch_size < 1:
        raise ValueError(f"seed and step are 0 or more and a batch has a spectrum, got {seed}, {step}, {batch_size}")
    noise = noise or Noise()
    generator = generator_of(seed, step)
    lengths = torch.randint(MIN_RESIDUES, MAX_RESIDUES + 1, (batch_size,), generator=generator)
    residues = torch.randint(0, STOP, (batch_size, MAX_RESIDUES), generator=generator)
    position = torch.arange(MAX_RESIDUES)
    masses = residue_mass_table()[residues] * (position < lengths[:, None])
    mz, intensity, peak_mask = _spectrum(masses, lengths, noise, generator)
    inputs, targets = _sequences(residues, lengths)
    mass = masses.sum(1) + chemistry.WATER
    return Batch(mz.float(), intensity.float(), peak_mask, mass.float(), inputs, targets, lengths)


def _sequences(residues: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    size = (residues.shape[0], MAX_RESIDUES + 1)
    position = torch.arange(MAX_RESIDUES + 1)
    inputs = torch.full(size, START)
    inputs[:, 1:] = residues
    inputs = inputs.masked_fill(position > lengths[:, None], STOP)
    targets = torch.full(size, STOP)
    targets[:, :-1] = residues
    targets = targets.masked_fill(position == lengths[:, None], STOP)
    return inputs, targets.masked_fill(position > lengths[:, None], IGNORED)


def fragments(masses: Tensor) -> tuple[Tensor, Tensor]:
    """m/z [.., T - 1] of b1.. and of the y ions that complete them; masses [.., T] in Da, 0 past the end."""
    prefix = masses.cumsum(-1)
    b = prefix[..., :-1] + chemistry.PROTON
    y = prefix[..., -1:] - prefix[..., :-1] + chemistry.WATER + chemistry.PROTON
    return b, y


def _spectrum(
    masses: Tensor, lengths: Tensor, noise: Noise, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    size = masses.shape[0]
    ions = torch.cat(fragments(masses), dim=1)
    exists = (torch.arange(1, MAX_RESIDUES) < lengths[:, None]).repeat(1, 2)
    seen = exists & (torch.rand(ions.shape, generator=generator) >= noise.dropout)
    ions = ions + noise.mz_sigma * torch.randn(ions.shape, generator=generator, dtype=torch.float64)
    # y ions are the stronger series in collision spectra; a log-normal spread of the heights
    height = torch.exp(0.5 * torch.randn(ions.shape, generator=generator, dtype=torch.float64))
    height[:, : MAX_RESIDUES - 1] *= 0.6
    foreign_shape = (size, noise.foreign_peaks)
    top = masses.sum(1, keepdim=True)
    foreign = MIN_MZ + torch.rand(foreign_shape, generator=generator, dtype=torch.float64) * (top - MIN_MZ)
    foreign_height = 0.3 * torch.exp(0.5 * torch.randn(foreign_shape, generator=generator, dtype=torch.float64))
    mz = torch.cat([ions, foreign], dim=1)
    intensity = torch.cat([height, foreign_height], dim=1)
    mask = torch.cat([seen, torch.ones(foreign_shape, dtype=torch.bool)], dim=1)
    return _sorted_by_mz(mz, intensity, mask)


def _sorted_by_mz(mz: Tensor, intensity: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    order = torch.where(mask, mz, torch.inf).argsort(dim=1, stable=True)
    mask = mask.gather(1, order)
    mz = mz.gather(1, order) * mask
    intensity = intensity.gather(1, order) * mask
    return mz, intensity / intensity.amax(1, keepdim=True).clamp_min(1e-12), mask


def validation_batch(seed: int, batch_size: int, device: torch.device, noise: Noise | None = None) -> Batch:
    """Spectra that the training with the same seed never sees; of the same peptides, whatever the noise."""
    return make_batch(seed, FIRST_VALIDATION_STEP, batch_size, noise).to(device)
