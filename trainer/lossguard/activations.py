"""Root mean square and largest absolute value of what chosen modules put out.

Rules of this file:
- A forward hook writes into memory that was allocated when it was attached: no wait, one graph under torch.compile, and
  still right when a CUDA graph is replayed. Compiled code does not see hooks that come after its first call.
- A hook has no side effect in Python: under torch.compile each would end the graph of a checkpoint, or make a new one.
- Of a step's calls of a module the last one counts. A module that was not called has NOT_CALLED, never an old value.
- Left out are modules in evaluation mode, and what activation checkpointing computes a second time.
- A hook never raises into the model: a module whose output cannot be measured is left alone from then on.
"""

import fnmatch
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from .norms import home_of
from .protocol import names

log = logging.getLogger("lossguard")

NOT_CALLED = -1.0  # no root mean square and no absolute value is negative
STATISTICS = ("rms", "absmax")
MEASURED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WRAPPERS = ("_orig_mod", "module")  # of torch.compile; of DistributedDataParallel and its like
CONTAINERS = (nn.ModuleList, nn.Sequential)


class Board:
    """What the modules of one device have put out: `values` [modules, 3], root mean square, least, largest element."""

    def __init__(self, anchor: Tensor | None) -> None:
        self.is_on = True  # plain, because compiled code would be made anew whenever a function answers otherwise
        self.series: list[str] = []
        self.values = self._blank = torch.empty(0, 3)
        self._anchor = anchor

    def clear(self) -> None:
        """Forget what was put out; a model that was moved is followed."""
        device = self.values.device if self._anchor is None else self._anchor.device
        rows = len(self.series) // len(STATISTICS)
        if self.values.device != device or len(self.values) != rows:
            self.values = torch.empty(rows, 3, device=device)
            self._blank = torch.full((3,), NOT_CALLED, device=device)
            self._blank[1] = -NOT_CALLED  # the least is above the largest: `read` makes NOT_CALLED of them
        self.values.copy_(self._blank)

    def read(self) -> Tensor:
        """Shape [modules * 2], as `series`."""
        rms, least, most = self.values.unbind(1)
        return torch.stack([rms, torch.maximum(most, -least)], dim=1).flatten()


class Probe:
    """The hook of one module."""

    def __init__(self, name: str, board: Board) -> None:
        self._name, self._board = name, board
        self._row = len(board.series) // len(STATISTICS)
        self._is_broken = False
        board.series += [names.activation(name, statistic) for statistic in STATISTICS]

    def __call__(self, module: nn.Module, args: object, output: object) -> None:
        if not self._board.is_on or not module.training:
            return
        if torch.compiler.is_compiling():
            self._measure(output)
        elif torch._C._current_graph_task_id() < 0 and not self._is_broken:  # else a backward computes it again
            try:
                self._measure(output)
            except RuntimeError as error:
                self._is_broken = True
                log.warning("lossguard leaves the module %s alone, because of its output: %s", self._name, error)

    def _measure(self, output: object) -> None:
        tensor, values = _first_tensor(output), self._board.values
        if tensor is None or tensor.dtype not in MEASURED or tensor.numel() == 0 or tensor.device != values.device:
            return
        x = tensor.detach()
        # in float32 at least, where its square overflows at 1e19: half precision would at 256
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        rms = torch.linalg.vector_norm(x, dtype=wide) * x.numel() ** -0.5
        least, most = torch.aminmax(x)
        values[self._row].copy_(torch.stack([rms.float(), least.float(), most.float()]))


class Activations:
    """The probes of one model. `patterns`: modules by name or glob; True: its blocks. `is_on` is asked once a step."""

    def __init__(self, model: nn.Module | None, patterns: Sequence[str] | bool, is_on: Callable[[], bool]) -> None:
        self._is_on = is_on
        self._boards: dict[torch.device, Board] = {}
        chosen = {} if model is None or not patterns else _chosen(_unwrapped(model), patterns)
        home = next((model.parameters() if model is not None else iter(())), None)
        self._hooks = [
            module.register_forward_hook(Probe(name, self._board_of(next(module.parameters(), home))))
            for name, module in chosen.items()
        ]
        for board in self._boards.values():
            board.clear()
            board.is_on = is_on()

    def values(self) -> tuple[list[str], Tensor] | None:
        """(names, values [len(names)]) of the step that ends here, NOT_CALLED for what was not; None while off."""
        was_on = [board for board in self._boards.values() if board.is_on]
        is_on = bool(self._boards) and self._is_on()
        with torch.no_grad():
            read = [board.read() for board in was_on]
            for board in self._boards.values():
                board.is_on = is_on
                if is_on:
                    board.clear()
            if not read:
                return None
            home = home_of(read)
            values = torch.cat([each.to(home, non_blocking=True) for each in read]) if read[1:] else read[0]
        return [series for board in was_on for series in board.series], values

    def detach(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._boards = {}

    def _board_of(self, anchor: Tensor | None) -> Board:
        device = torch.device("cpu") if anchor is None else anchor.device
        return self._boards.setdefault(device, Board(anchor))


def _first_tensor(output: object) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    for part in parts:
        if (found := _first_tensor(part)) is not None:
            return found
    return None


def _unwrapped(model: nn.Module) -> nn.Module:
    children = dict(model.named_children())
    while len(children) == 1 and next(iter(children)) in WRAPPERS and not list(model.parameters(recurse=False)):
        (model,) = children.values()
        children = dict(model.named_children())
    return model


def _chosen(model: nn.Module, patterns: Sequence[str] | bool) -> dict[str, nn.Module]:
    if patterns is True:
        return dict(_blocks("", model)) or dict(model.named_children())
    modules = {name: module for name, module in model.named_modules() if name}
    chosen: dict[str, nn.Module] = {}
    for pattern in patterns or ():
        found = {name: module for name, module in modules.items() if fnmatch.fnmatchcase(name, pattern)}
        if not found:
            log.warning("lossguard records no activation for %r: the model has no such module.", pattern)
        for name, module in found.items():
            # a list of modules is never called itself
            within = {f"{name}.{child}": m for child, m in module.named_children()}
            chosen |= within if isinstance(module, nn.ModuleList) else {name: module}
    return chosen


def _blocks(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The children of each outermost list of modules: what lies within a block is no block."""
    for name, child in module.named_children():
        if isinstance(module, CONTAINERS):
            yield f"{prefix}{name}", child
        else:
            yield from _blocks(f"{prefix}{name}.", child)
