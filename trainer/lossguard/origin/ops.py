"""What has to be known of an operator to judge its results: what it writes, reads first, or only allocates.

Rules of this file: from the operator's schema where that tells it, from a short list with its reason where it does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._ops import OpOverload

# Uninitialised memory comes out of these; it may look like anything.
FRESH = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "empty_quantized"}
# They change what a tensor is, not the values: to look at them would be to look at uninitialised memory.
QUIET = {"set_", "resize_", "resize_as_", "record_stream", "_resize_output_"}
# In place, but without regard to what stood there.
OVERWRITING = {
    "copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "exponential_", "random_", "log_normal_", "cauchy_",
    "geometric_",
}  # fmt: skip
# Write their running statistics (arguments 3 and 4), which their schema does not say.
BATCH_NORMS = {"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"}
# A constant that the user wrote down: torch.tensor(...).
CONSTANT = {"lift_fresh", "lift"}
# What they return beside their result is infinite by design: the log-sum-exp of masked rows, impossible alignments.
BY_PRODUCTS = ("attention", "ctc_loss")


@dataclass(frozen=True)
class Facts:
    """Of one operator. `changes`, `reads_first`: names of arguments."""

    label: str
    is_quiet: bool = False
    is_fresh: bool = False
    is_constant: bool = False
    has_by_products: bool = False
    positions: tuple[str, ...] = ()
    changes: frozenset[str] = frozenset()
    reads_first: frozenset[str] = frozenset()

    @classmethod
    def of(cls, op: object) -> "Facts":
        """Of an OpOverload, or of a higher-order operator, which has no schema."""
        if not isinstance(op, OpOverload):
            return cls(str(op))
        namespace, _, name = op._schema.name.partition("::")
        is_constant = name in CONSTANT
        # is_view: the result is the input's memory, which was judged when it was written
        is_quiet = (op.is_view and not is_constant) or name in QUIET
        changed = [arg for arg in op._schema.arguments if arg.alias_info is not None and arg.alias_info.is_write]
        # keyword-only and written: an `out`, whose earlier content no one reads
        read = {arg.name for arg in changed if not arg.kwarg_only and name not in OVERWRITING | QUIET}
        changes = {arg.name for arg in changed}
        positions = tuple(arg.name for arg in op._schema.arguments)
        if name in BATCH_NORMS:
            changes, read = changes | set(positions[3:5]), read | set(positions[3:5])
        return cls(
            f"{namespace}.{name}",
            is_quiet,
            name in FRESH,
            is_constant,
            any(part in name for part in BY_PRODUCTS),
            positions,
            frozenset(changes),
            frozenset(read),
        )

    def named(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments given, by name; by number where there is no schema."""
        names = self.positions or tuple(map(str, range(len(args))))
        return {**dict(zip(names, args, strict=False)), **kwargs}


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors of an argument or a result, which may be nested lists of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)


def numbers_in(value: object) -> Iterator[complex]:
    """The Python numbers of an argument."""
    if isinstance(value, float | complex):
        yield value
    elif isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        for each in value:
            yield from numbers_in(each)
