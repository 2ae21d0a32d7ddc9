"""A second copy of the model's buffers, the last that was in order; put back when a step is tripped.

Rules of this file:
- Skipping the optimizer does not protect buffers: one NaN batch makes BatchNorm's running statistics NaN for ever.
  And not every bad batch reaches an optimizer (micro-batches, a GradScaler's skip, a user's own `continue`): what a
  step finds broken at its beginning is put back there too. Where the guard only observes, nothing is put back.
- Judged is NaN alone: masks hold -inf and trackers of a minimum begin at +inf, on purpose. A buffer that holds NaN
  from the start is kept but not judged.
- Copied are floating-point and complex buffers, and counters (integers of one element: num_batches_tracked). Not
  those whose memory cannot be copied as it is (sparse, quantised, expanded).
- No wait: where the host cannot see the numbers, putting back is a select on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Place = tuple[torch.nn.Module, str]  # by owner and name: many modules put a new tensor in a buffer's place

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128}


@dataclass
class Block:
    """Buffers of one device and dtype, and a copy of each."""

    device: torch.device
    places: list[Place]
    views: list[Tensor]
    is_judged: bool

    def members(self) -> list[tuple[Tensor, Tensor]]:
        """(buffer, its copy) of those that are still there and fit; a buffer may have gone, moved or grown.

        Through .data, so that a graph that is still needed takes no offence at a buffer that is put back.
        """
        found = [(module._buffers.get(key), view) for (module, key), view in zip(self.places, self.views, strict=True)]
        return [(buffer.data, view) for buffer, view in found if buffer is not None and _fits(buffer, view)]


class BufferShadow:
    """The buffers of one model as they were when the step began."""

    def __init__(self, model: torch.nn.Module | None) -> None:
        """Looks once, with a wait, at which buffers hold NaN."""
        self._modules = list(model.modules()) if model is not None else []
        self._is_judging = True
        self._signature: list[object] = []
        self._unjudged = {
            (id(module), key) for module, key, b in self._found() if not _is_counter(b) and bool(b.isnan().any())
        }
        self._blocks: list[Block] = []
        self._lay_out()

    def stop_judging(self) -> None:
        """A buffer of this model is NaN on purpose: keep copies, and judge no more."""
        self._is_judging = False

    def take(self) -> None:
        """A step begins: keep the buffers as they are, or put back those that something has broken since."""
        with torch.no_grad():
            for block in self._blocks:
                members = block.members()
                if not members:
                    continue
                live, kept = [list(each) for each in zip(*members, strict=True)]
                if not (block.is_judged and self._is_judging):
                    _write(kept, live)
                    continue
                broken = _has_nan(_joined(live))
                if broken.device.type == "cpu":
                    _write(live, kept) if bool(broken) else _write(kept, live)
                else:
                    _write(live, _chosen(broken, kept, live))
                    _write(kept, live)
        self.follow()

    def follow(self) -> None:
        """Learn which buffers there are now; none is written."""
        if self._signed() != self._signature:
            self._lay_out()

    def put_back(self) -> None:
        """Write the copies over the buffers."""
        with torch.no_grad():
            for block in self._blocks:
                if members := block.members():
                    _write([live for live, _ in members], [kept for _, kept in members])

    def put_back_where(self, bad: Tensor) -> None:
        """The same where `bad` (0-d bool) is true, else nothing; decided on the device.

        A buffer on the CPU under a model on another device stays as it is until the next step begins: to ask for `bad`
        there would be to wait.
        """
        with torch.no_grad():
            for block in self._blocks:
                members = block.members()
                if not members or block.device.type == "cpu" != bad.device.type:
                    continue
                live, kept = [list(each) for each in zip(*members, strict=True)]
                _write(live, _chosen(bad.to(block.device, non_blocking=True), kept, live))

    def fault(self) -> list[Tensor]:
        """Of each block that is judged 0-d: NaN where a buffer holds NaN, else finite."""
        if not self._is_judging:
            return []
        with torch.no_grad():
            judged = [block.members() for block in self._blocks if block.is_judged]
            found = [_has_nan(_joined([live for live, _ in members])) for members in judged if members]
            return [torch.where(broken, torch.nan, 0.0) for broken in found]

    # -- inside -------------------------------------------------------------------------------------------------

    def _found(self) -> list[tuple[torch.nn.Module, str, Tensor]]:
        return [
            (module, key, buffer)
            for module in self._modules
            for key, buffer in module._buffers.items()
            if buffer is not None and _is_kept(buffer)
        ]

    def _signed(self) -> list[object]:
        return [(id(m), key, b.shape, b.dtype, b.device) for m, key, b in self._found()]

    def _lay_out(self) -> None:
        """Blocks for the buffers that there are; kept as they are now."""
        self._signature = self._signed()
        groups: dict[tuple[torch.device, torch.dtype, bool], list[tuple[Place, Tensor]]] = {}
        seen: set[int] = set()
        for module, key, buffer in self._found():
            if id(buffer) in seen:  # two modules share it
                continue
            seen.add(id(buffer))
            is_judged = not _is_counter(buffer) and (id(module), key) not in self._unjudged
            groups.setdefault((buffer.device, buffer.dtype, is_judged), []).append(((module, key), buffer))
        self._blocks = []
        for (device, _, is_judged), members in groups.items():
            copies = [buffer.detach().clone() for _, buffer in members]
            self._blocks.append(Block(device, [place for place, _ in members], copies, is_judged))


def _joined(buffers: Sequence[Tensor]) -> Tensor:
    return torch.cat([buffer.reshape(-1) for buffer in buffers])


def _chosen(bad: Tensor, kept: Sequence[Tensor], live: Sequence[Tensor]) -> Sequence[Tensor]:
    """`kept` where `bad`, else `live`; as one vector, because a launch a buffer would be hundreds."""
    # a select, because a multiplication would keep the NaN: 0 * NaN is NaN
    chosen = torch.where(bad, _joined(kept), _joined(live))
    parts = chosen.split([each.numel() for each in live])
    return [part.view(each.shape) for part, each in zip(parts, live, strict=True)]


def _has_nan(values: Tensor) -> Tensor:
    if not values.numel():
        return torch.zeros((), dtype=torch.bool, device=values.device)
    real = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    return real.amax().isnan()  # a maximum carries NaN on, and one number is cheaper to look at than all


def _fits(buffer: Tensor, copy: Tensor) -> bool:
    same = buffer.shape == copy.shape and buffer.dtype == copy.dtype and buffer.device == copy.device
    return same and buffer.layout == torch.strided


def _write(live: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    torch._foreach_copy_(list(live), list(values), non_blocking=True)


def _is_counter(buffer: Tensor) -> bool:
    return buffer.numel() == 1 and not (buffer.is_floating_point() or buffer.is_complex())


def is_copyable(buffer: Tensor) -> bool:
    """False where its memory cannot be copied as it is."""
    if buffer.layout != torch.strided or buffer.is_quantized or buffer.is_meta or isinstance(buffer, _LAZY):
        return False
    return buffer.numel() <= 1 or all(stride > 0 for stride in buffer.stride())


def _is_kept(buffer: Tensor) -> bool:
    return is_copyable(buffer) and bool(buffer.numel()) and (buffer.dtype in _FLOATS or _is_counter(buffer))


_LAZY = (torch.nn.parameter.UninitializedBuffer,)
