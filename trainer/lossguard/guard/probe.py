"""Whether an optimizer can skip a step on the device, found out by trying it on a scratch parameter.

Rules of this file: what an optimizer says of itself is not believed. Measured on torch 2.13: RMSprop, Adamax, NAdam,
RAdam, Adadelta, ASGD, Rprop and Muon ignore `found_inf` in silence, for-loop and foreach variants raise, fused
kernels compare it with exactly 1.0. The probe waits for the device; it is made once, when the run starts.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

BAD = 1.0  # the kernels test `*found_inf == 1`: a count, or a sum over ranks, would let the step through


@dataclass(frozen=True)
class Ability:
    """What an optimizer can do. `note`: why not more; `stateless`: the groups whose steps leave no state."""

    skips_on_device: bool
    stateless: frozenset[int] = frozenset()
    note: str = ""


def ability_of(optimizer: Optimizer) -> Ability:
    """Try a skip with this optimizer's class, options, device and dtype."""
    name = type(optimizer).__name__
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        return Ability(False, note=f"{name} cannot skip on the device; fused=True can")
    try:
        tried = {
            i: [_try(optimizer, group, kind) for kind in _kinds(group)]
            for i, group in enumerate(optimizer.param_groups)
        }
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
        return Ability(False, note=f"a trial of {name} failed: {error}")
    outcomes = [outcome for each in tried.values() for outcome in each]
    if not outcomes or not all(skipped for skipped, _ in outcomes):
        return Ability(False, note=f"{name} did not skip in a trial")
    return Ability(True, frozenset(i for i, each in tried.items() if not any(has_state for _, has_state in each)))


def unsupported(optimizer: object) -> str:
    """Why the guard cannot work with this optimizer at all; empty when it can."""
    name = type(optimizer).__name__
    if isinstance(optimizer, LBFGS):
        return f"{name} evaluates the loss several times within a step; the guard does not support it"
    if not takes_hooks(optimizer):
        return f"{name} is no torch.optim.Optimizer; the guard does not support it"
    return ""


def takes_hooks(optimizer: object) -> bool:
    """False for what only looks like an optimizer of torch, or never called its constructor."""
    return isinstance(optimizer, Optimizer) and hasattr(optimizer, "_optimizer_step_pre_hooks")


def _kinds(group: dict[str, Any]) -> set[tuple[torch.device, torch.dtype]]:
    return {(p.device, p.dtype) for p in group["params"]}


def _try(optimizer: Optimizer, group: dict[str, Any], kind: tuple[torch.device, torch.dtype]) -> tuple[bool, bool]:
    """(whether a bad step was skipped, whether a good one left state)."""
    device, dtype = kind
    scratch = torch.nn.Parameter(torch.ones(4, device=device, dtype=dtype))
    twin = _twin(optimizer, group, scratch)
    scratch.grad = torch.ones_like(scratch)
    twin.step()  # skips are tried warm: a cold one would meet state that was never written
    before = _bits(twin, scratch)
    scratch.grad = torch.full_like(scratch, torch.nan)
    twin.found_inf = torch.full((), BAD, device=device)  # type: ignore[attr-defined]
    twin.step()
    del twin.found_inf  # type: ignore[attr-defined]
    return _bits(twin, scratch) == before, bool(_tensors(twin, scratch))


def _twin(optimizer: Optimizer, group: dict[str, Any], scratch: Tensor) -> Optimizer:
    known = inspect.signature(type(optimizer).__init__).parameters
    options = {key: _copied(value) for key, value in group.items() if key in known and key != "params"}
    twin = type(optimizer)([{"params": [scratch]}], **options)
    differing = [
        key for key, value in twin.param_groups[0].items() if key != "params" and group.get(key, value) != value
    ]
    if differing:
        raise ValueError(f"its option {differing[0]} cannot be set on a second one")
    return twin


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _tensors(optimizer: Optimizer, scratch: Tensor) -> list[Tensor]:
    return [value for value in optimizer.state[scratch].values() if isinstance(value, Tensor)]


def _bits(optimizer: Optimizer, scratch: Tensor) -> list[bytes]:
    found = [scratch.detach(), *_tensors(optimizer, scratch)]
    return [bytes(each.cpu().contiguous().flatten().view(torch.uint8).numpy()) for each in found]
