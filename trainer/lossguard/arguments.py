"""Checks of what lg.init is given that need more than a look at its type.

Rules of this file: each raises ConfigError, which says what is wrong and what is allowed, or warns of what gives less
than it seems to; torch is imported late.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .protocol.messages import ON_TRIP
from .protocol.names import fault_in, grad_norm
from .wishes import Wishes

if TYPE_CHECKING:
    import torch

log = logging.getLogger("lossguard")

GUARDS = ("auto", "observe", "off")


def check(project: str, name: str, guard: str, on_trip: str, groups: object, model: object) -> None:
    """Raises ConfigError."""
    check_names(project=project, name=name)
    check_choice("guard", guard, GUARDS)
    check_choice("on_trip", on_trip, ON_TRIP)
    check_groups(groups)
    check_model(model)


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"lg.init got {argument}={value!r}; it is one of {', '.join(choices)}.")


def check_names(**given: str) -> None:
    for argument, value in given.items():
        if not isinstance(value, str) or (fault := fault_in(value)) is not None:
            raise ConfigError(f"lg.init got {argument}={value!r}: {fault if isinstance(value, str) else 'not a text'}.")


def check_groups(groups: object) -> None:
    if groups is not None and not isinstance(groups, Mapping):
        raise ConfigError(f"lg.init got groups={groups!r}; give a dict of names and patterns.")
    for group, patterns in (groups or {}).items():
        if (fault := fault_in(group) or fault_in(grad_norm(group))) is not None:
            raise ConfigError(f"lg.init got a group {group!r}: {fault}.")
        if not all(isinstance(each, str) for each in (patterns if isinstance(patterns, list | tuple) else [patterns])):
            raise ConfigError(f"lg.init got {patterns!r} for the group {group!r}; give a pattern or a list of them.")


def check_model(model: object) -> None:
    from torch import nn

    if model is not None and not isinstance(model, nn.Module):
        raise ConfigError(
            f"lg.init got a model of type {type(model).__name__}; pass one module, e.g. torch.nn.ModuleList([G, D])."
        )


def optimizers(given: Any) -> "list[torch.optim.Optimizer]":
    """The optimizers as a list. One that is not torch's stays: the guard says that it cannot work with it."""
    if isinstance(given, Mapping):
        raise ConfigError("lg.init got a dict of optimizers; pass a list, e.g. list(optimizers.values()).")
    found = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    for each in found:
        if isinstance(each, type) or not callable(getattr(each, "step", None)):
            raise ConfigError(f"lg.init got an optimizer of type {type(each).__name__}; it has no step to watch.")
    return [_inner(each) for each in found]


def _inner(optimizer: Any) -> Any:
    """What a wrapper steps that is an optimizer in name only (accelerate's): hooks can be put on that alone."""
    inner = getattr(optimizer, "optimizer", None)
    is_usable = hasattr(optimizer, "_optimizer_step_pre_hooks")
    return optimizer if is_usable or not hasattr(inner, "_optimizer_step_pre_hooks") else inner


def say_what_is_missing(wishes: Wishes) -> None:
    """What was asked for in a way that gives less than it seems to."""
    if wishes.mode == "off":
        return
    if wishes.model is not None and not wishes.optimizers:
        log.warning(
            "lossguard: no optimizer was given to lg.init, so nothing is guarded, and gradients are measured only "
            "where run.clip_grad_norm_ is called"
        )
    if wishes.mode == "offline" and wishes.on_trip == "pause":
        log.warning("lossguard: nobody can resume a run in mode offline, so on_trip='pause' does not pause it")
