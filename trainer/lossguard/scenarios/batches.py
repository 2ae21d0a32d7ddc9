"""A training's batches, one for each step, made as they are asked for.

Rules of this file: what a batch is, its scenario says; nothing is kept of one that was given out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch


class Movable(Protocol):
    """A scenario's batch."""

    def to(self, device: torch.device) -> Self: ...


B = TypeVar("B", bound=Movable)


@dataclass(frozen=True)
class Batches(Generic[B]):
    """The training batches of steps 0 .. steps - 1 on `device`; iterating again starts again.

    `make`: the batch of a seed, a step and a batch size, the same one whenever it is asked.
    """

    make: Callable[[int, int, int], B]
    seed: int
    steps: int
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[B]:
        for step in range(self.steps):
            yield self.make(self.seed, step, self.batch_size).to(self.device)
