"""Which readings are hidden from the model, and what stands in their place: the report's ways, the bug included.

Rules of this file: masks are drawn on the CPU, from the generator of (seed, step), so that every device hides the same.
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
class Masked:
    """What the model sees. hidden: [B, T, F + 1] bool, the last column the mode's; true where it has to be guessed.

    numeric, mode: as in the batch, replaced where hidden: 80 % by 0 and HIDDEN_MODE, 10 % by a random value, 10 % left
    as it is. flagged: [B, T, F] bool, where a sensor's value is told to be missing.
    """

    hidden: Tensor
    numeric: Tensor
    mode: Tensor
    flagged: Tensor


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


def hide(batch: Batch, probability: float, seed: int, step: int) -> Masked:
    """Hide each reading with that probability."""
    generator, device = generator_of(seed, _MASKS + step), batch.numeric.device
    shape = (*batch.numeric.shape[:2], batch.numeric.shape[2] + 1)
    draw = torch.rand(2, *shape, generator=generator)
    random_value = torch.randn(batch.numeric.shape, generator=generator).to(device)
    random_mode = torch.randint(0, MODES, batch.mode.shape, generator=generator).to(device)
    hidden = draw[0] < probability
    masked, replaced = (hidden & (draw[1] < 0.8)).to(device), (hidden & (draw[1] >= 0.9)).to(device)
    flagged = masked[..., :-1]
    numeric = torch.where(replaced[..., :-1], random_value, batch.numeric).masked_fill(flagged, 0.0)
    mode = torch.where(replaced[..., -1], random_mode, batch.mode).masked_fill(masked[..., -1], HIDDEN_MODE)
    return Masked(hidden.to(device), numeric, mode, flagged)
