"""Rows of planetary systems, each with an initial state of its own.

Rules of this file:
- A batch is a pure function of (seed, step, batch size, rows), made on the CPU from one generator of its own.
- No scaling: the columns are the positions and velocities as they are, as the report has it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..seeding import FIRST_VALIDATION_STEP, generator_of
from .gravity import SOFTENING, Bodies, trajectory

ROWS, LARGE_ROWS = 64, 256
BODIES = 4  # a star and three planets
COLUMNS = 6 * BODIES
INTERVAL, SUBSTEPS = 0.1, 4  # 22 rows, 89 steps of the leapfrog, in the shortest year
RADII = ((0.5, 0.75), (1.0, 1.3), (1.8, 2.3))
LIGHTEST, HEAVIEST = 1e-4, 3e-3  # planets; Jupiter has 1e-3 of the sun's mass
ODD, TILT = 0.05, 0.1  # of the circular speed: how far it may be off, and how much of it leaves the plane


@dataclass(frozen=True)
class Batch:
    """rows: [B, T, COLUMNS] float32, body by body x, y, z and the velocity; 0 in the padding at the end.

    present: [B, T] bool, false in the padding.
    """

    rows: Tensor
    present: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch there."""
        return Batch(self.rows.to(device), self.present.to(device))


def systems(generator: torch.Generator, count: int) -> Bodies:
    """So many systems, each about its centre of mass and at rest."""

    def uniform(low: float | Tensor, high: float | Tensor) -> Tensor:
        return low + (high - low) * torch.rand(count, BODIES - 1, generator=generator, dtype=torch.float64)

    nearest, farthest = torch.tensor(RADII, dtype=torch.float64).T
    mass = LIGHTEST * (HEAVIEST / LIGHTEST) ** uniform(0.0, 1.0)
    radius, angle = uniform(nearest, farthest), uniform(0.0, 2 * math.pi)
    circular = radius * (radius.square() + SOFTENING**2).pow(-0.75)
    speed, rise = circular * uniform(1 - ODD, 1 + ODD), circular * uniform(-TILT, TILT)
    position = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.zeros_like(radius)], dim=-1)
    velocity = torch.stack([-speed * angle.sin(), speed * angle.cos(), rise], dim=-1)
    star = torch.zeros(count, 1, 3, dtype=torch.float64)
    mass = torch.cat([torch.ones(count, 1, dtype=torch.float64), mass], dim=1)
    return Bodies(mass, *(_centred(mass, torch.cat([star, part], dim=1)) for part in (position, velocity)))


def _centred(mass: Tensor, of: Tensor) -> Tensor:
    part = (mass / mass.sum(1, keepdim=True))[..., None]
    return of - (part * of).sum(1, keepdim=True)


def make_batch(seed: int, step: int, batch_size: int, rows: int = ROWS) -> Batch:
    """The systems of one step; raises ValueError for a negative seed or step, an empty batch, or fewer than 4 rows."""
    if seed < 0 or step < 0 or batch_size < 1 or rows < 4:
        raise ValueError(f"seed and step are 0 or more and a batch has rows, got {seed}, {step}, {batch_size}, {rows}")
    generator = generator_of(seed, step)
    states = trajectory(systems(generator, batch_size), rows, INTERVAL, SUBSTEPS)
    length = torch.randint(rows // 2, rows + 1, (batch_size, 1), generator=generator)
    present = torch.arange(rows) < length
    return Batch(states.flatten(2).float().where(present[..., None], 0.0), present)


def validation_batch(seed: int, batch_size: int, device: torch.device, rows: int = ROWS) -> Batch:
    """Systems that the training with the same seed never sees."""
    return make_batch(seed, FIRST_VALIDATION_STEP, batch_size, rows).to(device)
