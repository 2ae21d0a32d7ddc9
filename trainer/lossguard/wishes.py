"""What a script asked of lg.init, checked.

Rules of this file: data and its checks only, no torch.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .controls import Controls
from .deeds import CheckpointFunction
from .errors import ConfigError
from .protocol.messages import ContractSpec
from .resuming import Resumed
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
    checkpoint: CheckpointFunction | None
    resume: Resumed | None


def _is_list_of(kind: type) -> Callable[[object], bool]:
    return lambda given: isinstance(given, list | tuple) and all(isinstance(each, kind) for each in given)


def _is_time(given: object) -> bool:
    return not isinstance(given, bool) and isinstance(given, int | float) and 0 <= given < 1e9


_are_names, _are_contracts = _is_list_of(str), _is_list_of(ContractSpec)

# What an argument may be, as a check and in words; None and what is left out stands for the default.
KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "losses": (lambda given: isinstance(given, Mapping), "a dict of names and weights"),
    "contracts": (_are_contracts, "a list of what lg.bounded and its like return"),
    "controls": (lambda given: isinstance(given, Controls), "made by lg.Controls"),
    "scaler": (lambda given: callable(getattr(given, "is_enabled", None)), "a torch.amp.GradScaler"),
    "replay": (lambda given: isinstance(given, bool) or callable(given), "True, False or a function of a batch"),
    "snapshots": (lambda given: isinstance(given, bool | Snapshots), "made by lg.Snapshots, or True or False"),
    "activations": (lambda given: isinstance(given, bool | str) or _are_names(given), "a list of names, or a bool"),
    "mode": (lambda given: isinstance(given, str), "a text"),
    "url": (lambda given: isinstance(given, str), "a text"),
    "token": (lambda given: isinstance(given, str), "a text"),
    "dir": (lambda given: isinstance(given, str | os.PathLike), "a path"),
    "checkpoint": (callable, "a function of the step that saves a checkpoint and returns its path"),
    "resume_wait_s": (lambda given: _is_time(given), "a time in seconds, from 0"),
}


def check_kinds(**given: object) -> None:
    """Raises ConfigError for an argument of lg.init that is nothing it could be."""
    for argument, value in given.items():
        is_fit, words = KINDS[argument]
        if value is not None and not is_fit(value):
            raise ConfigError(f"lg.init got {argument}={_short(value)}; it is {words}.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
