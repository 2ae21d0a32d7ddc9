"""The birth of a non-finite value, and which memory holds what came of it.

Rules of this file: a storage is known by its address, and held weakly while it is known, so that the address cannot
come to mean another one; its memory is freed as ever. A taint says whose child a non-finite value is, never that there
is one: who asks has seen it in the tensor.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

SPANS_MAX = 256  # of one storage; a buffer that is filled row by row must not make the search long


@dataclass(frozen=True)
class Birth:
    """Where a non-finite value came from.

    op: "aten.log", or "input" where the value was there before the step. phase: "forward" or "backward". module: path
    in the model, empty outside of it (loss code). where: "losses.py:42 in spectrum", "parameter encoder.weight", or
    empty. value: "nan" or "inf", as it was born. backward_of: for a backward op, the forward op whose gradient it is.
    """

    op: str
    phase: str
    module: str
    where: str
    value: str
    backward_of: str = ""


@dataclass(frozen=True)
class Taint:
    """Whose child a value is.

    is_meant: somebody wrote it down (masked_fill with -inf, a mask in a buffer), so it is told only if it reaches the
    loss itself, and a NaN made of it is a birth. is_unwritten: the memory was allocated and no torch op wrote it since.
    """

    birth: Birth
    is_meant: bool = False
    is_unwritten: bool = False


@dataclass(frozen=True)
class Span:
    """The bytes of a storage from the first element of a tensor to the end of its last."""

    start: int
    end: int
    is_dense: bool  # every byte between belongs to the tensor

    @classmethod
    def of(cls, part: Tensor) -> "Span":
        size = part.element_size()
        start = int(part.storage_offset()) * size
        reach = sum((int(n) - 1) * int(stride) for n, stride in zip(part.shape, part.stride(), strict=True))
        end = start + (reach + 1) * size
        return cls(start, end, end - start == part.numel() * size)

    def holds(self, other: "Span") -> bool:
        return self.is_dense and self.start <= other.start and other.end <= self.end

    def overlaps(self, other: "Span") -> bool:
        return self.start < other.end and other.start < self.end


def share_memory(one: Tensor, other: Tensor) -> bool:
    """True when some bytes of the two may be the same."""
    same = one.untyped_storage()._cdata == other.untyped_storage()._cdata
    return same and Span.of(one).overlaps(Span.of(other))


class Taints:
    """The taints of all memory that was written non-finite."""

    def __init__(self) -> None:
        self._spans: dict[int, list[tuple[Span, Taint]]] = {}
        self._held: dict[int, StorageWeakRef] = {}

    def clear(self, part: Tensor) -> None:
        """`part` was written, and is finite."""
        if part.numel() == 0 or (known := self._spans.get(part.untyped_storage()._cdata)) is None:
            return
        written = Span.of(part)
        known[:] = [(span, taint) for span, taint in known if not written.holds(span)]

    def put(self, part: Tensor, taint: Taint) -> None:
        """`part` was written (or first seen), and holds children of `taint`."""
        if part.numel() == 0:
            return
        self.clear(part)
        storage = part.untyped_storage()
        known = self._spans.setdefault(storage._cdata, [])
        if storage._cdata not in self._held:
            self._held[storage._cdata] = StorageWeakRef(storage)
        if len(known) < SPANS_MAX:
            known.append((Span.of(part), taint))

    def find(self, part: Tensor) -> Taint | None:
        """The taint of exactly these bytes (the newest), else of some of them (the oldest)."""
        known = self._spans.get(part.untyped_storage()._cdata, [])
        wanted = Span.of(part)
        written = [(span, taint) for span, taint in known if not taint.is_unwritten]
        # unwritten memory is the last answer: a buffer is often allocated as a whole and filled in pieces
        for candidates in (
            [taint for span, taint in reversed(written) if span == wanted],
            [taint for span, taint in written if span.overlaps(wanted)],
            [taint for span, taint in known if span.overlaps(wanted)],
        ):
            if candidates:
                return candidates[0]
        return None
