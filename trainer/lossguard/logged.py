"""What of the values that a user logs is a number, and under which names.

Rules of this file: what is no number is left out, and said once a name; nothing is raised for it.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .protocol import names

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("lossguard")

NAMES_COMPLAINED_MAX = 1_000
LAYOUTS_MAX = 10_000  # names made up each step would grow it for ever


class Logged:
    """Sorts what run.log is given."""

    def __init__(self) -> None:
        self._good: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._left_out: set[str] = set()

    def sorted(self, values: "Mapping[str, Any]") -> "tuple[dict[str, float], dict[str, Tensor]]":
        """(numbers, tensors of one element, 0-d) by name."""
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        return numbers, {} if len(numbers) == len(values) else self._sort_out(values, numbers)

    def named(self, numbers: Mapping[str, float]) -> tuple[tuple[str, ...], list[float]]:
        """The names that can be one, and their numbers."""
        given = tuple(numbers)
        good = self._good.get(given)
        if good is None:
            good = self._good[given] = tuple(name for name in given if not names.fault_in(name))
            if len(self._good) > LAYOUTS_MAX:
                self._good.clear()
        return good, [numbers[name] for name in good]

    def _sort_out(self, values: "Mapping[str, Any]", numbers: dict[str, float]) -> "dict[str, Tensor]":
        """Completes `numbers`, returns the tensors, and says once a name what is neither."""
        tensors: dict[str, Tensor] = {}
        for name, value in values.items():
            if isinstance(value, float):
                continue
            try:
                if isinstance(value, int):
                    numbers[name] = float(value)
                elif names.fault_in(name) is None:
                    tensors[name] = _one_number(value)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                if name not in self._left_out and len(self._left_out) < NAMES_COMPLAINED_MAX:
                    self._left_out.add(name)
                    log.warning("lossguard: run.log leaves out %r: a %s is not one number.", name, type(value).__name__)
        return tensors


def _one_number(value: Any) -> "Tensor":
    import torch

    tensor = torch.as_tensor(value)
    if tensor.numel() != 1:
        raise ValueError(f"it has the shape {list(tensor.shape)}")
    return tensor.detach().reshape(())
