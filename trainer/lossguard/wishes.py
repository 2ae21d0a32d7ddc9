"""What a script asked of lg.init, checked.

Rules of this file: data only, no torch.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .controls import Controls
from .protocol.messages import ContractSpec
from .schedule import Schedule
from .snapshots.options import Snapshots

if TYPE_CHECKING:
    import torch

    from .instrument import Scaler
    from .replay import ReplayFunction
    from .snapshots.state import Stateful


@dataclass(frozen=True)
class Wishes:
    """The arguments of lg.init, by its names."""

    project: str
    name: str
    config: object
    model: "torch.nn.Module | None"
    optimizers: "Sequence[torch.optim.Optimizer]"
    scheduler: "Stateful | Sequence[Stateful] | None"
    scaler: "Scaler | None"
    schedule: Schedule
    groups: Mapping[str, str | Sequence[str]] | None
    contracts: Sequence[ContractSpec]
    controls: Controls
    guard: str
    on_trip: str
    replay: "bool | ReplayFunction"
    snapshots: Snapshots | None
    activations: Sequence[str] | bool
    mode: str
    url: str | None
    token: str | None
    dir: str | os.PathLike[str] | None
    handle_sigterm: bool
