"""Which readings are hidden from the model, and what stands in their place: the report's ways, the bug included.

Rules of this file: masks are drawn on the CPU, from the generator of (seed, step), so that every device hides the same.
A draw knows no probability: that is decided when the batch is trained, because the curriculum may say it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..seeding import generator_of
from .data import MODES, Batch

HIDDEN_MODE = MODES  # a mode of its own
RARE, BERT = 1e-5, 0.15
FIRST, LAST = 0.05, 0.25  # of the progressive schedule
_MASKS = 1 << 41  # masks have random numbers of their own, not those of the data

Probability = Callable[[float], float]  # of the progress from 0 to 1


@dataclass(frozen=True)
class Draw:
    """The random numbers of one batch's mask, whatever its probability.

    chance: [2, B, T, F + 1], 0 to 1: whether it is hidden, and how. numeric: [B, T, F], mode: [B, T]: random values.
    """

    chance: Tensor
    numeric: Tensor
    mode: Tensor

    def to(self, device: torch.device) -> "Draw":
        """The same draw there."""
        return Draw(*(part.to(device) for part in vars(self).values()))


@dataclass(frozen=True)
class Masked:
    """What the model sees. hidden: [B, T, F + 1] bool, the last column the mode's; true where it has to be guessed.

    numeric, mode: as in the batch, replaced where hidden: 80 % by 0 and HIDDEN_MODE, 10 % by a random value, 10 % left
    as it is. flagged: [B, T, F] bool, the mask token: a sensor's value is hidden or was never there. rows, time: as in
    the batch. Nothing is hidden that is not there.
    """

    hidden: Tensor
    numeric: Tensor
    mode: Tensor
    flagged: Tensor
    rows: Tensor
    time: Tensor


@dataclass(frozen=True)
class Way:
    """How a variant masks: with which probability, and whether only hidden readings are paid for."""

    probability: Probability
    only_hidden: bool


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "unmasked": Way(lambda progress: RARE, only_hidden=False),
        "empty_mask": Way(lambda progress: RARE, only_hidden=True),
        "bert": Way(lambda progress: BERT, only_hidden=True),
        "progressive": Way(lambda progress: FIRST + (LAST - FIRST) * progress, only_hidden=True),
    }
)


def draw(batch: Batch, seed: int, step: int) -> Draw:
    """The random numbers of the mask of that step, on the CPU."""
    generator, (windows, rows, sensors) = generator_of(seed, _MASKS + step), batch.numeric.shape
    return Draw(
        torch.rand(2, windows, rows, sensors + 1, generator=generator),
        torch.randn(windows, rows, sensors, generator=generator),
        torch.randint(0, MODES, (windows, rows), generator=generator),
    )


def hide(batch: Batch, by: Draw, probability: float) -> Masked:
    """Hide each reading that exists with that probability; both lie on one device."""
    there = exists(batch)
    hidden = (by.chance[0] < probability) & there
    masked, replaced = hidden & (by.chance[1] < 0.8), hidden & (by.chance[1] >= 0.9)
    flagged = masked[..., :-1] | ~batch.measured
    numeric = torch.where(replaced[..., :-1], by.numeric, batch.numeric).masked_fill(flagged, 0.0)
    mode = torch.where(replaced[..., -1], by.mode, batch.mode).masked_fill(masked[..., -1], HIDDEN_MODE)
    return Masked(hidden, numeric, mode, flagged, batch.rows, batch.time)


def exists(batch: Batch) -> Tensor:
    """[B, T, F + 1] bool: the readings that were measured, and the mode of every row that is no padding."""
    return torch.cat([batch.measured, batch.rows[..., None]], dim=-1)
