"""What of the values that a user logs is a number, and of what a user watches a matrix or a mask; and their names.

Rules of this file: what is none is left out, and said once a name; nothing is raised for it, and nothing else is lost.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from .protocol import names

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("lossguard")

NAMES_COMPLAINED_MAX = 1_000
NAME_CHARS = 200  # of a name in a warning
LAYOUTS_MAX = 10_000  # names made up each step would grow it for ever


class Logged:
    """Sorts what run.log is given."""

    def __init__(self) -> None:
        self._good: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._left_out = LeftOut("run.log")

    def step(self, given: object, values: "Mapping[str, Any]") -> int | None:
        """The step that `values` are given for; None where it is no number, so that nobody knows where they belong."""
        try:
            return int(given)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError, RuntimeError, OverflowError):
            for name in values:
                self._left_out.say(name, f"its step, a {type(given).__name__}, is no whole number")
            return None

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
                self._left_out.say(name, f"a {type(value).__name__} is not one number")
        return tensors


class Watched:
    """Tells what run.matrix and run.count can measure from what would fail in them, each time anew."""

    def __init__(self) -> None:
        self._matrices, self._masks = LeftOut("run.matrix"), LeftOut("run.count")
        self._good: set[str] = set()

    def is_matrix(self, name: object, given: object) -> bool:
        """[N,N] or [B,N,N] under a name that can be one."""
        from torch import Tensor, strided

        if not isinstance(given, Tensor):
            return self._matrices.say(name, f"a {type(given).__name__} is no tensor")
        shape = given.shape
        if given.layout is not strided or len(shape) not in (2, 3) or shape[-1] != shape[-2] or not given.numel():
            return self._matrices.say(name, f"a matrix is dense, [N,N] or [B,N,N]; this one is {list(shape)}")
        return self._is_good(name, self._matrices)

    def is_mask(self, name: object, given: object) -> bool:
        """A tensor, of any shape, under a name that can be one."""
        from torch import Tensor

        if not isinstance(given, Tensor):
            return self._masks.say(name, f"a {type(given).__name__} is no tensor")
        return self._is_good(name, self._masks)

    def _is_good(self, name: object, left_out: "LeftOut") -> bool:
        if isinstance(name, str) and name in self._good:
            return True
        if (fault := names.fault_in(name)) is not None:
            return left_out.say(name, f"{fault}, so it can be no name")
        if len(self._good) > LAYOUTS_MAX:
            self._good.clear()
        self._good.add(str(name))
        return True


class LeftOut:
    """Says once a name that, and why, it is left out."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._said: set[str] = set()

    def say(self, name: object, why: str) -> Literal[False]:
        """False: it is not taken."""
        key = name if isinstance(name, str) else repr(name)[:NAME_CHARS]
        if key not in self._said and len(self._said) < NAMES_COMPLAINED_MAX:
            self._said.add(key)
            log.warning("lossguard: %s leaves out %r: %s.", self._where, key[:NAME_CHARS], why)
        return False


def _one_number(value: Any) -> "Tensor":
    import torch

    tensor = torch.as_tensor(value)
    if tensor.numel() != 1:
        raise ValueError(f"it has the shape {list(tensor.shape)}")
    return tensor.detach().reshape(())
