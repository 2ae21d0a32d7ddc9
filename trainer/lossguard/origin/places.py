"""Where an op stands: the line of the user's code, the module, and for a backward op what it is the backward of.

Rules of this file: modules are tracked by hooks that exist only between `start` and `stop`. A forward op is
remembered by the sequence number of the autograd node that it makes; a backward op finds it again by the node that is
running. Both hold for torch 2.6 to 2.13, and where a node is unknown the answer is empty, never a guess.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

# Parts of a module path that a wrapper put there: torch.compile, FSDP1, checkpoint_wrapper
WRAPPED = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
ENGINE, CHECKPOINT = "torch/autograd/graph.py", "torch/utils/checkpoint.py"


@dataclass(frozen=True, slots=True)
class Place:
    """Of one op."""

    op: str
    phase: str
    module: str
    where: str
    backward_of: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """A module of the model that is being executed, and the backward (-1: none) within which it was entered."""

    module: nn.Module
    path: str
    graph_task: int


class UserCode:
    """Tells the user's files from those of torch, lossguard and the standard library."""

    def __init__(self) -> None:
        package = Path(__file__).resolve().parents[1]
        self._not_theirs = (f"{Path(torch.__file__).parent}/", f"{package}/", "<frozen ", "<eval_with_key>")
        self._scenarios = f"{package}/scenarios/"  # users of the SDK, as any other
        self._library = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})
        self._known: dict[str, bool] = {}

    def owns(self, code: CodeType) -> bool:
        """True when the code is the user's (or of a library that the user brought)."""
        file = code.co_filename
        if file not in self._known:
            installed = "site-packages" in file or "dist-packages" in file
            from_library = file.startswith(self._library) and not installed
            ours = file.startswith(self._not_theirs) and not file.startswith(self._scenarios)
            self._known[file] = not (ours or from_library)
        return self._known[file]

    def nearest(self, frame: FrameType | None) -> str:
        """ "losses.py:42 in spectrum", or empty; not looking past a running backward.

        What stands outside of the backward's call is who called it, and says nothing about the op.
        """
        while frame is not None and not _is_engine(frame.f_code):
            code = frame.f_code
            if self.owns(code):
                return f"{code.co_filename.rpartition(os.sep)[2]}:{frame.f_lineno} in {code.co_name}"
            frame = frame.f_back
        return ""


def _is_engine(code: CodeType) -> bool:
    return code.co_name == "_engine_run_backward" and code.co_filename.endswith(ENGINE)


def _is_in_checkpoint(frame: FrameType | None) -> bool:
    """True when torch's checkpointing is what the running backward called."""
    while frame is not None and not _is_engine(frame.f_code):
        if frame.f_code.co_filename.endswith(CHECKPOINT):
            return True
        frame = frame.f_back
    return False


class NoHook:
    """What a copy or a pickle of a module that is made within a trace has in the place of the trace's hooks."""

    def __call__(self, *_: object) -> None:
        return None


class Hook:
    """A module hook that does not go along with a copy of the module."""

    def __init__(self, call: Callable[[nn.Module], None]) -> None:
        self._call = call

    def __call__(self, module: nn.Module, *_: object) -> None:
        self._call(module)

    def __reduce__(self) -> tuple[type[NoHook], tuple[()]]:
        return NoHook, ()


