"""A look that leaves no trace: random states, a model's buffers and modes, put back bit for bit.

Rules of this file: what is put back is put into the tensors that there are, so that whoever holds one keeps holding it.
Parameters and .grad are not copied: a look does not write to them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..random_states import RandomStates


@contextmanager
def untouched(model: nn.Module | None) -> Iterator[None]:
    """Within it a model may be run forwards; afterwards it is as it was, and so are the generators."""
    states = RandomStates.take()
    modules = [] if model is None else list(model.modules())
    modes = [module.training for module in modules]
    buffers = [(module, name, each, each.detach().clone()) for module in modules for name, each in _buffers(module)]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, kept in buffers:
                module._buffers[name] = buffer
                buffer.copy_(kept)
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        states.put_back()


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [(name, each) for name, each in module._buffers.items() if each is not None and not is_lazy(each)]
