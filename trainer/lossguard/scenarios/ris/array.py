"""What a reconfigurable surface of 12 x 12 elements hears of five sources: geometry, snapshots, least squares.

Rules of this file:
- A batch is a pure function of (seed, step, batch size), made on the CPU. Angles in radians, ranges in m.
- Shapes: B scenes, K = SOURCES, L = SNAPSHOTS, P = CODES, N = ELEMENTS; complex64.
- The amplitudes that the least squares find are as small as a path through a surface makes them, about 10^-3, as the
  report says of its own; nothing else here is scaled to make the incident.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..seeding import FIRST_VALIDATION_STEP, generator_of

SIDE = 12
ELEMENTS = SIDE * SIDE
SOURCES = 5
SNAPSHOTS = 16
CODES = 192  # phase settings of the surface that are tried; more than elements, so that least squares is determined
WAVELENGTH_M = 0.1  # 3 GHz: up to 14 m the wave front is curved enough for a range to be seen
AZIMUTH_MAX, ELEVATION_MAX = math.pi / 3, math.pi / 6
RANGE_MIN_M, RANGE_MAX_M = 1.0, 10.0
GAIN = 1.5e-3  # amplitude of what reaches the receiver by way of one element
NOISE = 1.35e-2  # of one measurement; 2.5 dB below the signal, whose 144 paths add up to 18e-3


@dataclass(frozen=True)
class Batch:
    """amplitudes: [B, L, N], by least squares. covariance: [B, N, N], the true one, its trace N.

    angles: [B, K, 2], azimuth and elevation; ranges: [B, K]; the sources in the order of their azimuth.
    """

    amplitudes: Tensor
    covariance: Tensor
    angles: Tensor
    ranges: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch there."""
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@cache
def element_places() -> Tensor:
    """[N, 2] float32, m: half a wavelength apart, about the middle."""
    line = (torch.arange(SIDE) - (SIDE - 1) / 2) * WAVELENGTH_M / 2
    return torch.cartesian_prod(line, line)


@cache
def codes() -> Tensor:
    """[P, N]: the phase settings, the same for every run."""
    phases = torch.rand(CODES, ELEMENTS, generator=torch.Generator().manual_seed(144))
    return torch.polar(torch.ones_like(phases), 2 * math.pi * phases)


@cache
def least_squares() -> Tensor:
    """[N, P]: from measurements to amplitudes."""
    inverse: Tensor = torch.linalg.pinv(codes())
    return inverse


def steering(angles: Tensor, ranges: Tensor) -> Tensor:
    """[..., N]: phases of a wave from `angles` [..., 2] and `ranges` [...], to second order in the aperture."""
    azimuth, elevation = angles.unbind(-1)
    towards = torch.stack([azimuth.sin() * elevation.cos(), elevation.sin()], dim=-1)
    places = element_places()
    along = towards @ places.T
    path = along - (places.square().sum(-1) - along.square()) / (2 * ranges[..., None])
    return torch.polar(torch.ones_like(path), 2 * math.pi / WAVELENGTH_M * path)


def make_batch(seed: int, step: int, batch_size: int) -> Batch:
    """The scenes of one step; raises ValueError for a negative seed or step, or an empty batch."""
    if seed < 0 or step < 0 or batch_size < 1:
        raise ValueError(f"seed and step are 0 or more and a batch has a scene, got {seed}, {step}, {batch_size}")
    generator = generator_of(seed, step)
    uniform = torch.rand(batch_size, SOURCES, 3, generator=generator)
    spans = torch.tensor([2 * AZIMUTH_MAX, 2 * ELEVATION_MAX])
    angles = (uniform[..., :2] - 0.5) * spans
    order = angles[..., 0].argsort(dim=1)
    angles = angles.gather(1, order[..., None].expand(-1, -1, 2))
    ranges = RANGE_MIN_M + uniform[..., 2] * (RANGE_MAX_M - RANGE_MIN_M)
    waves = steering(angles, ranges)
    covariance = waves.mH @ waves / SOURCES
    return Batch(_measured(waves, generator), covariance, angles, ranges)


def _measured(waves: Tensor, generator: torch.Generator) -> Tensor:
    """[B, L, N]: what least squares makes of the noisy measurements of L snapshots under all codes."""
    size = waves.shape[0]
    signals = torch.randn(size, SNAPSHOTS, SOURCES, dtype=torch.complex64, generator=generator)
    heard = GAIN / math.sqrt(SOURCES) * (signals @ waves) @ codes().T
    noise = NOISE * torch.randn(heard.shape, dtype=torch.complex64, generator=generator)
    return (heard + noise) @ least_squares().T


def validation_batch(seed: int, batch_size: int, device: torch.device) -> Batch:
    """Scenes that the training with the same seed never sees."""
    return make_batch(seed, FIRST_VALIDATION_STEP, batch_size).to(device)
