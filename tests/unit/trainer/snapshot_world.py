"""What tests of a training state share: taking it, moving the weights on, and where tensors lie."""

import torch
from torch import Tensor

from lossguard.snapshots.ring import Copies, HostBlocks, bytes_needed
from lossguard.snapshots.state import Frozen, Inventory, TrainingState


def take(state: TrainingState) -> Frozen:
    """The state as it is now, copied."""
    inventory = Inventory()
    frozen = state.freeze(inventory)
    regions = list(inventory.regions.values())
    blocks = HostBlocks()
    blocks.reserve(bytes_needed(regions), pinned=False)
    blocks.place(regions)
    Copies().take(regions)
    return frozen


def update(opt: torch.optim.Optimizer) -> None:
    """A step with gradients of the parameters' own size."""
    for group in opt.param_groups:
        for parameter in group["params"]:
            parameter.grad = parameter.detach() + 1
    opt.step()
    opt.zero_grad()


def address_of(*tensors: Tensor) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
