"""Bodies that attract each other, integrated by the leapfrog: velocity Verlet, softened, in float64.

Rules of this file: pure; a batch of systems at once. G = 1, the star's mass is 1, lengths are about an astronomical
unit, so a year is 2 pi. Shapes: B systems, N bodies, three dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SOFTENING = 0.05  # far below the distance of two orbits; bounds the pull of a close encounter


@dataclass(frozen=True)
class Bodies:
    """mass: [B, N] float64. position, velocity: [B, N, 3] float64."""

    mass: Tensor
    position: Tensor
    velocity: Tensor


def accelerations(mass: Tensor, position: Tensor) -> Tensor:
    """[B, N, 3]: what every body feels of the others."""
    apart = position[:, None] - position[:, :, None]
    # of a body from itself the distance is the softening and the difference 0: it does not pull itself
    pull = mass[:, None, :] * (apart.square().sum(-1) + SOFTENING**2).pow(-1.5)
    return (pull[..., None] * apart).sum(2)


def trajectory(start: Bodies, rows: int, interval: float, substeps: int) -> Tensor:
    """[B, rows, N, 6] float64: position and velocity at times 0, interval, ...; `substeps` of the leapfrog between."""
    step, position, velocity = interval / substeps, start.position, start.velocity
    pull, seen = accelerations(start.mass, position), []
    for row in range(rows):
        seen.append(torch.cat([position, velocity], dim=-1))
        for _ in range(substeps if row < rows - 1 else 0):
            velocity = velocity + 0.5 * step * pull
            position = position + step * velocity
            pull = accelerations(start.mass, position)
            velocity = velocity + 0.5 * step * pull
    return torch.stack(seen, dim=1)


def energy(mass: Tensor, states: Tensor) -> Tensor:
    """[B, T] of states [B, T, N, 6]: kinetic and, softened, potential energy."""
    position, velocity = states[..., :3], states[..., 3:]
    kinetic = 0.5 * (mass[:, None] * velocity.square().sum(-1)).sum(-1)
    apart = (position[:, :, None] - position[:, :, :, None]).square().sum(-1)
    pairs = mass[:, None, :, None] * mass[:, None, None, :] / (apart + SOFTENING**2).sqrt()
    return kinetic - pairs.triu(1).sum((-2, -1))
