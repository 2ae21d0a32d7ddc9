"""Where ranks judge a step alike without asking each other: they hold the same gradients, or take their norms together.

Rules of this file: told from the model as lg.init gets it. In doubt the answer is no, and the guard only observes: a
rank that skips an update which the others make has weights of its own from then on.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from ..sharding import is_sharded

NOT_SHARED = (
    "the ranks are not seen to share their gradients, so that they would not skip together; "
    "give lg.init the DistributedDataParallel model, or one that fully_shard has cut over all ranks"
)


def shares_gradients(
    model: torch.nn.Module | None, optimizers: Sequence[torch.optim.Optimizer], world_size: int
) -> bool:
    """True when every gradient that is stepped by is averaged by DDP, or cut among all ranks."""
    averaged = {id(p) for module in _modules(model) for p in _averaged_by(module)}
    stepped = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    return bool(stepped) and all(id(p) in averaged or _is_cut_over(p, world_size) for p in stepped)


def _modules(model: torch.nn.Module | None) -> list[torch.nn.Module]:
    return list(model.modules()) if model is not None else []


def _averaged_by(module: torch.nn.Module) -> list[torch.Tensor]:
    if not isinstance(module, DistributedDataParallel):
        return []
    ignored = set(module.parameters_to_ignore)
    return [p for name, p in module.module.named_parameters() if name not in ignored]


def _is_cut_over(parameter: Any, world_size: int) -> bool:
    return is_sharded(parameter) and parameter.device_mesh.size() == world_size
