"""Brings the ranks of a job together in lg.init: the group over which they agree.

Rules of this file:
- Making a group is a collective: a rank that does not call lg.init would hold up all others. So all say first, in the
  job's store, that they are here; the group is made when all are, and by none when one does not come.
- torch is imported late, and torch.distributed only where the script has initialised it.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .. import identity
from . import Alone, Ranks
from .together import Together

if TYPE_CHECKING:
    import torch

log = logging.getLogger("lossguard")

TIMEOUT_S = 1800.0  # of the group: torch's own default; rank 0 may well validate for minutes between two boundaries
ARRIVAL_S = 60.0  # for lg.init on the other ranks: a slow rank loads its model before it
_GO, _NO = "go", "no"


def meet(number: int, model: "torch.nn.Module | None", tell: Callable[[str], None]) -> Ranks:
    """The ranks of this job, or this one alone. `number` counts the meetings of this process. Raises nothing.

    `tell`: called, once, when they can agree no more.
    """
    if identity.world_size() == 1:
        return Alone()
    if not identity.is_distributed():
        log.warning(
            "lossguard: this is one of %d ranks, and torch.distributed is not initialised: rank 0 alone is watched, "
            "and cannot be controlled. Call lg.init after init_process_group.",
            identity.world_size(),
        )
        return Alone()
    try:
        return _met(number, _joins(model), tell)
    except (RuntimeError, ValueError, OSError) as error:
        log.warning("lossguard: the ranks cannot be brought together, rank 0 alone is watched: %s", error)
        return Alone()


def _met(number: int, joins: Callable[[], bool], tell: Callable[[str], None]) -> Ranks:
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import _get_default_store

    store, key = _get_default_store(), f"lossguard/{number}"
    if not _all_are_here(store, key, dist.get_world_size(), ARRIVAL_S):
        log.warning(
            "lossguard: lg.init was not called on every rank within %g s: rank 0 alone is watched, and cannot be "
            "controlled. Call it on all ranks.",
            ARRIVAL_S,
        )
        return Alone()
    from .wire import GlooWire, Notice

    group = dist.new_group(backend="gloo", timeout=timedelta(seconds=TIMEOUT_S))
    return Together(GlooWire(group, Notice(store, f"{key}/over")), TIMEOUT_S, joins, tell)


def _all_are_here(store: Any, key: str, world: int, patience_s: float) -> bool:
    """Whether every rank came; all get the same answer, whoever was late."""
    if store.add(f"{key}/here", 1) >= world:
        store.compare_set(f"{key}/verdict", "", _GO)
    try:
        store.wait([f"{key}/verdict"], timedelta(seconds=patience_s))
    except RuntimeError:  # torch's DistStoreError: nobody said anything for so long
        store.compare_set(f"{key}/verdict", "", _NO)
    return bool(store.get(f"{key}/verdict") == _GO.encode())


def _joins(model: object) -> Callable[[], bool]:
    """Whether `model` is trained within torch's Join, where ranks may have different numbers of batches."""
    return lambda: bool(getattr(getattr(model, "_join_config", None), "enable", False))
