"""The ways in which a training calls a module: plainly, or to be computed again in the backward."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Wrap = Callable[[nn.Module, Tensor], Tensor]


def plainly(module: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = module(x)
    return out


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = checkpoint(module, x, use_reentrant=False)
    return out


def recomputed_reentrantly(module: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = checkpoint(module, x, use_reentrant=True)
    return out
