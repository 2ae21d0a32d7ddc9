"""Rows of an industrial plant's sensors, standardised, with a few extreme readings, and its mode of operation.

Rules of this file:
- A batch is a pure function of (seed, step, batch size), made on the CPU from one generator of its own.
- Shapes: B windows, T = ROWS rows, F = SENSORS numeric columns.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..seeding import FIRST_VALIDATION_STEP, generator_of

ROWS = 128
SENSORS = 8
MODES = 6
WAVES = 3  # slow processes of the plant that all sensors see
EXTREME_PART, EXTREME_SIGMA = 2e-3, 6.0  # what standardising leaves of an industrial sensor's outliers


@dataclass(frozen=True)
class Batch:
    """numeric: [B, T, F] float32, about 0 and 1 wide. mode: [B, T] int64, 0 to MODES - 1."""

    numeric: Tensor
    mode: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch there."""
        return Batch(self.numeric.to(device), self.mode.to(device))


@cache
def mixing() -> Tensor:
    """[WAVES, F]: how much each sensor sees of each process; the same plant for every run."""
    mix = torch.randn(WAVES, SENSORS, generator=torch.Generator().manual_seed(1024))
    return mix / mix.square().sum(0).sqrt()


def make_batch(seed: int, step: int, batch_size: int) -> Batch:
    """The windows of one step; raises ValueError for a negative seed or step, or an empty batch."""
    if seed < 0 or step < 0 or batch_size < 1:
        raise ValueError(f"seed and step are 0 or more and a batch has a window, got {seed}, {step}, {batch_size}")
    generator = generator_of(seed, step)
    period = 16 + 112 * torch.rand(batch_size, 1, WAVES, generator=generator)
    phase = 2 * math.pi * torch.rand(batch_size, 1, WAVES, generator=generator)
    row = torch.arange(ROWS)[None, :, None]
    waves = math.sqrt(2) * torch.sin(2 * math.pi * row / period + phase)
    noise = torch.randn(batch_size, ROWS, SENSORS, generator=generator)
    extreme = torch.rand(noise.shape, generator=generator) < EXTREME_PART
    readings = 0.95 * waves @ mixing() + 0.3 * noise * torch.where(extreme, EXTREME_SIGMA / 0.3, 1.0)
    # the mode follows two of the processes, so that the sensors tell of it
    mode = 3 * (waves[..., 0] > 0) + (waves[..., 1] > -0.6).long() + (waves[..., 1] > 0.6)
    return Batch(readings, mode)


def validation_batch(seed: int, batch_size: int, device: torch.device) -> Batch:
    """Windows that the training with the same seed never sees."""
    return make_batch(seed, FIRST_VALIDATION_STEP, batch_size).to(device)
