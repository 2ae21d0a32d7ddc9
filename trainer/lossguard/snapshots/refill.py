"""Puts kept bytes back into live tensors, in place.

Rules of this file:
- First all writes are gathered, then they are made: one multi-tensor copy a device, queued on the current stream.
- A live tensor takes the values when it fits; its storage, and so its address, stays. What does not fit is made anew.
- Two different kept tensors never go into the same live memory: the second gets memory of its own. Parameters are
  written in any case, and first: others hold on to them.
"""

import torch
from torch import Tensor

from .layout import as_bytes, from_bytes, is_packed, layout_of, without_repeats
from .ring import parts_of
from .tree import Kept, Region


class Refill:
    """The writes of one restore."""

    def __init__(self) -> None:
        self._bytes: list[tuple[Tensor, Region]] = []
        self._values: list[tuple[Tensor, Kept]] = []
        self._claims: dict[int, list[tuple[int, int, Region]]] = {}

    def overwrite(self, kept: Kept, now: object) -> Tensor:
        """`now`, which fits, will hold the kept values after `write`."""
        if not isinstance(now, Tensor):
            raise TypeError(f"a {type(now).__name__} stands where a {kept.describe()} was")
        self._claim(now, kept.region)
        self._add(without_repeats(now), kept)
        return now

    def fill(self, kept: Kept, now: object) -> Tensor:
        """The tensor that will hold the kept values after `write`: `now` where it can, else a new one."""
        if isinstance(now, Tensor) and kept.fits(now) and self._claim(now, kept.region):
            self._add(without_repeats(now), kept)
            return now
        new = kept.layout.empty(kept.device)
        self._add(new, kept)
        return new.expand(kept.shown_shape)

    def write(self) -> None:
        """Make the writes."""
        targets: list[Tensor] = []
        sources: list[Tensor] = []
        for memory, region in self._bytes:
            targets += parts_of(memory, region.pieces)
            sources += region.pieces
        with torch.no_grad():
            if targets:
                torch._foreach_copy_(targets, sources, non_blocking=True)
            for tensor, kept in self._values:
                tensor.copy_(from_bytes(kept.layout, kept.region.pieces))

    def _add(self, target: Tensor, kept: Kept) -> None:
        if not kept.region.nbytes:
            return
        if is_packed(target) and layout_of(target) == kept.layout:
            self._bytes.append((as_bytes(target), kept.region))
        else:  # another memory format than when it was taken, or with gaps
            self._values.append((target.detach(), kept))

    def _claim(self, target: Tensor, region: Region) -> bool:
        """False when some of the memory is promised to other values already. Views with gaps are not looked at."""
        if not region.nbytes or not is_packed(target):
            return True
        start, end = target.data_ptr(), target.data_ptr() + region.nbytes
        claims = self._claims.setdefault(target.untyped_storage().data_ptr(), [])
        if any(start < its_end and its_start < end and its is not region for its_start, its_end, its in claims):
            return False
        claims.append((start, end, region))
        return True
