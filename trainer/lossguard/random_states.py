"""The random states of the process, as one thing that can be taken and put back.

Rules of this file: torch (CPU, and each CUDA device whose generator exists), NumPy's global generator, Python's random.
Generators that a user made are the user's own. Taking the states draws nothing and waits for no device: a CUDA
generator's state is a seed and an offset on the host.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomStates:
    """The states at one moment. `cuda` by device index."""

    python: Any
    numpy: Any
    cpu: Tensor
    cuda: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def take(cls) -> "RandomStates":
        """The states now."""
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), _cuda_states())

    def put_back(self) -> None:
        """Make these the states of the process again."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        for index, state in self.cuda.items():
            torch.cuda.set_rng_state(state, index)

    def as_hex(self) -> dict[str, str]:
        """torch's states in hexadecimal, by generator: what a person needs to repeat a step."""
        states = {"cpu": self.cpu, **{f"cuda:{index}": state for index, state in self.cuda.items()}}
        return {name: bytes(state.numpy()).hex() for name, state in states.items()}


def _cuda_states() -> dict[int, Tensor]:
    if not torch.cuda.is_initialized():
        return {}
    return {index: torch.cuda.get_rng_state(index) for index in range(torch.cuda.device_count())}