class Modules:
    """Which module of the model each thread is executing."""

    def __init__(self, model: nn.Module | None) -> None:
        # not `if model`: a compiled model asks the model within for its length
        named = model.named_modules() if model is not None else ()
        self._paths = {module: clean_path(path, model) for path, module in named}
        self._of_thread = threading.local()
        self._hooks: list[RemovableHandle] = []

    def start(self) -> None:
        # Hooks of each module and not torch's global ones: a compiled module warns of those at each call.
        enter, leave = Hook(self._enter), Hook(self._leave)
        for module in self._paths:
            if not isinstance(module, torch.jit.ScriptModule):
                self._hooks.append(module.register_forward_pre_hook(enter))
                # always_call: what is left by an exception (an early-stopped recompute is one) has been left
                self._hooks.append(module.register_forward_hook(leave, always_call=True))

    def stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @property
    def innermost(self) -> Entered | None:
        stack = self._stack
        return stack[-1] if stack else None

    @property
    def _stack(self) -> list[Entered]:
        if not hasattr(self._of_thread, "stack"):
            self._of_thread.stack = []
        stack: list[Entered] = self._of_thread.stack
        return stack

    def _enter(self, module: nn.Module) -> None:
        self._stack.append(Entered(module, self._paths[module], torch._C._current_graph_task_id()))

    def _leave(self, module: nn.Module) -> None:
        stack = self._stack
        if any(entered.module is module for entered in stack):
            while stack.pop().module is not module:
                pass


def clean_path(path: str, model: nn.Module | None) -> str:
    """A module's or parameter's path as the user knows it, without what wrappers put into it."""
    parts = [part for part in path.split(".") if part not in WRAPPED]
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) and parts[:1] == ["module"]:
        parts = parts[1:]
    return ".".join(parts)


class Places:
    """Finds the place of the op that is being executed."""

    def __init__(self, model: nn.Module | None) -> None:
        self._model = model
        self._modules, self._code = Modules(model), UserCode()
        self._forward: dict[tuple[int, int], Place] = {}
        self._home, self._first_node = 0, 0

    def start(self) -> None:
        self._home, self._first_node = threading.get_ident(), torch._C._autograd._get_sequence_nr()
        self._modules.start()

    def stop(self) -> None:
        self._modules.stop()

    def remember(self, op: str) -> None:
        """Called for each op: keeps the place of a forward op by the autograd node that was made for it."""
        # The node is made before the op runs below it, so its number is the last one given out. An op that makes no
        # node finds the number taken by the one that did.
        key = (threading.get_ident(), torch._C._autograd._get_sequence_nr() - 1)
        if key not in self._forward and (key[0] != self._home or key[1] >= self._first_node):
            self._forward[key] = self.of(op)

    def of(self, op: str) -> Place:
        """The place of the op that runs now."""
        where = self._code.nearest(sys._getframe(1))
        task, inner = torch._C._current_graph_task_id(), self._modules.innermost
        if task < 0:
            return Place(op, "forward", inner.path if inner else "", where)
        # A module entered within this backward is being recomputed, by whatever checkpointing the user has; one that
        # was entered before called the backward, and is not where the op stands.
        if inner is not None and inner.graph_task == task:
            return Place(op, "forward", inner.path, where)
        if _is_in_checkpoint(sys._getframe(1)):
            return Place(op, "forward", "", where)
        made_by, name = self._node()
        if made_by is None:
            return Place(op, "backward", self._accumulating(), where, name)
        return Place(op, "backward", made_by.module, where or made_by.where, name)

    def _node(self) -> tuple[Place | None, str]:
        """The forward place of the node that runs, if it is known, and what the node is the backward of."""
        node = torch._C._current_autograd_node()
        if node is None or node.name().endswith("AccumulateGrad"):
            return None, ""
        base = node.name().partition("Backward")[0]
        # A device's thread counts its own nodes, so a number may stand for two; the name tells which is meant.
        number = node._sequence_nr()
        found = [self._forward.get((thread, number)) for thread in (threading.get_ident(), self._home)]
        known = [place for place in found if place is not None]
        alike = [place for place in known if place.op.partition(".")[2].replace("_", "").lower() == base.lower()]
        place = alike[0] if alike else known[-1] if known else None
        # the first op inside a user's own Function is not its name
        of_user = isinstance(node, torch.autograd.function.BackwardCFunction)
        return place, base if of_user or place is None else place.op

    def _accumulating(self) -> str:
        """The module of the parameter into whose gradient the running node adds."""
        variable = getattr(torch._C._current_autograd_node(), "variable", None)
        if variable is None or self._model is None:
            return ""
        path = next((name for name, p in self._model.named_parameters() if p is variable), "")
        return clean_path(path, self._model).rpartition(".")[0]
